/**
 * Reads the records of leases that were given a moment ago, for as long as that takes. Meanwhile
 * the leases are extended: were they put back for want of their records, each try would use up a
 * delivery that nobody ever had, and a member counts its lease from when the records come.
 */
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { MonotonicMs, Offset } from '../../../base/units.ts';
import type { DecodedRecord } from '../../../wire/records/record-set.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { Delivery } from '../../queues/types.ts';
import type { OwnedQueue } from '../../runtime/api.ts';
import { Backoff, isRetriable } from '../cluster.ts';
import type { BrokerQueueWorld } from './queue-world.ts';

/** Leases are as good as new for so long. */
const FRESH_MS = 50;

export interface LeasedRecordsParts {
  readonly clock: Clock;
  readonly world: Pick<BrokerQueueWorld, 'recordsAt'>;
  readonly report: ReportDefect;
  /** Nobody waits for them any more. */
  readonly isOver: () => boolean;
}

/** Leases that a member was given. */
export interface GivenLeases {
  readonly memberId: string;
  readonly deliveries: readonly Delivery[];
  readonly leasedAtMs: MonotonicMs;
}

/** What became of the leases. */
export interface LeasedRecords {
  /** Leased to the member yet, with their records. */
  readonly found: readonly (readonly [Delivery, DecodedRecord])[];
  /** Leased yet, and not to be had. */
  readonly unread: readonly Delivery[];
  /** Not in the log any more. */
  readonly gone: readonly Delivery[];
  /** Why some are unread; null: nobody waits for them. */
  readonly fault: BrokerError | null;
}

export async function leasedRecords(
  parts: LeasedRecordsParts,
  owned: OwnedQueue,
  { memberId, deliveries, leasedAtMs }: GivenLeases,
): Promise<LeasedRecords> {
  const { clock, isOver } = parts;
  let held = deliveries;
  const extend = async (): Promise<void> => {
    held = await extended(parts, owned, memberId, deliveries);
  };
  const cancel = clock.every(owned.definition.config.leaseMs / 3, () => void extend());
  const isOfNoUse = (): boolean => isOver() || held.length === 0;
  let read: ReadonlyMap<Offset, DecodedRecord> | BrokerError;
  try {
    read = await readAll(parts, owned, deliveries, isOfNoUse);
  } finally {
    cancel();
  }
  const isFresh = isOver() || clock.monotonicMs() - leasedAtMs < FRESH_MS;
  if (!isFresh) await extend();
  if (read instanceof BrokerError) return { found: [], unread: held, gone: [], fault: read };
  const found = held.flatMap((delivery) => {
    const record = read.get(delivery.offset);
    return record === undefined ? [] : [[delivery, record] as const];
  });
  const gone = deliveries.filter(({ offset }) => !read.has(offset));
  if (!isOver()) return { found, unread: [], gone, fault: null };
  return { found: [], unread: found.map(([delivery]) => delivery), gone, fault: null };
}

/** Tries until they are read, or it is of no use. */
async function readAll(
  { clock, world, report }: LeasedRecordsParts,
  owned: OwnedQueue,
  deliveries: readonly Delivery[],
  isOfNoUse: () => boolean,
): Promise<ReadonlyMap<Offset, DecodedRecord> | BrokerError> {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await world.recordsAt(owned.place, deliveries);
    } catch (thrown) {
      const error = expected(thrown, report);
      if (!isRetriable(error) || isOfNoUse()) return error;
      await new Promise<void>((resolve) => clock.after(backoff.nextMs(), resolve));
    }
  }
}

/** Those that the member has yet; none where the owner is none any more. */
async function extended(
  { report }: LeasedRecordsParts,
  owned: OwnedQueue,
  memberId: string,
  deliveries: readonly Delivery[],
): Promise<readonly Delivery[]> {
  const asked = deliveries.map((each) => ({ ...each, verdict: { kind: 'extend' as const } }));
  try {
    const outcomes = await owned.settle(memberId, asked);
    return deliveries.filter((_, at) => outcomes[at] === 'done');
  } catch (error) {
    expected(error, report);
    return [];
  }
}
