/** How letters are looked for: none may be overlooked that is committed. */
import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import type { QueueDefinition } from '../../../../../broker/metadata/types.ts';
import type { LetterResult } from '../../../../../broker/queues/types.ts';
import {
  carryOutLetters,
  type LetterParts,
  ORIGIN_HEADER,
} from '../../../../../broker/service/queues/letters.ts';
import { checkFrame, stampFrame } from '../../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../../wire/records/batch.ts';
import { control, frame, TOPIC, type TestFrame } from '../../../../fixtures/frames.ts';
import { TARGET } from '../../../../fixtures/keyed-log.ts';
import { PLACE, ScriptedLog } from './scripted-log.ts';

/** A letter of the record at that offset of the source. */
function letterAt(baseOffset: number, of: number): TestFrame {
  const value = Buffer.from(`jobs/${TOPIC}/0/${String(of)}/1`);
  const bytes = encodeBatch(
    [{ value: Buffer.from('x'), timestampMs: 1, headers: [{ key: ORIGIN_HEADER, value }] }],
    { codec: 0 },
    crc32,
  );
  stampFrame(bytes, 0, { baseOffset, leaderEpoch: 1, ...TARGET }, crc32);
  return { bytes, header: checkFrame(bytes, 0, crc32) };
}

/** What a search for the letters of records 7 and 8 tells. @param end as its leader vouches for */
async function searched(log: ScriptedLog, end: number | null): Promise<LetterResult> {
  const { cluster, ...rest } = log.parts();
  const image = { topics: new Map([[TOPIC, {}]]) };
  const parts = {
    ...{ ...rest, cluster: Object.assign(cluster, { image: () => image }) },
    end: () => Promise.resolve(end === null ? null : { offset: end, epoch: 1 }),
  };
  const letters = [7, 8].map((offset) => ({
    ...{ offset, epoch: 1, deliveries: 1, cause: 'rejected' as const, reason: '' },
  }));
  const from = { from: 1, epoch: 1 };
  const target = { topicId: TOPIC, partition: 0, ...from };
  const task = { kind: 'search' as const, taskId: 1, target, from, letters };
  const queue = {} as QueueDefinition;
  return log.settle(carryOutLetters(parts as unknown as LetterParts, queue, PLACE, task));
}

it('finds the letters that are there, up to the end that the leader vouches for', async () => {
  const log = new ScriptedLog([control(0, 1, 0), letterAt(1, 8), letterAt(2, 9)]);
  expect(await searched(log, 3)).toEqual({
    ...{ kind: 'searched', offsets: [8], end: { from: 3, epoch: 1 } },
  });
});

it('finds letters behind what others wrote and nobody can read', async () => {
  const poison = frame(1, { records: 1, payloadBytes: 9, fill: 0xff });
  const log = new ScriptedLog([control(0, 1, 0), poison, letterAt(2, 8)]);
  expect(await searched(log, 3)).toMatchObject({ kind: 'searched', offsets: [8] });
});

it('says nothing of letters while no leader knows what is committed', async () => {
  const log = new ScriptedLog([control(0, 1, 0), letterAt(1, 8)]);
  expect(await searched(log, null)).toEqual({ kind: 'failed' });
  // Another leads by the time that it is read.
  log.highWaterMark = 1;
  expect(await searched(log, 2)).toEqual({ kind: 'failed' });
});
