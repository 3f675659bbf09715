/**
 * The listener that a call came by, for what is told by it: where clients of that listener reach
 * the brokers. Calls of the simulator, and of a listener that marks none, came by the one for
 * clients that every broker has.
 */
import { CLIENT_LISTENER } from '../../base/listeners.ts';
import type { ServiceHost } from '../../wire/grpc/channel.ts';
import { wrapHandlers } from './wrap-handlers.ts';

const LISTENER = Symbol('listener');

type Handler = (call: object, ...rest: unknown[]) => unknown;

/** Name of the listener. */
export function listenerOf(call: unknown): string {
  return (call as { readonly [LISTENER]?: string })[LISTENER] ?? CLIENT_LISTENER;
}

/** Calls of what is added here came by this listener. */
export function comingBy(listener: string, server: ServiceHost): ServiceHost {
  return {
    add: (definition, implementation) => {
      const marked = wrapHandlers<Handler, typeof implementation>(
        definition,
        implementation,
        (handler) =>
          (call, ...rest) => {
            Object.assign(call, { [LISTENER]: listener });
            return handler(call, ...rest);
          },
      );
      server.add(definition, marked);
    },
  };
}
