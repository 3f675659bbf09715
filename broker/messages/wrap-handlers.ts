/** Handlers within others: who judges, counts or delays calls stands around each of a service. */
import type {
  MethodDefinition,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

/** The same service, each of its handlers within what `wrap` makes of it. */
export function wrapHandlers<Handler, Implementation extends UntypedServiceImplementation>(
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  wrap: (handler: Handler, method: MethodDefinition<unknown, unknown>) => Handler,
): Implementation {
  const methods = Object.entries<MethodDefinition<unknown, unknown>>(
    definition as ServiceDefinition,
  );
  const handlers = methods.flatMap(([name, method]) => {
    const handler = implementation[name] as Handler | undefined;
    return handler === undefined ? [] : [[name, wrap(handler, method)] as const];
  });
  return Object.fromEntries(handlers) as unknown as Implementation;
}
