/**
 * Who may call what on an internal listener with TLS, and whom a caller may speak for: judged by
 * its certificate, never by configuration or by what it says. Without TLS there is no certificate,
 * and nothing is judged.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { BrokerError } from '../../base/errors.ts';
import type { Identity } from '../../base/identity.ts';
import { callerOf, isTls } from '../messages/speaker.ts';
import { wrapHandlers } from '../messages/wrap-handlers.ts';

/** Beside brokers, the operator administers, and asks brokers who they are. It never appends. */
const OF_OPERATOR =
  /^\/(?:tidemark\.v1\.AdminService\/|tidemark\.internal\.v1\.QuorumService\/Identify$)/;

type Handler = (call: unknown, ...rest: unknown[]) => unknown;

/**
 * Handlers that are reached only by who may. Throws REFUSED into the call.
 *
 * @param takesPlaintext who comes without TLS may do all: it is on the way to TLS
 */
export function admitting<Implementation extends UntypedServiceImplementation>(
  definition: ServiceDefinition<Implementation>,
  implementation: Implementation,
  { clusterId, takesPlaintext }: { readonly clusterId: string; readonly takesPlaintext: boolean },
): Implementation {
  return wrapHandlers<Handler, Implementation>(
    definition,
    implementation,
    (handler, { path }) =>
      (call, ...rest) => {
        if (!takesPlaintext || isTls(call)) judge(path, callerOf(call), clusterId);
        return handler(call, ...rest);
      },
  );
}

function judge(path: string, caller: Identity | null, clusterId: string): void {
  if (caller === null)
    throw new BrokerError('REFUSED', 'The certificate names no broker or operator of a cluster');
  if (caller.clusterId !== clusterId)
    throw new BrokerError(
      'WRONG_CLUSTER',
      `The certificate is of cluster "${caller.clusterId}", must be of "${clusterId}"`,
    );
  if (caller.kind !== 'broker' && !OF_OPERATOR.test(path))
    throw new BrokerError('REFUSED', `The operator may not call ${path}`);
}
