/**
 * Keeps a copied data directory from displacing the broker that runs on the original: both state
 * one identity, and the later start wins. Knows only what the directory itself remembers: where it
 * was registered last.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { decodeImage, decodeRecords } from '../../metadata/codec.ts';
import type { Durable } from '../../raft/types.ts';
import type { BrokerOptions } from '../options.ts';
import type { Address, DirectoryMeta } from '../ports.ts';

/** How long the process that may hold this directory has to answer. */
const PROBE_DEADLINE_MS = 1_000;

/**
 * Rejects with REFUSED when the address that this directory was registered with last is another
 * one, and a broker on the same directory answers there.
 */
export async function refuseCopy(
  { brokerId, advertised, peers }: Pick<BrokerOptions, 'brokerId' | 'advertised' | 'peers'>,
  { directoryId }: DirectoryMeta,
  durable: Durable,
): Promise<void> {
  const last = lastAddress(durable, brokerId);
  if (last === null || (last.host === advertised.host && last.port === advertised.port)) return;
  const holder = await peers.probe(last, PROBE_DEADLINE_MS).catch(() => null);
  if (holder === null || holder.directoryId !== directoryId) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot start broker ${brokerId} at ${advertised.host}:${advertised.port}: directory ${directoryId} is in use by the broker at ${last.host}:${last.port} ` +
      `(broker epoch ${holder.brokerEpoch}), so this is a copy of it; stop that broker to go on with the copy, or start here with an empty directory`,
  );
}

/**
 * Where a broker was registered last, as far as this log goes; committed or not does not matter for
 * a question.
 */
function lastAddress({ snapshot, entries }: Durable, brokerId: BrokerId): Address | null {
  for (const { kind, data } of entries.toReversed()) {
    const records = kind === 'data' ? decodeRecords(data) : [];
    for (const record of records.toReversed()) {
      if (record.kind === 'broker-registered' && record.brokerId === brokerId)
        return { host: record.host, port: record.port };
    }
  }
  if (snapshot === null || snapshot.data === '') return null;
  const broker = decodeImage(snapshot.data).brokers.get(brokerId);
  return broker === undefined ? null : { host: broker.host, port: broker.port };
}
