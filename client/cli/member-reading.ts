/** Reads as a member of a group, for `tidemark read --group`. */
import type { ConsumedRecord, GroupConsumer, LossRange, RecordBatch } from '../index.ts';

/** What is written at a time. */
export type Batch = Pick<RecordBatch, 'topic' | 'partition' | 'leaderEpoch' | 'records'>;

/** How far it reads. */
export interface MemberReading {
  /** Writes it; true: that was enough. */
  readonly take: (item: Batch | LossRange) => Promise<boolean>;
  readonly interrupted: AbortSignal;
  /** False: until its partitions are read to their ends. */
  readonly follow: boolean;
  /** Called when others have all partitions, so that nothing is left to read. */
  readonly onIdle: () => void;
}

const LOOK_MS = 100;
/** So long the others are given to let go of partitions for a member that came. */
const IDLE_LOOKS = 50;

/**
 * Resolves at the end, or when `take` says that it is enough. Each record counts as handled once it
 * was taken, so that a cursor stands right behind the last of them, in the middle of a batch too.
 */
export async function readAsMember(
  member: GroupConsumer<Uint8Array, Uint8Array, LossRange>,
  { take, interrupted, follow, onIdle }: MemberReading,
): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, interrupted]);
  let idleLooks = 0;
  let running = 0;
  const look = (): void => {
    if (running > 0 || member.memberId === undefined) return;
    idleLooks = member.assigned().length === 0 ? idleLooks + 1 : 0;
    if (idleLooks >= IDLE_LOOKS) onIdle();
    if (idleLooks >= IDLE_LOOKS || member.lag() === 0) enough.abort();
  };
  const looking = follow ? undefined : setInterval(look, LOOK_MS);
  const handle = async (record: ConsumedRecord | LossRange): Promise<void> => {
    if (enough.signal.aborted) return;
    running += 1;
    const item = 'kind' in record ? record : { ...record, records: [record] };
    if (await take(item)) enough.abort();
    running -= 1;
  };
  try {
    await member.run(handle, { concurrency: 1, order: 'partition', recordsMax: 1_000 }, { signal });
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  } finally {
    clearInterval(looking);
  }
}
