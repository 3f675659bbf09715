/** Where the batch of an offset begins: a log can begin only there. */
import { frameBaseOffset } from '../../../wire/batch/frame.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Offset } from '../../../base/units.ts';
import type { PartitionLog } from '../ports.ts';

type Log = Pick<PartitionLog, 'read'>;

/**
 * Of an offset that the log does not hold below `readEnd`, that offset. Rejects as the log does
 * where it cannot be read, and as `readEnd`, which is asked before and after.
 */
export async function batchStart(log: Log, offset: Offset, readEnd: () => Offset): Promise<Offset> {
  for (;;) {
    const upTo = readEnd();
    const start = await startBelow(log, offset, upTo);
    const upToNow = readEnd();
    // What was committed meanwhile was not looked at.
    if (start <= upTo || start > upToNow) return start;
  }
}

async function startBelow(log: Log, offset: Offset, readEnd: Offset): Promise<Offset> {
  try {
    const [chunk] = (await log.read(offset, readEnd, 1)).chunks;
    return chunk === undefined ? offset : frameBaseOffset(chunk, 0);
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'OFFSET_OUT_OF_RANGE') return offset;
    throw error;
  }
}
