import { EventEmitter } from 'node:events';
import { type MethodDefinition, status as Status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { guarded } from '../../../../broker/messages/guarded-service.ts';

function method(requestStream: boolean, responseStream: boolean): MethodDefinition<string, string> {
  return {
    path: '/test.Service/Method',
    requestStream,
    responseStream,
    requestSerialize: (text) => Buffer.from(text),
    requestDeserialize: (bytes) => {
      if (bytes.length === 1) throw new RangeError('cut off');
      return bytes.toString();
    },
    responseSerialize: (text) => Buffer.from(text),
    responseDeserialize: (bytes) => bytes.toString(),
  };
}

const KINDS = [
  { kind: 'unary', requestStream: false, responseStream: false },
  { kind: 'server stream', requestStream: false, responseStream: true },
  { kind: 'two-way stream', requestStream: true, responseStream: true },
];

/** Calls a handler through the guard with one message, as gRPC does. Gives the status. */
function called(
  { requestStream, responseStream }: (typeof KINDS)[number],
  handler: (call: EventEmitter, answer: (failure: unknown) => void) => unknown,
  bytes: string,
): { readonly code: Status | null; readonly details: string; readonly defects: unknown[] } {
  const defects: unknown[] = [];
  const { definition, implementation } = guarded(
    { run: method(requestStream, responseStream) } as never,
    { run: handler } as never,
    (error) => defects.push(error),
  );
  const request: unknown = (
    definition['run'] as MethodDefinition<unknown, unknown>
  ).requestDeserialize(Buffer.from(bytes));
  let status: { code: Status | null; details: string } = { code: null, details: '' };
  const take = (failure: unknown): void => {
    if (failure !== null) status = failure as typeof status;
  };
  const call = Object.assign(new EventEmitter(), { request });
  call.on('error', take);
  (implementation as unknown as { run: (call: unknown, answer: unknown) => void }).run(call, take);
  if (requestStream) call.emit('data', request);
  return { ...status, defects };
}

describe.each(KINDS)('a guarded handler: $kind', (kind) => {
  const onMessage = (act: () => unknown) => (call: EventEmitter) => {
    if (!kind.requestStream) return act();
    call.on('data', act);
    return undefined;
  };

  it('never sees bytes that are no message', () => {
    let seen = 0;
    const { code, defects } = called(
      kind,
      onMessage(() => (seen += 1)),
      'x',
    );
    expect({ code, seen, defects }).toEqual({
      code: Status.INVALID_ARGUMENT,
      seen: 0,
      defects: [],
    });
  });

  it('answers what it throws, and tells of what no caller could cause', () => {
    const refusal = new BrokerError('UNKNOWN_TOPIC', 'No topic');
    const refused = called(
      kind,
      onMessage(() => {
        throw refusal;
      }),
      'hello',
    );
    expect([refused.code, refused.defects]).toEqual([Status.NOT_FOUND, []]);
    const failure = new TypeError('of undefined');
    const failed = called(
      kind,
      onMessage(() => {
        throw failure;
      }),
      'hello',
    );
    expect([failed.code, failed.defects]).toEqual([Status.INTERNAL, [failure]]);
  });
});

describe('a guarded unary handler', () => {
  it('bounds the words of a status', () => {
    const details = 'x'.repeat(100_000);
    const long = called(
      KINDS[0] as (typeof KINDS)[number],
      (_, answer) => answer({ code: Status.NOT_FOUND, details }),
      'hello',
    );
    expect([long.code, long.details.length]).toEqual([Status.NOT_FOUND, 1_000]);
  });
});
