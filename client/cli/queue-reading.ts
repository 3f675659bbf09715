/** Takes records from a queue, for `tidemark read --queue`. */
import type { QueueConsumer } from '../index.ts';
import type { Batch } from './member-reading.ts';

/** How far it reads. */
export interface QueueReading {
  /** Writes it; true: that was enough. */
  readonly take: (item: Batch) => Promise<boolean>;
  readonly interrupted: AbortSignal;
  /** False: until nothing has come for a while. */
  readonly follow: boolean;
}

/** A queue has no end: without --follow, nothing more is waited for after so long. */
const IDLE_MS = 2_000;

/**
 * Resolves at the end, or when `take` says that it is enough. Each record is accepted once it was
 * taken; answers are awaited while the next ones are, and all of them in the end.
 */
export async function readFromQueue(
  member: QueueConsumer,
  { take, interrupted, follow }: QueueReading,
): Promise<void> {
  let failure: unknown;
  let idle: NodeJS.Timeout | undefined;
  const expectMore = (): void => {
    if (!follow) idle = setTimeout(() => void member.close(), IDLE_MS);
  };
  expectMore();
  try {
    for await (const job of member.jobs({ signal: interrupted })) {
      clearTimeout(idle);
      const { topic, partition, leaderEpoch } = job;
      const isEnough = await take({ topic, partition, leaderEpoch, records: [job] });
      job.accept().catch((error: unknown) => (failure ??= error));
      if (isEnough || failure !== undefined) break;
      expectMore();
    }
  } finally {
    clearTimeout(idle);
  }
  if (failure !== undefined) throw failure as Error;
}
