import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import type { PartitionStatus } from '../../../../../broker/replication/partition.ts';
import {
  checkReadPosition,
  type ReadPosition,
  type ServedReplica,
} from '../../../../../broker/runtime/partitions/read-position.ts';

const STATUS: PartitionStatus = {
  role: 'leader',
  leader: 1,
  leaderEpoch: 5,
  partitionEpoch: 1,
  logStart: 10,
  undecidedTo: 0,
  logEnd: 40,
  writtenEnd: 40,
  highWaterMark: 30,
  syncedOffset: 30,
  syncSet: [1, 2],
  quorum: 2,
  suspects: [],
  followers: [],
  belowMin: false,
  isUnderReplicated: false,
  appendsPending: 0,
  isDrained: false,
  isMatched: false,
};

/** What a replica says to a position: `ok`, or the code of its error. */
function answer(
  position: Partial<ReadPosition>,
  { status = {}, leader = 1 }: { status?: Partial<PartitionStatus>; leader?: number } = {},
): string {
  const served: ServedReplica = {
    name: 'orders/0',
    self: 1,
    status: { ...STATUS, ...status },
    marks: {
      isLeader: leader === 1,
      leader,
      leaderEpoch: 5,
      logStart: 10,
      highWaterMark: 30,
      latest: 30,
      earliest: 10,
    },
    isHeard: true,
    divergence: () => null,
  };
  try {
    checkReadPosition(
      { offset: 20, epoch: 0, bytesMax: 1, allowFollower: false, ...position },
      served,
    );
    return 'ok';
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
}

describe('checkReadPosition()', () => {
  it.each([
    { name: 'below the start', offset: 9, expected: 'OFFSET_OUT_OF_RANGE' },
    { name: 'at the start', offset: 10, expected: 'ok' },
    { name: 'between the mark and the end', offset: 35, expected: 'ok' },
    { name: 'beyond the end', offset: 41, expected: 'OFFSET_OUT_OF_RANGE' },
  ])('of a position $name is $expected', ({ offset, expected }) => {
    expect(answer({ offset })).toBe(expected);
  });

  it.each([
    { offset: 9, expected: 'OFFSET_OUT_OF_RANGE' },
    { offset: 10, expected: 'OFFSET_NOT_AVAILABLE' },
    { offset: 24, expected: 'OFFSET_NOT_AVAILABLE' },
    { offset: 25, expected: 'ok' },
  ])('of $offset below an undecided trim to 25 is $expected', ({ offset, expected }) => {
    expect(answer({ offset }, { status: { undecidedTo: 25 } })).toBe(expected);
    const following = { status: { undecidedTo: 25 }, leader: 2 };
    expect(answer({ offset, allowFollower: true }, following)).toBe(expected);
  });

  it('of a broker that does not lead is NOT_LEADER, unless followers may answer', () => {
    expect(answer({}, { leader: 2 })).toBe('NOT_LEADER');
    expect(answer({ allowFollower: true }, { leader: 2 })).toBe('ok');
    const suspect = { leader: 2, status: { suspects: [1] } };
    expect(answer({ allowFollower: true, inSyncOnly: true }, suspect)).toBe('NOT_LEADER');
  });
});
