/**
 * Keeps a copied data directory from displacing the broker that runs on the original: both state
 * one identity, and the later start wins. Knows only what the directory itself remembers: where it
 * was registered last.
 */
import { BrokerError } from '../../../base/errors.ts';
import { hostPort, internalAddress } from '../../../base/host-port.ts';
import type { BrokerId } from '../../../base/units.ts';
import { decodeImage, decodeRecords } from '../../metadata/codec.ts';
import type { BrokerState } from '../../metadata/types.ts';
import type { Durable } from '../../raft/types.ts';
import type { BrokerOptions } from '../options.ts';
import type { DirectoryMeta } from '../ports.ts';

type Registered = Pick<BrokerState, 'host' | 'port' | 'internal'>;

/** How long the process that may hold this directory has to answer. */
const PROBE_DEADLINE_MS = 1_000;

/**
 * Rejects with REFUSED when the address that this directory was registered with last is another
 * one, and a broker on the same directory answers there.
 */
export async function refuseCopy(
  given: Pick<BrokerOptions, 'brokerId' | 'advertised' | 'internalAdvertised' | 'peers'>,
  { directoryId }: DirectoryMeta,
  durable: Durable,
): Promise<void> {
  const { brokerId, advertised, internalAdvertised: own, peers } = given;
  const last = lastRegistration(durable, brokerId);
  if (last === null) return;
  const internal = internalAddress(last);
  if (internal.host === own.host && internal.port === own.port) return;
  const holder = await peers.probe(internal, PROBE_DEADLINE_MS).catch(() => null);
  if (holder === null || holder.directoryId !== directoryId) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot start broker ${brokerId} at ${hostPort(advertised.host, advertised.port)}: directory ${directoryId} is in use by the broker at ${hostPort(last.host, last.port)} ` +
      `(broker epoch ${holder.brokerEpoch}), so this is a copy of it; stop that broker to go on with the copy, or start here with an empty directory`,
  );
}

/**
 * Where a broker was registered last, as far as this log goes; committed or not does not matter for
 * a question.
 */
function lastRegistration({ snapshot, entries }: Durable, brokerId: BrokerId): Registered | null {
  for (const { kind, data } of entries.toReversed()) {
    const records = kind === 'data' ? decodeRecords(data) : [];
    for (const record of records.toReversed()) {
      if (record.kind === 'broker-registered' && record.brokerId === brokerId) return record;
    }
  }
  if (snapshot === null || snapshot.data === '') return null;
  return decodeImage(snapshot.data).brokers.get(brokerId) ?? null;
}
