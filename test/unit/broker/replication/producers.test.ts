import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import { header } from './header.ts';

/** Producer 7, epoch 1, batches of two records at sequences 0, 2, 4 and so on, at offsets 10, 12, 14. */
function tableOf(batches: number): ProducerTable {
  const table = new ProducerTable({ producersMax: 10 });
  for (let index = 0; index < batches; index += 1)
    table.apply(batch({ baseSequence: index * 2, baseOffset: 10 + index * 2 }));
  return table;
}

function batch(fields: {
  baseSequence: number;
  baseOffset?: number;
  producerEpoch?: number;
  producerId?: number;
  recordCount?: number;
}) {
  return header({ producerId: 7, producerEpoch: 1, recordCount: 2, ...fields });
}

function outcome(table: ProducerTable, fields: Parameters<typeof batch>[0]): string {
  const check = table.check(batch(fields));
  if (check.kind === 'error') return check.error.code;
  return check.kind === 'ok' ? 'ok' : `duplicate ${check.baseOffset}..${check.lastOffset}`;
}

describe('ProducerTable.check()', () => {
  const cases = [
    { name: 'the next sequence', fields: { baseSequence: 6 }, expected: 'ok' },
    { name: 'a gap', fields: { baseSequence: 8 }, expected: 'OUT_OF_ORDER_SEQUENCE' },
    { name: 'the last batch again', fields: { baseSequence: 4 }, expected: 'duplicate 14..15' },
    { name: 'an earlier batch again', fields: { baseSequence: 0 }, expected: 'duplicate 10..11' },
    {
      name: 'another cut of known sequences',
      fields: { baseSequence: 1 },
      expected: 'DUPLICATE_SEQUENCE',
    },
    {
      name: 'a batch that reaches past the end',
      fields: { baseSequence: 5 },
      expected: 'OUT_OF_ORDER_SEQUENCE',
    },
    {
      name: 'an older epoch',
      fields: { baseSequence: 6, producerEpoch: 0 },
      expected: 'PRODUCER_FENCED',
    },
    { name: 'a newer epoch from 0', fields: { baseSequence: 0, producerEpoch: 2 }, expected: 'ok' },
    {
      name: 'a newer epoch not from 0',
      fields: { baseSequence: 6, producerEpoch: 2 },
      expected: 'OUT_OF_ORDER_SEQUENCE',
    },
    { name: 'an unknown id from 0', fields: { baseSequence: 0, producerId: 8 }, expected: 'ok' },
    {
      name: 'an unknown id not from 0',
      fields: { baseSequence: 6, producerId: 8 },
      expected: 'UNKNOWN_PRODUCER',
    },
  ];
  for (const { name, fields, expected } of cases) {
    it(`${name}: ${expected}`, () => {
      expect(outcome(tableOf(3), fields)).toBe(expected);
    });
  }

  it('wraps the sequence at 2^31', () => {
    const table = new ProducerTable({ producersMax: 10 });
    table.apply(batch({ baseSequence: 0x7fff_fffe, baseOffset: 10 }));

    expect([
      outcome(table, { baseSequence: 0 }),
      outcome(table, { baseSequence: 0x7fff_fffe }),
    ]).toEqual(['ok', 'duplicate 10..11']);
  });

  it('forgets a committed batch after five more, and says so', () => {
    const table = new ProducerTable({ producersMax: 10 });
    table.commit(1_000);
    for (let index = 0; index < 6; index += 1)
      table.apply(batch({ baseSequence: index * 2, baseOffset: 10 + index * 2 }));

    expect([outcome(table, { baseSequence: 0 }), outcome(table, { baseSequence: 2 })]).toEqual([
      'DUPLICATE_SEQUENCE',
      'duplicate 12..13',
    ]);
  });
});

describe('ProducerTable.truncate()', () => {
  it('above HW gives exactly the window of the shorter log', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 0, max: 12 }),
        (committed, rest) => {
          const cut = tableOf(0);
          const whole = tableOf(0);
          for (const table of [cut, whole]) {
            for (let index = 0; index < committed; index += 1)
              table.apply(batch({ baseSequence: index * 2, baseOffset: 10 + index * 2 }));
            table.commit(10 + committed * 2);
          }
          for (let index = committed; index < committed + rest; index += 1) {
            cut.apply(batch({ baseSequence: index * 2, baseOffset: 10 + index * 2 }));
          }

          const isExact = cut.truncate(10 + committed * 2);

          expect(isExact).toBe(true);
          // The window is the last five batches; a table may remember more.
          for (
            let sequence = Math.max(0, (committed - 5) * 2);
            sequence <= (committed + 1) * 2;
            sequence += 1
          ) {
            expect(outcome(cut, { baseSequence: sequence })).toBe(
              outcome(whole, { baseSequence: sequence }),
            );
          }
        },
      ),
    );
  });

  it('below HW asks for a rebuild, which takes what came after the headers too', () => {
    const table = tableOf(3);
    table.commit(16);

    const isExact = table.truncate(12);
    table.apply(batch({ baseSequence: 2, baseOffset: 20 }));
    table.rebuild([batch({ baseSequence: 0, baseOffset: 10 })]);

    expect(isExact).toBe(false);
    expect([
      outcome(table, { baseSequence: 4 }),
      outcome(table, { baseSequence: 2 }),
      outcome(table, { baseSequence: 0 }),
    ]).toEqual(['ok', 'duplicate 20..21', 'duplicate 10..11']);
  });
});

describe('ProducerTable', () => {
  it('restore() takes back a snapshot()', () => {
    const table = new ProducerTable({ producersMax: 10 });

    table.restore(tableOf(3).snapshot());

    expect([outcome(table, { baseSequence: 6 }), outcome(table, { baseSequence: 2 })]).toEqual([
      'ok',
      'duplicate 12..13',
    ]);
  });

  it('expires the id used least recently in the log, not one with batches above HW', () => {
    const table = new ProducerTable({ producersMax: 2 });
    table.apply(batch({ producerId: 1, baseSequence: 0, baseOffset: 20 }));
    table.apply(batch({ producerId: 2, baseSequence: 0, baseOffset: 10 }));
    table.commit(12);

    table.apply(batch({ producerId: 3, baseSequence: 0, baseOffset: 22 }));

    expect([1, 2, 3].map((producerId) => outcome(table, { producerId, baseSequence: 2 }))).toEqual([
      'ok',
      'UNKNOWN_PRODUCER',
      'ok',
    ]);
  });
});
