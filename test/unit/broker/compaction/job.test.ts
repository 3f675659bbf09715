/** What a pass leaves of a log, against the rule told the long way (K1, K2, K8). */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { CompactionOrder } from '../../../../base/compaction-order.ts';
import { FRAME_BYTES_MAX } from '../../../../base/limits.ts';
import { Random } from '../../../../base/random.ts';
import { endOffsetOf } from '../../../../wire/batch/frame.ts';
import { gapFrame } from '../../../../wire/batch/sparse.ts';
import {
  contentOf,
  drawLog,
  expectedContent,
  keyedFrame,
  lastValues,
  TARGET,
} from '../../../fixtures/keyed-log.ts';
import { bytesOf, control, type TestFrame } from '../../../fixtures/frames.ts';
import { compacted, type MemorySegment, merged } from './fixture.ts';

const SEEDS = 150;

function endOf(frames: readonly TestFrame[]): number {
  return endOffsetOf(frames.at(-1)!.header);
}

/** Cuts the log into segments at random. */
function segmentsOf(frames: readonly TestFrame[], random: Random): MemorySegment[] {
  const segments: Uint8Array[][] = [[]];
  for (const { bytes } of frames) {
    if (segments.at(-1)!.length > 0 && random.chance(0.2)) segments.push([]);
    segments.at(-1)!.push(bytes);
  }
  return segments;
}

function drawOrder(random: Random, end: number, least?: CompactionOrder): CompactionOrder {
  const upTo = Math.max(least?.upTo ?? 0, random.below(end + 1));
  const draw = (from: number): number => Math.max(from, random.below(upTo + 1));
  return {
    upTo,
    tombstonesBelow: draw(least?.tombstonesBelow ?? 0),
    producersBelow: draw(least?.producersBelow ?? 0),
  };
}

