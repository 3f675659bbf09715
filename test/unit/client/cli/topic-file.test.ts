import { describe, expect, it } from 'vitest';
import { TopicFileReader, TopicFileWriter } from '../../../../client/cli/topic-file.ts';

const HEAD = {
  topic: 'orders',
  topicId: 'id',
  partitions: 2,
  replicationFactor: 3,
  config: { retentionMs: 5, commitMode: 'quorum' as const },
};

function record(partition: number, offset: number, value: Uint8Array | null = Buffer.from('v')) {
  const place = { topic: 'orders', partition, offset, leaderEpoch: 1, timestampMs: 7 };
  return { ...place, key: Buffer.of(0xff), value, headers: [{ key: 'h', value: Buffer.of(0x80) }] };
}

function lines(): string[] {
  const writer = new TopicFileWriter(2);
  return [
    writer.head(HEAD),
    writer.record(record(0, 1)),
    writer.record(record(1, 1, null)),
    writer.record(record(0, 4)),
    writer.end(),
  ];
}

function read(all: readonly string[]): unknown[] {
  const reader = new TopicFileReader();
  const entries = all.map((line) => reader.read(Buffer.from(line.replace(/\n$/, ''))));
  reader.finish();
  return entries;
}

describe('TopicFileReader', () => {
  it('gives back what TopicFileWriter wrote', () => {
    const entries = read(lines());
    expect(entries[0]).toEqual({ kind: 'head', head: HEAD });
    expect(entries.slice(1, -1)).toMatchObject([
      { record: { partition: 0, offset: 1, timestampMs: 7, value: 'v' } },
      { record: { partition: 1, offset: 1, value: null } },
      { record: { partition: 0, offset: 4, key: Buffer.of(0xff) } },
    ]);
  });

  it('notices every byte that is changed', () => {
    const text = lines().join('');
    for (let at = 0; at < text.length; at += 1) {
      const changed = `${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`;
      expect(() => read(changed.replace(/\n$/, '').split('\n')), `at ${at}`).toThrow();
    }
  });

  it.each<[string, (all: string[]) => string[], string]>([
    ['cut between lines', (all) => all.slice(0, -1), 'it is cut: after 3 records the last line'],
    ['cut within a line', (all) => [...all.slice(0, 2), all[2]!.slice(0, 30)], 'no "crc" ends it'],
    ['empty', () => [], 'it is empty'],
    ['without a record', (all) => all.toSpliced(1, 1), 'records is 3, and there are 2 before it'],
    ['with a record twice', (all) => all.toSpliced(1, 0, all[1]!), 'offset is 1, must be above 1'],
    [
      'with records in another order',
      (all) => [all[0]!, all[3]!, all[2]!, all[1]!],
      'offset is 1, must be above 4',
    ],
    [
      'with partitions in another order',
      (all) => [all[0]!, all[2]!, all[1]!, all[3]!, all[4]!],
      'the lines before it have the CRC-32',
    ],
    ['without a first line', (all) => all.slice(1), '"partition" is not known'],
    [
      'with lines behind the last one',
      (all) => [...all, all[1]!],
      'it stands behind the last line',
    ],
  ])('refuses a file %s', (_, change, reason) => {
    expect(() => read(change(lines()))).toThrow(reason);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ version: 2 }, 'version is 2, must be 1'],
    [{ format: 'x' }, 'format is "x", must be "tidemark-topic"'],
    [{ colour: 1 }, '"colour" is not known'],
    [{ config: { retentionMs: 'x' } }, 'config.retentionMs is "x"'],
  ])('refuses a first line with %j', (change, reason) => {
    const line = new TopicFileWriter(2).head({ ...HEAD, ...change });
    expect(() => read([line])).toThrow(reason);
  });
});
