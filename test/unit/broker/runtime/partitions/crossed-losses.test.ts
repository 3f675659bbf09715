import { expect, it } from 'vitest';
import type { LossReport } from '../../../../../broker/metadata/types.ts';
import { crossedLosses } from '../../../../../broker/runtime/partitions/crossed-losses.ts';
import { EpochMap } from '../../../../../broker/replication/epochs.ts';

/** Epoch 1 ends at 10, 3 at 20, 4 at 30; 3 and 4 were elected uncleanly. */
const LOG = { startOffset: 0, endOffset: 30 };
const EPOCHS = new EpochMap([
  { epoch: 1, startOffset: 0 },
  { epoch: 3, startOffset: 10 },
  { epoch: 4, startOffset: 20 },
]);
const REPORTS = [report(4, 20), report(3, 8)];
const ALL = Number.MAX_SAFE_INTEGER;

function report(leaderEpoch: number, fromOffset: number): LossReport {
  return { topicId: 'id', topic: 't', partition: 0, leaderEpoch, leader: 1, fromOffset, atMs: 5 };
}

interface Way {
  readonly offset: number;
  readonly epoch: number;
  readonly upToEpoch: number;
}

function crossed(way: Way, epochs = EPOCHS, log = LOG): (readonly [number, number])[] {
  const found = crossedLosses(REPORTS, way, {
    logEnd: log.endOffset,
    epochBefore: (offset) => epochs.epochBefore(offset),
    endOf: (epoch) => epochs.endOf(epoch, log).endOffset,
  });
  return found.map(({ report: { leaderEpoch }, toOffset }) => [leaderEpoch, toOffset]);
}

it.each<readonly [string, Way, ReturnType<typeof crossed>]>([
  ['nothing within an epoch', { offset: 5, epoch: 1, upToEpoch: 1 }, []],
  ['what lies before the next epoch', { offset: 10, epoch: 1, upToEpoch: 3 }, [[3, 10]]],
  [
    'all that lies on the way, oldest first',
    { offset: 0, epoch: 0, upToEpoch: 4 },
    [
      [3, 10],
      [4, 20],
    ],
  ],
  ['nothing of what lies behind', { offset: 12, epoch: 3, upToEpoch: 4 }, [[4, 20]]],
  [
    'what lies at an offset that states no epoch',
    { offset: 10, epoch: 0, upToEpoch: 3 },
    [[3, 10]],
  ],
  ['nothing before an offset that states no epoch', { offset: 11, epoch: 0, upToEpoch: 3 }, []],
  ['nothing to who took note of it there', { offset: 10, epoch: 3, upToEpoch: 3 }, []],
  [
    'all since a position that was cut off',
    { offset: 99, epoch: 1, upToEpoch: ALL },
    [
      [3, 10],
      [4, 20],
    ],
  ],
  [
    'what reaches an offset beyond the end',
    { offset: 99, epoch: 0, upToEpoch: ALL },
    [
      [3, 10],
      [4, 20],
    ],
  ],
])('crossedLosses() names %s', (_, way, expected) => {
  expect(crossed(way)).toEqual(expected);
});

it('crossedLosses() goes by the epoch before a log start, where records were retired', () => {
  const log = { startOffset: 15, endOffset: 30 };
  const epochs = new EpochMap(
    [
      { epoch: 3, startOffset: 15 },
      { epoch: 4, startOffset: 20 },
    ],
    3,
  );
  expect(crossed({ offset: 15, epoch: 0, upToEpoch: 4 }, epochs, log)).toEqual([[4, 20]]);
  expect(crossed({ offset: 9, epoch: 1, upToEpoch: ALL }, epochs, log)).toEqual([
    [3, 15],
    [4, 20],
  ]);
});

it('crossedLosses() names the loss of everything to a reader of the start', () => {
  const epochs = new EpochMap([{ epoch: 4, startOffset: 0 }]);
  const log = { startOffset: 0, endOffset: 3 };
  const [first] = crossed({ offset: 0, epoch: 0, upToEpoch: 4 }, epochs, log);
  expect(first).toEqual([3, 0]);
});
