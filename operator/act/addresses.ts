/** The Services of listeners, and where clients dial each broker, for the brokers to read. */
import { CONFIG_MAP, type Kind, type KubeObject, type ObjectName } from '../api/kinds.ts';
import type { LogCluster } from '../api/types.ts';
import {
  buildAddresses,
  buildListenerServices,
  type ListenerAddresses,
} from '../objects/listeners.ts';
import { isControlledBy } from '../objects/owners.ts';
import type { Manifest } from '../objects/workload.ts';
import type { CallOptions } from './calls.ts';
import { OutdatedError } from './outdated.ts';

/** As far as it is used here. */
interface Api {
  get(type: Kind, name: ObjectName, options: CallOptions): Promise<KubeObject | undefined>;
  apply(type: Kind, object: KubeObject, options: CallOptions): Promise<KubeObject>;
}

/** Never over one of somebody else. It is read uncached: nothing waits until a cache shows it. */
export async function applyAddresses(
  api: Api,
  cluster: LogCluster,
  addresses: readonly ListenerAddresses[],
  signal: AbortSignal,
): Promise<void> {
  const manifest = buildAddresses(cluster, addresses);
  const { namespace, name } = manifest.metadata;
  const live = await api.get(CONFIG_MAP, { namespace, name }, { signal });
  if (live !== undefined && !isControlledBy(live, cluster.metadata.uid))
    throw new Error(`ConfigMap ${namespace}/${name} is not of this LogCluster`);
  const uid = live === undefined ? {} : { uid: live.metadata.uid };
  const metadata = { ...manifest.metadata, ...uid };
  await api.apply(CONFIG_MAP, { ...manifest, metadata } as unknown as KubeObject, { signal });
}

/** The Service of that name. Throws {@link OutdatedError} where no listener has it any more. */
export function serviceOf(
  cluster: LogCluster,
  addresses: readonly ListenerAddresses[] | undefined,
  name: string,
): Manifest {
  const brokers = addresses?.[0]?.brokers.length ?? 0;
  const found = buildListenerServices(cluster, brokers).find((each) => each.metadata.name === name);
  if (found === undefined) throw new OutdatedError(`no listener has Service ${name}`);
  return found;
}
