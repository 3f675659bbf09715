import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PRODUCER_KEPT_MS, ProducerTable } from '../../../../broker/replication/producers.ts';
import { header } from './header.ts';

/**
 * Producer 7, epoch 1, batches of two records at sequences 0, 2, 4 and so on, at offsets 10,
 * 12, 14.
 */
function tableOf(batches: number): ProducerTable {
  const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
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
  lastOffsetDelta?: number;
  crc?: number;
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
      name: 'another batch under the last sequence',
      fields: { baseSequence: 4, crc: 1 },
      expected: 'SEQUENCE_REUSED',
    },
    {
      name: 'another batch under an earlier sequence',
      fields: { baseSequence: 0, crc: 1 },
      expected: 'SEQUENCE_REUSED',
    },
    {
      name: 'a longer batch under a known sequence',
      fields: { baseSequence: 4, recordCount: 3 },
      expected: 'SEQUENCE_REUSED',
    },
    {
      name: 'another cut of known sequences',
      fields: { baseSequence: 1 },
      expected: 'SEQUENCE_REUSED',
    },
    {
      name: 'a batch around known ones',
      fields: { baseSequence: 0x7fff_ffff, recordCount: 20 },
      expected: 'SEQUENCE_REUSED',
    },
    {
      name: 'a batch that reaches past the end',
      fields: { baseSequence: 5 },
      expected: 'SEQUENCE_REUSED',
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

  it('counts sequences by the last-offset delta, whatever is left of the records', () => {
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
    table.apply(batch({ baseSequence: 0, recordCount: 1, lastOffsetDelta: 3, baseOffset: 10 }));

    expect([
      outcome(table, { baseSequence: 1 }),
      outcome(table, { baseSequence: 4 }),
      outcome(table, { baseSequence: 0, recordCount: 1, lastOffsetDelta: 3 }),
    ]).toEqual(['SEQUENCE_REUSED', 'ok', 'duplicate 10..13']);
  });

  it('wraps the sequence at 2^31', () => {
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
    table.apply(batch({ baseSequence: 0x7fff_fffe, baseOffset: 10 }));

    expect([
      outcome(table, { baseSequence: 0 }),
      outcome(table, { baseSequence: 0x7fff_fffe }),
    ]).toEqual(['ok', 'duplicate 10..11']);
  });

  it('forgets a committed batch after five more, and says so', () => {
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
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

  it('below HW judges no batch until the rebuild: what is missing may stand in the log', () => {
    const table = tableOf(3);
    table.commit(16);
    expect(table.truncate(12)).toBe(false);
    expect(outcome(table, { baseSequence: 2 })).toBe('BROKER_NOT_READY');
    table.rebuild([batch({ baseSequence: 0, baseOffset: 10 })], 0);
    expect(outcome(table, { baseSequence: 0 })).toBe('duplicate 10..11');
    expect(outcome(table, { baseSequence: 2 })).toBe('ok');
  });

  it('below HW asks for a rebuild, which takes what came after the headers too', () => {
    const table = tableOf(3);
    table.commit(16);

    const isExact = table.truncate(12);
    table.apply(batch({ baseSequence: 2, baseOffset: 20 }));
    table.rebuild([batch({ baseSequence: 0, baseOffset: 10 })], 0);

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
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });

    table.restore(tableOf(3).snapshot());

    expect([outcome(table, { baseSequence: 6 }), outcome(table, { baseSequence: 2 })]).toEqual([
      'ok',
      'duplicate 12..13',
    ]);
  });

  it.each(['', '{', '7', '[7]', '[[1]]', '[[1,[7]]]', '[[-1,[]]]', '[[1,[{"baseOffset":"x"}]]]'])(
    'restore() refuses a text that is no snapshot: %s',
    (text) => {
      const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
      expect(() => table.restore(text)).toThrow(
        expect.objectContaining({ code: 'DATA_CORRUPT' }) as Error,
      );
    },
  );

  it('restore() takes a snapshot of a build that kept no checksums', () => {
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
    const old =
      '[[7,[{"producerEpoch":1,"baseSequence":0,"recordCount":2,"baseOffset":10,"lastOffset":11}]]]';

    table.restore(old);
    table.apply(batch({ baseSequence: 2, baseOffset: 12, crc: 5 }));

    expect([
      outcome(table, { baseSequence: 0, crc: 9 }),
      outcome(table, { baseSequence: 2, crc: 9 }),
      outcome(table, { baseSequence: 2, crc: 5 }),
    ]).toEqual(['duplicate 10..11', 'SEQUENCE_REUSED', 'duplicate 12..13']);
  });

  it('snapshot() is what a build that keeps no checksums can read', () => {
    const entries = JSON.parse(fullTable().snapshot()) as [number, { recordCount: number }[]][];

    for (const [producerId, batches] of entries) {
      expect(producerId).toBeTypeOf('number');
      for (const one of batches)
        expect(one).toMatchObject({
          producerEpoch: expect.any(Number) as number,
          baseSequence: expect.any(Number) as number,
          recordCount: expect.any(Number) as number,
          lastOffset: expect.any(Number) as number,
        });
    }
    expect(entries.at(-1)?.[1][0]?.recordCount).toBe(1);
  });
});

