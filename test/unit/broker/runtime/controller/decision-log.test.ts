import { describe, expect, it } from 'vitest';
import type { PartitionDecision } from '../../../../../broker/metadata/explain.ts';
import {
  DECISIONS_MAX,
  DECISIONS_OF_PARTITION_MAX,
  DecisionLog,
} from '../../../../../broker/runtime/controller/decision-log.ts';

const STAND = {
  leader: 1,
  leaderEpoch: 1,
  partitionEpoch: 1,
  syncSet: [1],
  suspects: [],
  quorum: 1,
};

function decision(topicId: string, partition = 0): PartitionDecision {
  const reasons = [{ text: 'because', rule: 'rule 1' }];
  return { topicId, partition, before: null, after: STAND, reasons };
}

describe('DecisionLog', () => {
  it('keeps the newest of each partition, oldest first', () => {
    const log = new DecisionLog();
    for (let index = 1; index <= DECISIONS_OF_PARTITION_MAX + 3; index += 1)
      log.note(index, 1_000 + index, [decision('t')]);
    log.note(99, null, [decision('t', 1)]);
    const kept = log.of('t', 0);
    expect(kept).toHaveLength(DECISIONS_OF_PARTITION_MAX);
    expect(kept[0]).toEqual({ ...decision('t'), index: 4, atMs: 1_004 });
    expect(log.of('t', 1)).toEqual([{ ...decision('t', 1), index: 99, atMs: null }]);
    expect(log.of('other', 0)).toEqual([]);
  });

  it('forgets first what lies longest unchanged, and a topic with its last decision', () => {
    const log = new DecisionLog();
    log.note(1, 0, [decision('old'), decision('changed')]);
    for (let partition = 0; partition < DECISIONS_MAX - 2; partition += 1)
      log.note(2, 0, [decision('many', partition)]);
    log.note(3, 0, [decision('changed')]);
    expect(log.of('old', 0)).toEqual([]);
    expect(log.of('changed', 0).map(({ index }) => index)).toEqual([1, 3]);
    log.note(4, 0, [decision('new')]);
    expect(log.of('many', 0)).toEqual([]);
    expect(log.of('many', 1)).toHaveLength(1);
    log.forget('many');
    expect(log.of('many', 1)).toEqual([]);
    for (let partition = 0; partition < DECISIONS_MAX - 3; partition += 1)
      log.note(5, 0, [decision('again', partition)]);
    expect(log.of('changed', 0)).toHaveLength(2);
  });

  it('says from where on it remembers', () => {
    const log = new DecisionLog();
    expect(log.rememberedFrom).toBe(0);
    log.skippedTo(41);
    expect(log.rememberedFrom).toBe(42);
  });
});
