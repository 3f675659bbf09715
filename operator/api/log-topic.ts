/**
 * The table of LogTopic: every field of its spec with bounds, default and description, and the
 * rules between them. Pure.
 */
import {
  BATCH_BYTES_MIN,
  FRAME_BYTES_MAX,
  NAME_LENGTH_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SEGMENT_MS_MAX,
  SEGMENT_MS_MIN,
} from '../../base/limits.ts';
import { RETENTION_SIZE_PATTERN, RETENTION_TIME_PATTERN } from './quantity.ts';
import { immutable, REPLICATION_RULES, replicationFields } from './replication.ts';
import { boolean, choice, integer, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { LogTopicConfig, LogTopicSpec, Retention } from './types.ts';

const ANY_MAX = Number.MAX_SAFE_INTEGER;

const neverZero: Rule = {
  cel: 'self != 0',
  message: 'compactionLagMaxMs is %s, must be -1 or above 0',
  values: ['self'],
  check: (lag: number) => (lag === 0 ? [lag] : null),
};

const lagsInOrder: Rule = {
  cel: '!has(self.compactionLagMinMs) || !has(self.compactionLagMaxMs) || self.compactionLagMaxMs == -1 || self.compactionLagMaxMs >= self.compactionLagMinMs',
  message: 'compactionLagMaxMs is %s, must be -1 or at least compactionLagMinMs (%s)',
  values: ['self.compactionLagMaxMs', 'self.compactionLagMinMs'],
  fieldPath: '.compactionLagMaxMs',
  check: ({ compactionLagMinMs: min, compactionLagMaxMs: max }: LogTopicConfig) =>
    min === undefined || max === undefined || max === -1 || max >= min ? null : [max, min],
};

const configSchema = object<LogTopicConfig>(
  "Further configs of the topic. Absent ones take the broker's default. Applied live.",
  {
    segmentBytes: integer(
      'Size at which a segment is sealed.',
      SEGMENT_BYTES_MIN,
      SEGMENT_BYTES_MAX,
    ),
    segmentMs: integer('Age at which a segment is sealed.', SEGMENT_MS_MIN, SEGMENT_MS_MAX),
    batchBytesMax: integer('Largest batch accepted.', BATCH_BYTES_MIN, FRAME_BYTES_MAX),
    uncleanElection: boolean(
      'Lets a leader be elected without enough trusted replicas, with a report of the records that may be lost.',
    ),
    cleanup: choice(
      'What becomes of old records: Delete, retention retires them; Compact, the last record of every key stays and retention takes nothing; Both. This and all below need feature level 12 of the brokers.',
      ['Delete', 'Compact', 'Both'],
    ),
    retentionRecords: integer(
      'Newest committed records of a partition that stay at least: older segments are retired. -1: no bound.',
      -1,
      ANY_MAX,
    ),
    tombstoneRetentionMs: integer(
      'How long a tombstone stays at least, from the order that takes what it deletes.',
      0,
      ANY_MAX,
    ),
    compactionDirtyPercent: integer(
      'Share of a log written since the last pass of compaction, at which another one is due.',
      1,
      100,
    ),
    compactionLagMinMs: integer('Age below which compaction leaves every record.', 0, ANY_MAX),
    compactionLagMaxMs: integer(
      'Age of a record that no pass has seen, at which one is due, however small its share. -1: none.',
      -1,
      ANY_MAX,
      { rules: [neverZero] },
    ),
  },
  {
    default: {},
    rules: [
      {
        cel: '!has(self.segmentBytes) || !has(self.batchBytesMax) || self.segmentBytes >= self.batchBytesMax',
        message: 'segmentBytes is %s, must be at least batchBytesMax (%s)',
        values: ['self.segmentBytes', 'self.batchBytesMax'],
        fieldPath: '.segmentBytes',
        check: ({ segmentBytes: segment, batchBytesMax: batch }: LogTopicConfig) =>
          segment === undefined || batch === undefined || segment >= batch
            ? null
            : [segment, batch],
      },
      lagsInOrder,
    ],
  },
);

const retentionSchema = object<Retention>(
  "How long records are kept. Whichever bound is reached first retires them. Absent fields stay as the topic has them, at first the brokers' defaults: 7d, unlimited. Applied live.",
  {
    time: text('Age past which records are retired: 7d, 12h, or forever.', 12, {
      pattern: RETENTION_TIME_PATTERN,
      patternMeaning: 'a duration such as 7d, 12h, 30m, 10s or 500ms, or forever',
    }),
    size: text(
      'Size of one replica of one partition past which they are: 10Gi, or unlimited.',
      20,
      {
        pattern: RETENTION_SIZE_PATTERN,
        patternMeaning: 'a size such as 10Gi, or unlimited',
      },
    ),
  },
);

const partitionsNeverShrink: Rule = {
  cel: 'self >= oldSelf',
  message: 'partitions is %s, must be at least %s: a topic cannot lose partitions',
  values: ['self', 'oldSelf'],
  isTransition: true,
  check: (partitions: number, old: number) => (partitions >= old ? null : [partitions, old]),
};

export const logTopicSpecSchema: Schema = object<LogTopicSpec>(
  'The topic that is wanted.',
  {
    clusterName: text('LogCluster in the same namespace. Immutable.', 63, { minLength: 1 }),
    topicName: text("Name of the topic. Absent: the LogTopic's. Immutable.", NAME_LENGTH_MAX, {
      minLength: 1,
      pattern: '^[a-zA-Z0-9._-]+$',
      patternMeaning: 'of a-z, A-Z, 0-9, ".", "_" and "-"',
      rules: [
        {
          cel: "self != '.' && self != '..' && !self.startsWith('__')",
          message: 'topicName is %s, must not be . or .., nor begin with __',
          values: ['self'],
          check: (name: string) =>
            name !== '.' && name !== '..' && !name.startsWith('__') ? null : [name],
        },
      ],
    }),
    partitions: integer(
      'Partitions. Grows, never shrinks. Absent: as many as the topic has, at first 1.',
      1,
      PARTITIONS_PER_TOPIC_MAX,
      { rules: [partitionsNeverShrink] },
    ),
    ...replicationFields(),
    retention: retentionSchema,
    config: configSchema,
    deletionPolicy: choice(
      'What becomes of the topic and its records when the LogTopic is deleted. Delete: an operator that sees the LogTopic go deletes them; without one they stay, and the LogTopic goes all the same.',
      ['Retain', 'Delete'],
      'Retain',
    ),
  },
  {
    required: ['clusterName'],
    rules: [...REPLICATION_RULES, immutable('clusterName'), immutable('topicName')],
  },
);
