/** Reads by plain calls, for `tidemark read --plain`. */
import type {
  ConsumedRecord,
  LossRange,
  PlainCalls,
  PlainPart,
  PlainReadOptions,
} from '../index.ts';
import type { Batch } from './member-reading.ts';

/** How far it reads. */
export interface PlainReading extends PlainReadOptions {
  /** Writes it; true: that was enough. */
  readonly take: (item: Batch | LossRange) => Promise<boolean>;
}

/** Resolves at the end, or when `take` says that it is enough. */
export async function readPlain(
  calls: PlainCalls,
  topic: string,
  { take, ...options }: PlainReading,
): Promise<void> {
  try {
    for await (const part of calls.read(topic, options)) if (await takeAll(part, take)) return;
  } catch (error) {
    if (options.signal?.aborted !== true) throw error;
  }
}

/** True: that was enough. */
async function takeAll(
  { records, losses }: PlainPart,
  take: PlainReading['take'],
): Promise<boolean> {
  for (const item of [...losses, ...batchesOf(records)]) if (await take(item)) return true;
  return false;
}

/** Records side by side of one partition and epoch. */
function batchesOf(records: readonly ConsumedRecord[]): readonly Batch[] {
  const batches: (Batch & { readonly records: ConsumedRecord[] })[] = [];
  for (const record of records) {
    const { topic, partition, leaderEpoch } = record;
    const last = batches.at(-1);
    if (last?.partition === partition && last.leaderEpoch === leaderEpoch)
      last.records.push(record);
    else batches.push({ topic, partition, leaderEpoch, records: [record] });
  }
  return batches;
}
