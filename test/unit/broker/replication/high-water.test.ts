import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { committedEnd, quorumEnd, UNKNOWN_END } from '../../../../broker/replication/high-water.ts';

describe('quorumEnd()', () => {
  it('is the largest end that q members hold, for any S and q', () => {
    const cases = fc
      .array(fc.integer({ min: UNKNOWN_END, max: 20 }), { minLength: 1, maxLength: 7 })
      .chain((ends) =>
        fc.record({ ends: fc.constant(ends), quorum: fc.integer({ min: 1, max: ends.length }) }),
      );
    fc.assert(
      fc.property(cases, ({ ends, quorum }) => {
        const held = ends.filter((end) => ends.filter((other) => other >= end).length >= quorum);
        const rule = { syncSet: ends.map((_, member) => member), quorum };

        expect(quorumEnd(rule, (member) => ends[member] ?? UNKNOWN_END)).toBe(Math.max(...held));
      }),
    );
  });
});

describe('committedEnd()', () => {
  it('satisfies old and new at once', () => {
    const ends = [9, 7, 4];
    const rules = [
      { syncSet: [0, 1], quorum: 2 },
      { syncSet: [0, 1, 2], quorum: 3 },
    ];

    expect(committedEnd(rules, (member) => ends[member] ?? UNKNOWN_END)).toBe(4);
  });

  it('is at most the old one alone when a member is removed with its count', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 2, maxLength: 6 }), fc.nat(), (ends, pick) => {
        const syncSet = ends.map((_, member) => member);
        const gone = pick % ends.length;
        const endOf = (member: number) => ends[member] ?? UNKNOWN_END;
        for (let quorum = 2; quorum <= ends.length; quorum += 1) {
          const smaller = {
            syncSet: syncSet.filter((member) => member !== gone),
            quorum: quorum - 1,
          };
          expect(quorumEnd(smaller, endOf)).toBeGreaterThanOrEqual(
            quorumEnd({ syncSet, quorum }, endOf),
          );
        }
      }),
    );
  });
});
