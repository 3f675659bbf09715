import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import {
  type CompactionMark,
  controlPayload,
  readControl,
} from '../../../../wire/batch/control.ts';

function mark(fields: Partial<CompactionMark>): CompactionMark {
  const none = { upTo: 0, tombstonesBelow: 0, producersBelow: 0, agingTo: 0 };
  return { ...none, forgottenIdMax: 9, agingSinceMs: 7, ...fields };
}

describe('readControl()', () => {
  test('gives back what controlPayload() wrote', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.maxSafeNat(), fc.maxSafeNat(), (brokerId, one, other) => {
        const [dataEnd, baseOffset] = [Math.min(one, other), Math.max(one, other)];
        const start = { brokerId, dataEnd };
        expect(readControl(controlPayload(start), baseOffset)).toEqual({
          kind: 'epoch-start',
          ...start,
        });
        const trim = { ...start, trimTo: dataEnd };
        expect(readControl(controlPayload(trim), baseOffset)).toEqual({ kind: 'trim', ...trim });
        const compaction = mark({ upTo: dataEnd, agingTo: dataEnd, agingSinceMs: other });
        const order = { ...start, compaction };
        expect(readControl(controlPayload(order), baseOffset)).toEqual({
          kind: 'compaction',
          ...order,
        });
      }),
    );
  });

  test('reads version 1, which did not say where the data ends', () => {
    expect(readControl(Uint8Array.of(1, 0, 1, 0, 44, 1, 0, 0), 5)).toEqual({
      kind: 'epoch-start',
      brokerId: 300,
      dataEnd: undefined,
    });
  });

  test.each([
    { name: 'no version', payload: [1, 0, 2], fault: 'control bytes is 3, must be 4 or more' },
    {
      name: 'a short payload of version 1',
      payload: [1, 0, 1, 0, 1, 0, 0],
      fault: 'control bytes is 7, must be 8',
    },
    {
      name: 'a short payload of version 2',
      payload: [1, 0, 2, 0, 1, 0, 0, 0],
      fault: 'control bytes is 8, must be 16',
    },
    {
      name: 'another kind',
      payload: [4, 0, 1, 0, 1, 0, 0, 0],
      fault:
        'control kind is 4, must be 1 (epoch start), 2 (trim) or 3 (compaction): this build knows no other',
    },
    {
      name: 'version 0',
      payload: [1, 0, 0, 0, 1, 0, 0, 0],
      fault: 'control version is 0, must be 1 to 2',
    },
    {
      name: 'a version of the future',
      payload: [1, 0, 3, 0, 1, 0, 0, 0],
      fault: 'control version is 3, which is newer: this build reads up to 2',
    },
    {
      name: 'a trim of the future',
      payload: [2, 0, 2, 0, 1, 0, 0, 0],
      fault: 'control version is 2, which is newer: this build reads up to 1',
    },
    {
      name: 'a short trim',
      payload: [2, 0, 1, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
      fault: 'control bytes is 16, must be 24',
    },
    {
      name: 'a trim to above the batch',
      payload: [2, 0, 1, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
      fault: 'control trimTo is 6, must be 0 to 5, the offset of the batch',
    },
    {
      name: 'data that ends above the batch',
      payload: [1, 0, 2, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
      fault: 'control dataEnd is 6, must be 0 to 5, the offset of the batch',
    },
  ])('refuses $name', ({ payload, fault }) => {
    const message = `Cannot read batch at byte 0: ${fault}`;
    expect(() => readControl(Uint8Array.from(payload), 5)).toThrow(
      new BrokerError('CORRUPT_BATCH', message),
    );
  });

  test.each([
    { with: { upTo: 6 }, fault: 'upTo is 6, must be 0 to 5, the offset of the batch' },
    { with: { tombstonesBelow: 5 }, fault: 'tombstonesBelow is 5, must be 0 to 4' },
    { with: { producersBelow: 5 }, fault: 'producersBelow is 5, must be 0 to 4' },
    { with: { agingTo: 5 }, fault: 'agingTo is 5, must be 0 to 4' },
    { with: { tombstonesBelow: 3, agingTo: 2 }, fault: 'agingTo is 2, must be 3 to 4' },
  ])('refuses an order whose $fault', ({ with: fields, fault }) => {
    const compaction = mark({ upTo: 4, ...fields });
    const payload = controlPayload({ brokerId: 1, dataEnd: 0, compaction });
    expect(() => readControl(payload, 5)).toThrow(`control ${fault}`);
  });

  test('refuses an order of numbers that are not exact', () => {
    const payload = controlPayload({ brokerId: 1, dataEnd: 0, compaction: mark({}) });
    payload[47] = 255;
    expect(() => readControl(payload, 5)).toThrow('control forgottenIdMax is');
  });

  test('gives a record or CORRUPT_BATCH for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.maxSafeNat(), (payload, baseOffset) => {
        try {
          expect(readControl(payload, baseOffset).dataEnd ?? 0).toBeLessThanOrEqual(baseOffset);
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
          expect(error.code).toBe('CORRUPT_BATCH');
        }
      }),
      { numRuns: 1000 },
    );
  });
});
