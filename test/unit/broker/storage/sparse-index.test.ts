import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTimeSummary, SparseIndex } from '../../../../broker/storage/sparse-index.ts';

interface Batch {
  baseOffset: number;
  endOffset: number;
  maxTimestampMs: number;
  leaderEpoch: number;
  length: number;
  position: number;
}

const batches = fc
  .array(
    fc.record({
      records: fc.integer({ min: 1, max: 9 }),
      length: fc.integer({ min: 68, max: 90_000 }),
      maxTimestampMs: fc.integer({ min: 0, max: 2 ** 45 }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((list) => {
    const result: Batch[] = [];
    for (const { records, length, maxTimestampMs } of list) {
      const last = result.at(-1);
      const baseOffset = last?.endOffset ?? 1000;
      result.push({
        baseOffset,
        endOffset: baseOffset + records,
        maxTimestampMs,
        leaderEpoch: 3,
        length,
        position: last === undefined ? 0 : last.position + last.length,
      });
    }
    return result;
  });

function indexOf(list: readonly Batch[]): SparseIndex {
  const index = new SparseIndex(1000);
  for (const batch of list) index.add(batch, batch.position);
  return index;
}

const bytesOf = (list: readonly Batch[]): number =>
  list.reduce((sum, { length }) => sum + length, 0);

describe('SparseIndex', () => {
  it('leads to a batch at or before every offset, at most an interval and a batch away', () => {
    fc.assert(
      fc.property(batches, (list) => {
        const index = indexOf(list);
        for (const batch of list) {
          const entry = index.floor(batch.endOffset - 1);
          expect(list).toContainEqual(
            expect.objectContaining({ baseOffset: entry.offset, position: entry.position }),
          );
          expect(entry.offset).toBeLessThanOrEqual(batch.baseOffset);
          expect(batch.position - entry.position).toBeLessThan(64 * 1024);
        }
      }),
    );
  });

  it('leads to a place before which every batch is older than a timestamp', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 0, max: 2 ** 45 }), (list, timestampMs) => {
        const entry = indexOf(list).floorOfTime(timestampMs);
        expect(
          list.filter(
            ({ position, maxTimestampMs }) =>
              position < entry.position && maxTimestampMs >= timestampMs,
          ),
        ).toEqual([]);
      }),
    );
  });

  it('is the same after its files were read back', () => {
    fc.assert(
      fc.property(batches, (list) => {
        const index = indexOf(list);
        const { offsets, times } = index.encode();
        const again = SparseIndex.decode(1000, bytesOf(list), offsets, times);
        expect(again?.encode()).toEqual({ offsets, times });
        expect(readTimeSummary(times)).toEqual(index.summary);
      }),
    );
  });

  it('refuses files that are changed, cut, swapped, of another segment or of a longer one', () => {
    fc.assert(
      fc.property(batches, fc.nat(), fc.integer({ min: 0, max: 7 }), (list, at, bit) => {
        const { offsets, times } = indexOf(list).encode();
        const flipped = offsets.slice();
        flipped[at % flipped.length] = (flipped[at % flipped.length] ?? 0) ^ (1 << bit);
        const bytes = bytesOf(list);
        expect(SparseIndex.decode(1000, bytes, flipped, times)).toBeNull();
        expect(
          SparseIndex.decode(1000, bytes, offsets.subarray(1 + (at % offsets.length)), times),
        ).toBeNull();
        expect(SparseIndex.decode(1000, bytes, times, offsets)).toBeNull();
        expect(SparseIndex.decode(999, bytes, offsets, times)).toBeNull();
        expect(SparseIndex.decode(1000, bytes - 1, offsets, times)).toBeNull();
      }),
    );
  });

  it('equals one that was never longer, after a truncation and the missing batches again', () => {
    fc.assert(
      fc.property(batches, fc.nat(), (list, at) => {
        const kept = list.slice(0, at % (list.length + 1));
        const index = indexOf(list);
        index.truncate(bytesOf(kept));
        const { coveredBytes } = index.summary;
        expect(coveredBytes).toBeLessThanOrEqual(bytesOf(kept));
        for (const batch of kept)
          if (batch.position >= coveredBytes) index.add(batch, batch.position);
        expect(index.encode()).toEqual(indexOf(kept).encode());
      }),
    );
  });
});
