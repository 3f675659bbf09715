/** What is read again of a partition, and when a record counts as gone. */
import { describe, expect, it } from 'vitest';
import {
  BrokerQueueWorld,
  type RecordPlace,
} from '../../../../../broker/service/queues/queue-world.ts';
import { control, frame } from '../../../../fixtures/frames.ts';
import { keyedFrame } from '../../../../fixtures/keyed-log.ts';
import { PLACE, ScriptedLog } from './scripted-log.ts';

const two = (baseOffset: number, epoch = 1) =>
  keyedFrame(baseOffset, [{ value: 'a' }, { value: 'b' }], { epoch });

/** Offsets that were found. */
async function foundIn(log: ScriptedLog, wanted: readonly RecordPlace[]): Promise<number[]> {
  const world = new BrokerQueueWorld({
    ...{ ...log.parts(), memoryBytes: 1024 * 1024 },
    appender: { append: () => Promise.reject(new Error('unused')) },
  });
  return [...(await log.settle(world.recordsAt(PLACE, wanted))).keys()];
}

describe('BrokerQueueWorld.recordsAt()', () => {
  it('finds records where they are, and those alone', async () => {
    const log = new ScriptedLog([control(0, 1, 0), two(1), two(3)]);
    const wanted = [1, 4].map((offset) => ({ offset, epoch: 1 }));
    expect(await foundIn(log, wanted)).toEqual([1, 4]);
  });

  it('leaves out what was taken from the log, and what is another record by now', async () => {
    const log = new ScriptedLog([two(3), control(5, 2, 5), two(6, 2)]);
    log.logStart = 3;
    log.leaderEpoch = 2;
    const wanted = [...[2, 3, 6].map((offset) => ({ offset, epoch: 1 })), { offset: 7, epoch: 2 }];
    expect(await foundIn(log, wanted)).toEqual([3, 7]);
  });

  it('takes nothing for gone that a new leader does not know to be committed yet', async () => {
    const log = new ScriptedLog([control(0, 1, 0), two(1), two(3), control(5, 2, 5)]);
    log.leaderEpoch = 2;
    log.highWaterMark = 3;
    await expect(foundIn(log, [{ offset: 3, epoch: 1 }])).rejects.toMatchObject({
      code: 'OFFSET_NOT_AVAILABLE',
    });
    // What lies below is read, and the rest is asked for again.
    await expect(
      foundIn(log, [
        { offset: 1, epoch: 1 },
        { offset: 4, epoch: 1 },
      ]),
    ).rejects.toMatchObject({ code: 'OFFSET_NOT_AVAILABLE' });
  });

  it('takes nothing for gone by the word of a leader of before', async () => {
    const log = new ScriptedLog([control(0, 1, 0), two(1)]);
    await expect(foundIn(log, [{ offset: 4, epoch: 2 }])).rejects.toMatchObject({
      code: 'OFFSET_NOT_AVAILABLE',
    });
  });

  it('finds records behind a batch that nobody can read', async () => {
    const poison = frame(3, { records: 2, payloadBytes: 9, fill: 0xff });
    const log = new ScriptedLog([control(0, 1, 0), two(1), poison, two(5)]);
    const wanted = [2, 6].map((offset) => ({ offset, epoch: 1 }));
    expect(await foundIn(log, wanted)).toEqual([2, 6]);
  });

  it('leaves out what an election cut', async () => {
    const log = new ScriptedLog([control(0, 1, 0), two(1), control(3, 3, 3)]);
    log.leaderEpoch = 3;
    const wanted = [
      { offset: 2, epoch: 1 },
      { offset: 3, epoch: 1 },
      { offset: 5, epoch: 1 },
      { offset: 9, epoch: 2 },
    ];
    expect(await foundIn(log, wanted)).toEqual([2]);
  });
});