const NEXT = { recordCount: 1, producerEpoch: 0 };

/** Two producers, 1 and 2, at 10 and 11, committed, the most that it keeps; `nowMs` is 0. */
function fullTable(): ProducerTable {
  const table = new ProducerTable({ producersMax: 2, nowMs: 0 });
  for (const producerId of [1, 2])
    table.apply(batch({ ...NEXT, producerId, baseSequence: 0, baseOffset: 9 + producerId }));
  table.commit(12);
  return table;
}

describe('ProducerTable at its bound', () => {
  it('admits no new producer while none was silent for long', () => {
    const table = fullTable();
    const young = outcome(table, { ...NEXT, producerId: 3, baseSequence: 0 });
    table.tick(PRODUCER_KEPT_MS - 1);
    const later = outcome(table, { ...NEXT, producerId: 3, baseSequence: 0 });

    expect([young, later]).toEqual(['OVERLOADED', 'OVERLOADED']);
    expect(
      [1, 2].map((producerId) => outcome(table, { ...NEXT, producerId, baseSequence: 0 })),
    ).toEqual(['duplicate 10..10', 'duplicate 11..11']);
  });

  it('admits one for each that was silent for long, and goes by its last batch', () => {
    const table = fullTable();
    table.tick(PRODUCER_KEPT_MS);
    table.apply(batch({ ...NEXT, producerId: 1, baseSequence: 1, baseOffset: 12 }));
    table.commit(13);
    const third = { ...NEXT, producerId: 3, baseSequence: 0 };

    const before = outcome(table, third);
    table.apply(batch({ ...third, baseOffset: 13 }));

    expect(before).toBe('ok');
    expect([
      outcome(table, { ...NEXT, producerId: 1, baseSequence: 1 }),
      outcome(table, third),
      outcome(table, { ...NEXT, producerId: 4, baseSequence: 0 }),
    ]).toEqual(['duplicate 12..12', 'duplicate 13..13', 'OVERLOADED']);
  });

  it('never takes a first batch of a producer that it may have forgotten', () => {
    const table = fullTable();
    table.apply(batch({ ...NEXT, producerId: 3, baseSequence: 0, baseOffset: 12 }));
    table.commit(13);
    table.tick(PRODUCER_KEPT_MS);

    const restored = new ProducerTable({ producersMax: 2, nowMs: PRODUCER_KEPT_MS });
    restored.restore(table.snapshot());
    restored.commit(13);
    restored.tick(2 * PRODUCER_KEPT_MS);
    const again = [table, restored].map((one) =>
      outcome(one, { ...NEXT, producerId: 1, baseSequence: 0 }),
    );

    expect(again).toEqual(['UNKNOWN_PRODUCER', 'UNKNOWN_PRODUCER']);
    expect(outcome(restored, { ...NEXT, producerId: 4, baseSequence: 0 })).toBe('ok');
    // A name keeps its id over all its epochs.
    expect(outcome(restored, { producerId: 1, producerEpoch: 1, baseSequence: 0 })).toBe('ok');
  });

  it('forgets nobody whose batch is above HW', () => {
    const table = new ProducerTable({ producersMax: 2, nowMs: 0 });
    for (const producerId of [1, 2, 3])
      table.apply(batch({ ...NEXT, producerId, baseSequence: 0, baseOffset: 9 + producerId }));

    expect(table.size).toBe(3);
    table.commit(12);
    table.apply(batch({ ...NEXT, producerId: 4, baseSequence: 0, baseOffset: 13 }));

    expect(
      [1, 2, 3, 4].map((producerId) => outcome(table, { ...NEXT, producerId, baseSequence: 1 })),
    ).toEqual(['UNKNOWN_PRODUCER', 'UNKNOWN_PRODUCER', 'ok', 'ok']);
  });

  it('goes by the order of the log after a truncation too', () => {
    const table = fullTable();
    table.apply(batch({ ...NEXT, producerId: 1, baseSequence: 1, baseOffset: 12 }));
    table.truncate(12);
    table.apply(batch({ ...NEXT, producerId: 3, baseSequence: 0, baseOffset: 12 }));

    expect(
      [1, 2].map((producerId) => outcome(table, { ...NEXT, producerId, baseSequence: 1 })),
    ).toEqual(['UNKNOWN_PRODUCER', 'ok']);
  });

  it('appends no batch twice, forgets none that is young, and is the same on a replica', () => {
    const step = fc.record({
      /** Which of the producers, the oldest first; the last one is new. */
      producer: fc.double({ min: 0, max: 1, noNaN: true }),
      /** Again from the start, or the next one. */
      isAgain: fc.boolean(),
      waitMs: fc.constantFrom(0, 1, PRODUCER_KEPT_MS / 4, PRODUCER_KEPT_MS),
      isCommitted: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new ProducerTable({ producersMax: 3, nowMs: 0 });
        const replica = new ProducerTable({ producersMax: 3, nowMs: 0 });
        const sequences = new Map<number, number>();
        const seenMs = new Map<number, number>();
        let nowMs = 0;
        let end = 0;
        for (const { producer, isAgain, waitMs, isCommitted } of steps) {
          nowMs += waitMs;
          table.tick(nowMs);
          const producerId = 1 + Math.floor(producer * (sequences.size + 0.999));
          const next = sequences.get(producerId) ?? 0;
          const one = batch({ ...NEXT, producerId, baseSequence: isAgain ? 0 : next });
          const result = table.check(one);
          const isNew = result.kind === 'ok';
          const wasAppended = one.baseSequence < next;
          if (wasAppended) expect(isNew).toBe(false);
          const isYoung = nowMs - (seenMs.get(producerId) ?? -Infinity) < PRODUCER_KEPT_MS;
          if (isYoung && result.kind === 'error')
            expect(result.error.code).toBe('DUPLICATE_SEQUENCE');
          if (isNew) {
            for (const each of [table, replica]) each.applyAt(one, end);
            end += 1;
            sequences.set(producerId, next + 1);
            seenMs.set(producerId, nowMs);
          }
          if (isCommitted) for (const each of [table, replica]) each.commit(end);
        }
        expect(replica.snapshot()).toBe(table.snapshot());
      }),
    );
  });
});

