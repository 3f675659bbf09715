/**
 * What every gRPC handler of the broker does alike: refuse bytes that are no message with
 * INVALID_ARGUMENT, turn failures into status, and let a broken invariant through, so that it stops
 * the process instead of becoming an answer.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type {
  handleUnaryCall,
  MethodDefinition,
  ServerUnaryCall,
  ServiceDefinition,
} from '@grpc/grpc-js';

import { AssertionError } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import { asBrokerError, errorToStatus } from '../../wire/grpc/errors.ts';
import { reasonOf } from '../../base/reason.ts';

/** A message up to this size is decoded whatever it holds: 32,768 empty submessages at most. */
const UNBOUNDED_BYTES_MAX = 65_536;
/**
 * Tags, lengths and numbers in one larger message: 80,000 records with keys. Sixteen megabytes of
 * empty submessages would be eight million objects, and a loop that stands still for a minute.
 */
const NUMBERS_READ_MAX = 500_000;

/**
 * Refuses a message that is small on the wire and huge in memory, while it is decoded and not
 * afterwards.
 */
class BoundedReader extends BinaryReader {
  constructor(bytes: Uint8Array) {
    super(bytes);
    const read = this.uint32.bind(this);
    let left = NUMBERS_READ_MAX;
    this.uint32 = () => {
      if (left === 0) throw new RangeError(`it holds more than ${NUMBERS_READ_MAX} fields`);
      left -= 1;
      return read();
    };
  }
}

/** Told of every failure that no caller could have caused; writes it to the log. */
export type ReportDefect = (error: unknown) => void;

/** In place of a request whose bytes are not that message. */
class MalformedRequest {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/**
 * The definition, changed so that malformed bytes reach the handlers below instead of gRPC's own
 * INTERNAL without a reason.
 */
export function checkedDefinition<Implementation>(
  definition: ServiceDefinition<Implementation>,
): ServiceDefinition<Implementation> {
  const methods = Object.entries<MethodDefinition<unknown, unknown>>(
    definition as ServiceDefinition,
  );
  const checked = methods.map(([name, method]) => [
    name,
    { ...method, requestDeserialize: checkedDeserialize(method) },
  ]);
  return Object.fromEntries(checked) as ServiceDefinition<Implementation>;
}

/** A handler of a unary call. */
export function unaryHandler<Request, Response>(
  answer: (
    request: Request,
    call: ServerUnaryCall<Request, Response>,
  ) => Response | Promise<Response>,
  report: ReportDefect,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const run = async (): Promise<Response> => answer(call.request, call);
    run().then(
      (response) => callback(null, response),
      (error: unknown) => callback(errorToStatus(expected(error, report))),
    );
  };
}

/** The request. Throws INVALID_ARGUMENT when its bytes were not one. */
export function wellFormed<Request>(request: Request): Request {
  if (!(request instanceof MalformedRequest)) return request;
  throw new BrokerError(
    'INVALID_ARGUMENT',
    `Request is not a message of its type: ${request.reason}`,
  );
}

/** Ends a streaming call with the status of an error. */
export function failCall(
  call: { emit(event: 'error', status: unknown): boolean },
  error: unknown,
): void {
  call.emit('error', errorToStatus(error));
}

/**
 * The error as it may be answered. What is no BrokerError is a defect: reported, and answered as
 * INTERNAL. A broken invariant is thrown outside of any promise as well: the process must stop.
 */
export function expected(error: unknown, report: ReportDefect): BrokerError {
  if (error instanceof BrokerError) return error;
  report(error);
  if (error instanceof AssertionError) {
    queueMicrotask(() => {
      throw error;
    });
  }
  return asBrokerError(error);
}

function checkedDeserialize(
  method: MethodDefinition<unknown, unknown>,
): (bytes: Buffer) => unknown {
  return (bytes) => {
    try {
      // Generated decoders take a reader as well as bytes; the library's type knows bytes only.
      const input =
        bytes.length > UNBOUNDED_BYTES_MAX
          ? (new BoundedReader(bytes) as unknown as Buffer)
          : bytes;
      return method.requestDeserialize(input);
    } catch (error) {
      return new MalformedRequest(reasonOf(error));
    }
  };
}
