import { describe, expect, test } from 'vitest';
import {
  TOPIC_CONFIG_DEFAULTS,
  topicNameFault,
  validateTopicConfig,
} from '../../../../broker/metadata/config.ts';

describe('validateTopicConfig()', () => {
  test('fills absent configs from the defaults', () => {
    const { config, faults } = validateTopicConfig({ retentionMs: -1 }, TOPIC_CONFIG_DEFAULTS, {
      replicationFactor: 3,
    });
    expect(faults).toEqual([]);
    expect(config).toEqual({ ...TOPIC_CONFIG_DEFAULTS, retentionMs: -1 });
  });

  test('reports every fault at once, naming field, value and what is allowed', () => {
    const partial = {
      minInSyncReplicas: 3,
      commitMode: 'quorum',
      segmentMs: 10,
      retentionMs: -2,
      colour: 'red',
    } as object;
    const { faults } = validateTopicConfig(partial, TOPIC_CONFIG_DEFAULTS, {
      replicationFactor: 2,
    });
    expect(faults).toEqual([
      'colour is not a config, must be one of minInSyncReplicas, commitMode, retentionMs, retentionBytes, retentionRecords, segmentBytes, segmentMs, batchBytesMax, uncleanElection, cleanup, tombstoneRetentionMs, compactionDirtyPercent, compactionLagMinMs, compactionLagMaxMs',
      'retentionMs is -2, must be -1 or a whole number from 0 to 9007199254740991',
      'segmentMs is 10, must be a whole number from 1000 to 31536000000',
      'minInSyncReplicas is 3, must be at most replicationFactor (2)',
      'commitMode is "quorum", must be "in-sync" while replicationFactor (2) is below 3',
    ]);
  });

  test('leaves a value alone that an older build took, until it is given again', () => {
    const old = { ...TOPIC_CONFIG_DEFAULTS, batchBytesMax: 16 * 1024 * 1024 };
    const { batchBytesMax } = old;
    expect(validateTopicConfig({ retentionMs: -1 }, old, { replicationFactor: 3 }).faults).toEqual(
      [],
    );
    expect(validateTopicConfig({ batchBytesMax }, old, { replicationFactor: 3 }).faults).toEqual([
      'batchBytesMax is 16777216, must be a whole number from 1024 to 8388608',
    ]);
  });

  test('bounds what compaction is told, and how its two ages relate', () => {
    const given = {
      cleanup: 'gone',
      tombstoneRetentionMs: -1,
      compactionDirtyPercent: 101,
      compactionLagMinMs: 7,
      compactionLagMaxMs: 6,
      retentionRecords: -2,
    } as object;
    const { faults } = validateTopicConfig(given, TOPIC_CONFIG_DEFAULTS, { replicationFactor: 3 });
    expect(faults).toEqual([
      'retentionRecords is -2, must be -1 or a whole number from 0 to 9007199254740991',
      'cleanup is "gone", must be "delete" or "compact" or "both"',
      'tombstoneRetentionMs is -1, must be a whole number from 0 to 9007199254740991',
      'compactionDirtyPercent is 101, must be a whole number from 1 to 100',
      'compactionLagMaxMs is 6, must be -1 or at least compactionLagMinMs (7)',
    ]);
    const without = { compactionLagMinMs: 7, compactionLagMaxMs: -1 };
    expect(
      validateTopicConfig(without, TOPIC_CONFIG_DEFAULTS, { replicationFactor: 3 }).faults,
    ).toEqual([]);
  });

  test('refuses a default that does not fit the replication factor instead of clamping it (rule 8)', () => {
    const { faults } = validateTopicConfig({}, TOPIC_CONFIG_DEFAULTS, { replicationFactor: 1 });
    expect(faults).toEqual(['minInSyncReplicas is 2, must be at most replicationFactor (1)']);
  });
});

describe('topicNameFault()', () => {
  test.each([
    { name: 'orders', fault: null },
    { name: 'a.b_c-9', fault: null },
    { name: 'a'.repeat(249), fault: null },
    { name: '', fault: 'name has 0 characters, must have 1 to 249' },
    { name: 'a'.repeat(250), fault: 'name has 250 characters, must have 1 to 249' },
    { name: '..', fault: 'name is "..", must not be "." or ".."' },
    { name: 'a/b', fault: 'name is "a/b", must consist of a-z, A-Z, 0-9, ".", "_" and "-"' },
    { name: 'a\n', fault: 'name is "a\n", must consist of a-z, A-Z, 0-9, ".", "_" and "-"' },
    {
      name: '__cursors',
      fault: 'name is "__cursors", must not start with "__", which is reserved',
    },
  ])('says $fault of "$name"', ({ name, fault }) => {
    expect(topicNameFault(name)).toBe(fault);
  });
});