describe('ProducerTable that does not know what stood below the log start', () => {
  const first = { producerEpoch: 0, baseSequence: 0, baseOffset: 10 };
  const named = { ...first, producerId: 8, producerEpoch: 3 };
  const given = { idMax: 20, epochs: new Map([[8, 3]]) };

  /** Of a log with these two batches. */
  function known(): ProducerTable {
    const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
    table.apply(batch(first));
    table.apply(batch({ ...named, baseOffset: 12 }));
    table.commit(14);
    return table;
  }

  const cases: { name: string; forget: () => ProducerTable }[] = [
    {
      name: 'a log that starts anew above them',
      forget: () => {
        const table = known();
        table.clear(14);
        return table;
      },
    },
    {
      name: 'a log that was opened without a snapshot',
      forget: () => {
        const table = new ProducerTable({ producersMax: 10, nowMs: 0 });
        table.clear(14);
        return table;
      },
    },
    {
      name: 'a log whose beginning is lost',
      forget: () => {
        const table = known();
        table.loseBeginning(14);
        return table;
      },
    },
    {
      name: 'a log that was cut and read again',
      forget: () => {
        const table = known();
        table.apply(batch({ producerId: 9, baseSequence: 0, baseOffset: 14 }));
        table.commit(16);
        table.truncate(14);
        table.rebuild([], 14);
        return table;
      },
    },
    {
      name: 'a snapshot of such a table',
      forget: () => {
        const table = known();
        table.clear(14);
        const restored = new ProducerTable({ producersMax: 10, nowMs: 0 });
        restored.restore(table.snapshot());
        return restored;
      },
    },
  ];
  it.each(cases)('takes no batch again that may have stood in $name', ({ forget }) => {
    const table = forget();
    table.beginLeading();

    const before = [outcome(table, first), outcome(table, named)];
    table.learn(given);

    expect(before.every((code) => code === 'BROKER_NOT_READY' || code.startsWith('dup'))).toBe(
      true,
    );
    for (const one of [first, named]) expect(outcome(table, one)).not.toBe('ok');
    expect([
      outcome(table, { ...first, producerId: 21 }),
      outcome(table, { ...named, producerEpoch: 4 }),
    ]).toEqual(['ok', 'ok']);
  });

  it('never says of a batch below a lost beginning that it was appended', () => {
    const table = known();
    table.apply(batch({ producerEpoch: 0, baseSequence: 2, baseOffset: 14 }));
    table.commit(16);

    table.loseBeginning(14);

    expect([
      outcome(table, first),
      outcome(table, { producerEpoch: 0, baseSequence: 2 }),
      outcome(table, { producerEpoch: 0, baseSequence: 4 }),
    ]).toEqual(['UNKNOWN_PRODUCER', 'duplicate 14..15', 'ok']);
  });

  it('learns anew for each leadership, and no more once nobody repeats what stood there', () => {
    const table = known();
    table.clear(14);
    table.beginLeading();
    table.learn(given);
    const learned = table.mustLearn;
    table.beginLeading();
    const again = table.mustLearn;
    table.tick(PRODUCER_KEPT_MS);

    expect([learned, again, table.mustLearn]).toEqual([false, true, false]);
    // Of ids without a name it holds for good.
    expect(outcome(table, first)).toBe('UNKNOWN_PRODUCER');
  });

  it('is whole where the log starts at 0', () => {
    const table = known();
    table.clear(0);

    expect([table.mustLearn, outcome(table, first)]).toEqual([false, 'ok']);
  });

  it('is as new once its log starts anew at 0', () => {
    const table = known();
    table.clear(14);
    table.beginLeading();
    table.learn(given);

    table.clear(0);
    table.beginLeading();

    expect([
      table.mustLearn,
      outcome(table, first),
      outcome(table, { ...named, baseOffset: 0 }),
    ]).toEqual([false, 'ok', 'ok']);
    expect(table.snapshot()).toBe('[]');
  });

  it('is not filled by headers that were read before a reset', () => {
    const table = known();
    table.truncate(12);
    table.clear(30);

    table.rebuild([batch(first)], 0);

    expect(table.size).toBe(0);
  });
});
