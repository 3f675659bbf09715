import { expect, it } from 'vitest';
import { RecordCache } from '../../../../../broker/service/queues/record-cache.ts';
import type { DecodedRecord } from '../../../../../wire/records/record-set.ts';

/** A record whose arrays lie in a batch of that size. */
function recordIn(batchBytes: number, offset: number): DecodedRecord {
  const batch = new Uint8Array(batchBytes).fill(7);
  return {
    ...{ offset, timestampMs: 1, key: batch.subarray(0, 2), value: batch.subarray(2, 10) },
    headers: [{ key: 'h', value: batch.subarray(10, 12) }],
  };
}

it('keeps a record and not the batch that it lies in, and gives it once', () => {
  const cache = new RecordCache(1_000);
  const record = recordIn(1_000_000, 1);
  cache.keep('orders/0', record, 1);
  const found = cache.take('orders/0', 1, 1);
  expect(found).toEqual(record);
  const held = [found!.key!, found!.value!, found!.headers[0]!.value];
  expect(held.map(({ buffer }) => buffer.byteLength)).toEqual([2, 8, 2]);
  expect(cache.take('orders/0', 1, 1)).toBeUndefined();
});

it('drops the oldest where there are too many, and knows records by epoch', () => {
  const cache = new RecordCache(1_000);
  for (let offset = 0; offset < 9; offset += 1) cache.keep('orders/0', recordIn(20, offset), 1);
  expect(cache.take('orders/0', 0, 1)).toBeUndefined();
  expect(cache.take('orders/0', 8, 2)).toBeUndefined();
  expect(cache.take('orders/0', 8, 1)?.offset).toBe(8);
});
