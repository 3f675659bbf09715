/** Reads a log as its consumers do. */
import type { Random } from '../../../base/random.ts';
import type { PartitionLog } from '../../../broker/runtime/ports.ts';
import { framesOf } from '../../fixtures/frames.ts';
import type { TestFrame } from '../../fixtures/frames.ts';

/** Every frame of a log that was just opened. */
export async function readLog(log: PartitionLog, random: Random): Promise<TestFrame[]> {
  const { startOffset, endOffset } = log.recovery.state;
  const frames: TestFrame[] = [];
  for (let offset = startOffset; offset < endOffset; ) {
    const read = await log.read(offset, endOffset, random.pick([1, 500, 1 << 20]));
    if (read.nextOffset <= offset)
      throw new Error(`a read at ${offset} of ${endOffset} gave nothing`);
    frames.push(...framesOf(read));
    offset = read.nextOffset;
  }
  return frames;
}
