/**
 * What a cluster was like where its record is lost, or never was: nobody has asked for anything
 * else. Pure.
 */
import { issuesForClients } from '../api/listeners.ts';
import { BROKER_CONTAINER } from '../api/names.ts';
import type { LogCluster, Resources, TlsPhase } from '../api/types.ts';
import type { KubeObject } from '../api/kinds.ts';
import { tlsPhaseOf } from '../objects/pod.ts';
import type { RecordedTemplate } from '../objects/template.ts';
import { resourcesOf } from '../objects/workload.ts';

/** Its image; null where nothing tells. */
export function imageBefore(
  { status }: LogCluster,
  pods: readonly { readonly pod: KubeObject }[],
): string | null {
  const inPods = pods.flatMap(({ pod }) => {
    const { containers = [] } = (pod['spec'] ?? {}) as {
      readonly containers?: readonly { readonly name?: string; readonly image?: string }[];
    };
    const image = containers.find(({ name }) => name === BROKER_CONTAINER)?.image;
    return image === undefined ? [] : [image];
  });
  return [status?.image, ...inPods].find((image) => image !== undefined && image !== '') ?? null;
}

/**
 * Resources that its brokers have; absent where there is none yet.
 *
 * @param set the StatefulSet, which is nearer to what was wanted than pods that a policy may fill
 */
export function resourcesBefore(
  set: KubeObject | undefined,
  pods: readonly { readonly pod: KubeObject }[],
): { readonly resources?: Resources } {
  const { template = {} } = (set?.['spec'] ?? {}) as { readonly template?: object };
  const [first] = [template, ...pods.map(({ pod }) => pod)].flatMap((of) => resourcesOf(of) ?? []);
  return first === undefined ? {} : { resources: first };
}

const PHASES: readonly TlsPhase[] = ['Plaintext', 'Allow', 'Prefer', 'Require'];

/**
 * How far its brokers are from plaintext to TLS. Of two phases among pods the first: whoever is in
 * it understands those in the other. A cluster that was formed before this was written down has no
 * TLS.
 *
 * @param pods phases of all pods
 */
export function tlsPhaseBefore(
  { spec, status }: LogCluster,
  recorded: RecordedTemplate | null,
  pods: readonly TlsPhase[],
): TlsPhase {
  if (recorded !== null) return tlsPhaseOf(recorded.template);
  const inPods = PHASES.find((phase) => pods.includes(phase));
  if (inPods !== undefined) return inPods;
  const { internalTls, clusterId } = status ?? {};
  const mode =
    internalTls?.mode ??
    (clusterId === undefined ? (spec.internalTls.mode ?? 'Enabled') : 'Disabled');
  return internalTls?.phase ?? (mode === 'Enabled' ? 'Require' : 'Plaintext');
}

/** Brokers in plaintext have no certificates for clients either. */
export function clientTlsFault({ spec }: LogCluster, phase: TlsPhase): string | null {
  return phase === 'Plaintext' && issuesForClients(spec)
    ? 'clientTls.secretName is missing, must be given while the brokers have no certificates of the operator (status.internalTls): turn internalTls.mode on first'
    : null;
}
