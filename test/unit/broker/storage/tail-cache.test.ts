import { describe, expect, it } from 'vitest';
import { PartitionTail, TailCache } from '../../../../broker/storage/tail-cache.ts';

const bytes = new Uint8Array(10);

describe('TailCache', () => {
  it('lets the oldest frame of all partitions go first', () => {
    const cache = new TailCache(30);
    const [a, b] = [new PartitionTail(cache), new PartitionTail(cache)];
    a.append(0, 1, bytes);
    b.append(0, 1, bytes);
    a.append(1, 2, bytes);
    b.append(1, 2, bytes);
    expect(cache.bytes).toBe(30);
    expect(a.read(0, 2, 100)).toBeNull();
    expect(a.read(1, 2, 100)?.nextOffset).toBe(2);
    expect(b.read(0, 2, 100)?.nextOffset).toBe(2);
  });

  it('counts nothing for what was truncated, and passes it over later', () => {
    const cache = new TailCache(30);
    const [a, b] = [new PartitionTail(cache), new PartitionTail(cache)];
    for (let offset = 0; offset < 3; offset += 1) a.append(offset, offset + 1, bytes);
    a.truncate(1);
    expect(cache.bytes).toBe(10);
    for (let offset = 0; offset < 3; offset += 1) b.append(offset, offset + 1, bytes);
    expect(cache.bytes).toBe(30);
    expect(a.read(0, 1, 100)).toBeNull();
    expect(b.read(0, 3, 100)?.nextOffset).toBe(3);
  });

  it('keeps its count through many more frames than fit', () => {
    const cache = new TailCache(1000);
    const tail = new PartitionTail(cache);
    for (let offset = 0; offset < 5000; offset += 1) tail.append(offset, offset + 1, bytes);
    expect(cache.bytes).toBe(1000);
    expect(tail.read(4899, 5000, 10_000)).toBeNull();
    expect(tail.read(4900, 5000, 10_000)?.chunks).toHaveLength(100);
    tail.clear();
    expect(cache.bytes).toBe(0);
  });

  it('holds nothing without a budget', () => {
    const cache = new TailCache(0);
    const tail = new PartitionTail(cache);
    tail.append(0, 1, bytes);
    expect([cache.bytes, tail.read(0, 1, 100)]).toEqual([0, null]);
  });
});
