/**
 * The one way in: every handler of every service, public, internal, health or reflection, is called
 * through here. Bytes that are no message never reach it, what it throws becomes the status of its
 * call, and words in a status have a bound. So no message ends a process, whoever wrote the
 * handler.
 */
import {
  type MethodDefinition,
  type sendUnaryData,
  type ServiceDefinition,
  status as Status,
  type StatusObject,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { boundedText, errorToStatus } from '../../wire/grpc/errors.ts';
import {
  checkedDefinition,
  expected,
  failCall,
  type ReportDefect,
  wellFormed,
} from './handlers.ts';
import { wrapHandlers } from './wrap-handlers.ts';

/** As far as the guard uses a call of any kind. */
interface Call {
  readonly request?: unknown;
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  emit(event: 'error', status: unknown): boolean;
}

type Answer = sendUnaryData<unknown>;
type Handler = (call: Call, answer: Answer) => unknown;
type Method = MethodDefinition<unknown, unknown>;

/** A service whose handlers see only messages of their type, and can fail only their own call. */
export function guarded<Implementation extends UntypedServiceImplementation>(
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  report: ReportDefect,
): {
  readonly definition: ServiceDefinition<Implementation>;
  readonly implementation: Implementation;
} {
  return {
    definition: checkedDefinition(definition),
    implementation: wrapHandlers<Handler, Implementation>(
      definition,
      implementation,
      (handler, method) => guard(method, handler, report),
    ),
  };
}

function guard(method: Method, handler: Handler, report: ReportDefect): Handler {
  if (method.requestStream) {
    return (call) => {
      const fail = (error: unknown): void => failCall(call, expected(error, report));
      attempt(() => handler(guardedEvents(call, fail), () => {}), fail);
    };
  }
  if (method.responseStream) {
    return (call) => {
      const fail = (error: unknown): void => failCall(call, expected(error, report));
      attempt(() => {
        wellFormed(call.request);
        return handler(guardedEvents(call, fail), () => {});
      }, fail);
    };
  }
  return (call, answer) => {
    let isAnswered = false;
    const once: Answer = (failure, ...rest) => {
      if (isAnswered) return;
      isAnswered = true;
      answer(failure === null ? null : bounded(failure), ...rest);
    };
    attempt(
      () => {
        wellFormed(call.request);
        return handler(call, once);
      },
      (error) => once(errorToStatus(expected(error, report))),
    );
  };
}

/** Calls back with what is thrown, at once or by a promise. */
function attempt(run: () => unknown, fail: (error: unknown) => void): void {
  try {
    const result = run();
    if (result instanceof Promise) result.catch(fail);
  } catch (error) {
    fail(error);
  }
}

/** The call, with every listener that is added to it guarded as the handler is. */
function guardedEvents(call: Call, fail: (error: unknown) => void): Call {
  const on = call.on.bind(call);
  let isFailed = false;
  const failOnce = (error: unknown): void => {
    if (isFailed) return;
    isFailed = true;
    fail(error);
  };
  call.on = (event, listener) =>
    on(event, (...values) => {
      // After its end a stream is told no more messages, and still all that it must clean up.
      if (event === 'data' && isFailed) return;
      attempt(() => {
        if (event === 'data') wellFormed(values[0]);
        listener(...values);
      }, failOnce);
    });
  return call;
}

function bounded(failure: Parameters<Answer>[0]): Parameters<Answer>[0] {
  const { details = '', code = Status.UNKNOWN, metadata } = failure as Partial<StatusObject>;
  const short = boundedText(details);
  if (short === details) return failure;
  return { code, details: short, ...(metadata === undefined ? {} : { metadata }) };
}
