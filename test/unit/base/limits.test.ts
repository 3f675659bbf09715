import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NUMBER_OPTIONS } from '../../../base/broker-options.ts';
import * as limits from '../../../base/limits.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../broker/metadata/config.ts';
import { INDEX_INTERVAL_BYTES } from '../../../broker/storage/sparse-index.ts';
import { HEADER_BYTES } from '../../../wire/batch/frame.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

describe('limits', () => {
  it.each([
    [
      'a topic fits the cluster',
      limits.PARTITIONS_PER_TOPIC_MAX,
      limits.PARTITIONS_PER_CLUSTER_MAX,
    ],
    ['every broker of a LogCluster has an id', limits.BROKERS_MAX - 1, limits.BROKER_ID_MAX],
    ['replicas find a broker each', limits.REPLICATION_FACTOR_MAX, limits.BROKERS_MAX],
    ['two frames fit a message', 2 * limits.FRAME_BYTES_MAX, limits.MESSAGE_BYTES_MAX],
    ['a message fits the credit', limits.MESSAGE_BYTES_MAX, limits.CREDIT_BYTES_MAX],
    ['a call fits a message', limits.APPEND_BYTES_MAX, limits.MESSAGE_BYTES_MAX],
    ['the records of a call fit a batch', limits.APPEND_RECORDS_MAX, limits.RECORDS_PER_BATCH_MAX],
    ['a header fits the least batch', HEADER_BYTES, limits.BATCH_BYTES_MIN],
    ['the least batch fits a frame', limits.BATCH_BYTES_MIN, limits.FRAME_BYTES_MAX],
    ['a frame fits the largest segment', limits.FRAME_BYTES_MAX, limits.SEGMENT_BYTES_MAX],
    ['a segment fits an index of 32 bits', limits.SEGMENT_BYTES_MAX, 2 ** 32],
    ['the least segment has an entry', INDEX_INTERVAL_BYTES, limits.SEGMENT_BYTES_MIN],
    [
      'a named producer has a place',
      limits.PRODUCER_WINDOW_BATCHES,
      limits.PRODUCERS_PER_PARTITION_MAX,
    ],
    ['the default batch fits a frame', TOPIC_CONFIG_DEFAULTS.batchBytesMax, limits.FRAME_BYTES_MAX],
    [
      'the least window takes a default batch',
      TOPIC_CONFIG_DEFAULTS.batchBytesMax,
      NUMBER_OPTIONS.produceWindowBytes.min,
    ],
  ])('%s', (_, smaller, larger) => {
    expect(smaller).toBeLessThanOrEqual(larger);
  });

  it('are those of docs/operations.md, in its order', () => {
    const text = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');
    const section = text.split(/^## /m).find((part) => part.startsWith('Limits')) ?? '';
    const rows = [...section.matchAll(/^\| (?!What|---)(.+?) \| (.+?) \|/gm)].map(
      ([, what = '', bound = '']) => [what, bound],
    );
    const expected = limits.LIMITS.map(({ what, bound, unit }) => [
      what,
      `${bound.toLocaleString('en')} ${unit}`.trim(),
    ]);
    expect(rows).toEqual(expected);
  });
});
