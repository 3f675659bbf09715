import { describe, expect, it } from 'vitest';
import { Selection } from '../../../../client/cli/selection.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** A batch whose records have these keys, from `first` on. */
function batch(partition: number, first: number, ...keys: (string | undefined)[]) {
  const records = keys.map((key, index) => ({
    offset: first + index,
    timestampMs: 0,
    key: key === undefined ? undefined : bytes(key),
    value: bytes('v'),
    headers: [],
  }));
  return { partition, records };
}

function offsets(selection: Selection, ...batches: ReturnType<typeof batch>[]): number[] {
  return batches.flatMap((one) => selection.take(one).map(({ offset }) => offset));
}

describe('a selection', () => {
  it('keeps everything unless told otherwise', () => {
    const selection = new Selection({});
    expect(offsets(selection, batch(0, 1, 'a', 'b'))).toEqual([1, 2]);
    expect(selection.isDone).toBe(false);
  });

  it('keeps so many, over all batches', () => {
    const selection = new Selection({ max: 3 });
    expect(offsets(selection, batch(0, 1, 'a', 'b'), batch(1, 1, 'a', 'b'))).toEqual([1, 2, 1]);
    expect(selection.isDone).toBe(true);
  });

  it('stops before the end of each partition, and is done when all have come there', () => {
    const ends = new Map([
      [0, 3],
      [1, 2],
      [2, 0],
    ]);
    const selection = new Selection({ ends });
    expect(offsets(selection, batch(0, 1, 'a', 'b', 'c'))).toEqual([1, 2]);
    expect(selection.isDone).toBe(false);
    expect(offsets(selection, batch(2, 0, 'x'), batch(1, 1, 'a'))).toEqual([1]);
    expect(selection.isDone).toBe(true);
  });

  it('keeps one key, and counts only what it keeps', () => {
    const selection = new Selection({ key: bytes('a'), max: 2 });
    expect(offsets(selection, batch(0, 1, 'b', 'a', undefined, '', 'a', 'a'))).toEqual([2, 5]);
    expect(selection.isDone).toBe(true);
  });

  it('tells an absent key from an empty one', () => {
    expect(offsets(new Selection({ key: bytes('') }), batch(0, 1, undefined, ''))).toEqual([2]);
  });
});
