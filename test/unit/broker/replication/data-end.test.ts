import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DataEnds } from '../../../../broker/replication/data-end.ts';

const EMPTY = { startOffset: 0, epochs: [] };

/** A log as a list of what stands at each offset; what is retired is known to the model alone. */
class Model {
  kinds: ('control' | 'data')[] = [];
  start = 0;

  get end(): number {
    return this.kinds.length;
  }

  get dataEnd(): number {
    return this.kinds.lastIndexOf('data') + 1;
  }
}

interface Step {
  readonly kind: 'control' | 'data' | 'truncate' | 'retire';
  /** Of the log, that stays or goes. */
  readonly share: number;
}

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('data', 'data', 'control', 'control', 'truncate', 'retire'),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('DataEnds', () => {
  test('says after every change where the data ends, at the end of the log and below it', () => {
    fc.assert(
      fc.property(
        fc.array(stepArbitrary, { maxLength: 40 }),
        fc.boolean(),
        (steps, areStated: boolean) => {
          const ends = new DataEnds(EMPTY);
          const model = new Model();
          for (const step of steps) {
            if (step.kind === 'control') {
              ends.noteControl(model.end, areStated ? model.dataEnd : undefined);
              model.kinds.push('control');
            } else if (step.kind === 'data') {
              model.kinds.push('data');
            } else {
              const offset = model.start + Math.floor(step.share * (model.end - model.start));
              if (step.kind === 'truncate') {
                ends.truncate(offset);
                model.kinds.length = offset;
              } else {
                ends.retire(offset);
                model.start = offset;
              }
            }
            for (let end = model.start; end <= model.end; end += 1) {
              const dataEnd = model.kinds.slice(0, end).lastIndexOf('data') + 1;
              expect(ends.below(end)).toBe(dataEnd);
              expect(ends.knownBelow(end)).toBe(dataEnd > model.start ? dataEnd : 0);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test.each([
    { name: 'an empty log', state: EMPTY, end: 0, dataEnd: 0 },
    {
      name: 'epochs, each of which begins with a control batch',
      state: { startOffset: 0, epochs: [epoch(1, 0), epoch(2, 5), epoch(3, 6)] },
      end: 7,
      dataEnd: 5,
    },
    {
      name: 'data behind the last epoch start',
      state: { startOffset: 0, epochs: [epoch(1, 0), epoch(2, 5)] },
      end: 9,
      dataEnd: 9,
    },
    {
      name: 'an epoch that began below the log start: nobody knows what stands there',
      state: { startOffset: 4, epochs: [epoch(1, 4), epoch(2, 5)] },
      end: 6,
      dataEnd: 5,
    },
    {
      name: 'a control batch at the log start that was read',
      state: {
        startOffset: 4,
        epochs: [epoch(1, 4), epoch(2, 5)],
        controls: [{ baseOffset: 4, dataEnd: 2 }],
      },
      end: 6,
      dataEnd: 2,
    },
    {
      name: 'a control batch at the log start that does not say: the log start',
      state: {
        startOffset: 4,
        epochs: [epoch(1, 4)],
        controls: [{ baseOffset: 4, dataEnd: undefined }],
      },
      end: 5,
      dataEnd: 4,
    },
    {
      name: 'a control batch within an epoch that was read',
      state: {
        startOffset: 0,
        epochs: [epoch(1, 0)],
        controls: [{ baseOffset: 3, dataEnd: 3 }],
      },
      end: 4,
      dataEnd: 3,
    },
    {
      name: 'a log that is retired to its end',
      state: { startOffset: 9, epochs: [] },
      end: 9,
      dataEnd: 9,
    },
  ])('starts from recovery: $name', ({ state, end, dataEnd }) => {
    expect(new DataEnds(state).below(end)).toBe(dataEnd);
  });

  test('takes a statement for what nobody here knows, and none below what is here', () => {
    const ends = new DataEnds({ startOffset: 9, epochs: [] });
    ends.noteControl(9, 3);
    expect(ends.below(10)).toBe(3);
    ends.noteControl(11, 3);
    expect(ends.below(12)).toBe(11);
  });

  test('knows nothing of the batch at the log start where an epoch begins and nobody read it', () => {
    const ends = new DataEnds({ startOffset: 4, epochs: [epoch(2, 4)] });
    expect([ends.below(5), ends.knownBelow(5), ends.knownBelow(6)]).toEqual([5, 0, 6]);
    ends.noteControl(5, 0);
    expect(ends.below(6)).toBe(0);
    ends.retire(5);
    expect([ends.below(6), ends.knownBelow(7)]).toEqual([0, 7]);
  });

  test('forgets everything in a reset', () => {
    const ends = new DataEnds({ startOffset: 0, epochs: [epoch(1, 0), epoch(2, 5)] });
    ends.reset(20);
    expect([ends.below(20), ends.below(25), ends.knownBelow(20)]).toEqual([20, 25, 0]);
  });

  test('forgets with a control batch what only that one stated', () => {
    const ends = new DataEnds({ startOffset: 16, epochs: [] });
    ends.noteControl(16, 14);
    // Of a leader that could not tell whether data stands at its log start.
    ends.noteControl(17, 17);
    const before = [ends.below(17), ends.below(18)];

    ends.truncate(17);

    expect([before, ends.below(17), ends.knownBelow(17)]).toEqual([[14, 17], 14, 0]);
  });
});

function epoch(leaderEpoch: number, startOffset: number) {
  return { epoch: leaderEpoch, startOffset };
}