describe('CompactionJob', () => {
  it('leaves what the rule says, whatever the segments are', () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const random = new Random(seed);
      const frames = drawLog(random, 40, [0, 1, 2]);
      const order = drawOrder(random, endOf(frames));
      const { segments } = compacted(segmentsOf(frames, random), order);
      expect(contentOf(segments.flat()), `seed ${seed}`).toEqual(expectedContent(frames, order));
      expect(lastValues(segments.flat()), `seed ${seed}`).toEqual(lastValues(bytesOf(frames)));
    }
  });

  it('leaves after two passes what the later one leaves, byte for byte without compression', () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const random = new Random(seed);
      const frames = drawLog(random, 60);
      const segments = segmentsOf(frames, random);
      const first = drawOrder(random, endOf(frames));
      const second = drawOrder(random, endOf(frames), first);
      const once = compacted(segments, second);
      const twice = compacted(compacted(segments, first).segments, second);
      expect(twice.segments, `seed ${seed}`).toEqual(once.segments);
      expect(compacted(once.segments, second).segments).toEqual(once.segments);
    }
  });

  it('merges segments into what one pass leaves of one, whichever were merged before', () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const random = new Random(seed);
      const frames = drawLog(random, 60);
      const first = drawOrder(random, endOf(frames));
      const second = drawOrder(random, endOf(frames), first);
      const whole = compacted([bytesOf(frames)], second).segments;
      let segments = compacted(segmentsOf(frames, random), first).segments;
      const from = random.below(segments.length);
      const count = 1 + random.below(segments.length - from);
      const one = merged(segments.slice(from, from + count), first);
      segments = compacted(segments.toSpliced(from, count, one), second).segments;
      expect(contentOf(segments.flat()), `seed ${seed}`).toEqual(expectedContent(frames, second));
      expect([merged(segments, second)], `seed ${seed}`).toEqual(whole);
    }
  });

  it('keeps tombstones behind a batch that is too large to be thinned', () => {
    const large = (fill: number): Uint8Array =>
      keyedFrame(1, [
        { key: 'k', value: '' },
        { key: 'l', value: 'v'.repeat(fill) },
      ]).bytes;
    const over = large(FRAME_BYTES_MAX / 2).length - FRAME_BYTES_MAX / 2;
    const frames = [
      keyedFrame(0, [{ key: 'a', value: '1' }]).bytes,
      large(FRAME_BYTES_MAX - over),
      keyedFrame(3, [{ key: 'k', value: null }]).bytes,
    ];
    const order = { upTo: 4, tombstonesBelow: 4, producersBelow: 4 };
    const left = compacted([frames], order).segments.flat();
    expect(left[1]).toHaveLength(FRAME_BYTES_MAX);
    expect(lastValues(left).get('k')).toBe(lastValues(frames).get('k'));
  });

  it('needs more scans, and rounds, for more keys than fit, and leaves the same', () => {
    // Far apart, so that marks take many chunks of memory.
    const random = new Random(1);
    const frames: Uint8Array[] = [];
    const end = 60 * 4_096;
    for (let offset = 0; offset < end; offset += 4_096) {
      const key = (): string => `${random.below(1_800)}`;
      const records = Array.from({ length: 60 }, () => ({ key: key(), value: 'v' }));
      frames.push(keyedFrame(offset, records).bytes);
      const gap = { baseOffset: offset + 60, lastOffsetDelta: 4_035, leaderEpoch: 1 };
      frames.push(gapFrame({ ...gap, maxTimestampMs: 1 }, TARGET, crc32));
    }
    const order = { upTo: end, tombstonesBelow: 0, producersBelow: 0 };
    const segments = [frames.slice(0, 50), frames.slice(50)];
    const large = compacted(segments, order, 1 << 20);
    const bytes = Buffer.concat(large.segments.flat());
    expect(large).toMatchObject({ scans: 1, rounds: 1 });
    const small = compacted(segments, order, 64 << 10);
    expect(small.rounds).toBeGreaterThan(1);
    expect(small.scans).toBeGreaterThan(small.rounds);
    expect(Buffer.concat(small.segments.flat()).equals(bytes)).toBe(true);
    expect(bytes.length).toBeLessThan(Buffer.concat(frames).length * 0.8);
  });

  it('takes a tombstone only below D, and what it masks in any case', () => {
    const log = [
      [{ key: 'a', value: 'old' }],
      [{ key: 'a', value: null }],
      [{ key: 'b', value: null }],
    ].map((records, offset) => keyedFrame(offset, records).bytes);
    const left = (tombstonesBelow: number): string[] =>
      contentOf(
        compacted([log], { upTo: 3, tombstonesBelow, producersBelow: 0 }).segments.flat(),
      ).filter((line) => !line.startsWith('batch'));
    expect(left(1)).toEqual([
      'gap 0-1 of 1, 1000',
      '  1 1001 a = tombstone',
      '  2 1002 b = tombstone',
    ]);
    expect(left(2)).toEqual(['gap 0-2 of 1, 1001', '  2 1002 b = tombstone']);
    expect(left(3)).toEqual(['gap 0-3 of 1, 1002']);
  });

  it('judges below X alone', () => {
    const log = [0, 1, 2].map((at) => keyedFrame(at, [{ key: 'k', value: `${at}` }]).bytes);
    const left = (upTo: number): string[] =>
      contentOf(
        compacted([log], { upTo, tombstonesBelow: 0, producersBelow: 0 }).segments.flat(),
      ).filter((line) => !line.startsWith('batch'));
    expect(left(1)).toEqual(['  0 1000 k = 0', '  1 1001 k = 1', '  2 1002 k = 2']);
    expect(left(2)).toEqual(['gap 0-1 of 1, 1000', '  1 1001 k = 1', '  2 1002 k = 2']);
    expect(left(3)).toEqual(['gap 0-2 of 1, 1001', '  2 1002 k = 2']);
  });

  it('keeps control batches, keyless records, and the epochs of gaps apart', () => {
    const log = [
      control(0, 1, 0),
      keyedFrame(1, [{ key: 'k', value: '1' }]),
      keyedFrame(2, [{ value: 'no key' }, { key: 'k', value: '2' }]),
      keyedFrame(4, [{ key: 'k', value: '3' }], { epoch: 2 }),
      keyedFrame(5, [{ key: 'k', value: '4' }], { epoch: 3 }),
      keyedFrame(6, [{ key: 'k', value: '5' }], { epoch: 3 }),
    ].map(({ bytes }) => bytes);
    const order = { upTo: 7, tombstonesBelow: 0, producersBelow: 0 };
    const lines = contentOf(compacted([log], order).segments.flat());
    expect(lines.filter((line) => !line.startsWith('batch'))).toEqual([
      'gap 1-2 of 1, 1001',
      '  2 1002 no key = no key',
      'gap 4-5 of 2, 1004',
      'gap 5-6 of 3, 1005',
      '  6 1006 k = 5',
    ]);
    expect(lines[0]).toMatch(/^batch 0 1 /);
  });

  it('keeps the headers of the last five batches of a producer from P on', () => {
    const log = Array.from({ length: 8 }, (_, at) =>
      keyedFrame(at, [{ key: 'k', value: `${at}` }], {
        producer: { producerId: 7, producerEpoch: 1, baseSequence: at },
      }),
    );
    const bases = (producersBelow: number): number[] =>
      compacted([bytesOf(log)], { upTo: 8, tombstonesBelow: 0, producersBelow })
        .segments.flatMap((segment) => contentOf(segment))
        .filter((line) => line.startsWith('batch'))
        .map((line) => Number(line.split(' ')[1]));
    expect(bases(0)).toEqual([3, 4, 5, 6, 7]);
    expect(bases(6)).toEqual([6, 7]);
  });
});
