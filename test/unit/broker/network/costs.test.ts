import { describe, expect, it } from 'vitest';
import { RELAYED_STREAM_BYTES } from '../../../../broker/messages/held.ts';
import { Budget, STREAM_BYTES } from '../../../../broker/network/budget.ts';
import {
  budgetLimits,
  type CostOptions,
  costsOf,
  defaultCosts,
  queueMemory,
  thisMachine,
} from '../../../../broker/network/costs.ts';

const MIB = 1024 * 1024;
const OPTIONS: CostOptions = {
  memoryBudgetBytes: 0,
  connectionsMax: 4_096,
  connectionsPerAddressMax: 1_024,
  streamsPerConnectionMax: 256,
  streamsMax: 16_384,
  headerBytesMax: 16_384,
  connectionIdleMs: 300_000,
};

describe('budgetLimits', () => {
  it('takes an eighth of the memory, unless an option says how much', () => {
    const machine = { memoryBytes: 400 * MIB, heapBytes: 300 * MIB, descriptors: 20_000 };
    expect(budgetLimits(OPTIONS, machine).bytes).toBe(50 * MIB);
    expect(budgetLimits(OPTIONS, { ...machine, heapBytes: 80 * MIB }).bytes).toBe(20 * MIB);
    expect(budgetLimits({ ...OPTIONS, memoryBudgetBytes: 5 * MIB }, machine).bytes).toBe(5 * MIB);
  });

  it.each([
    [128, { connections: 48, internalConnections: 16 }],
    [4_096, { connections: 1_536, internalConnections: 512 }],
    [Number.POSITIVE_INFINITY, { connections: 4_096, internalConnections: 1_024 }],
  ])('leaves half of %d descriptors to the logs', (descriptors, expected) => {
    const limits = budgetLimits(OPTIONS, {
      ...{ memoryBytes: 300 * MIB, heapBytes: 300 * MIB },
      descriptors,
    });
    expect(limits).toMatchObject(expected);
  });
});

describe('queueMemory', () => {
  it('is a sixteenth of the memory, and bounded', () => {
    const of = (memoryBytes: number) => queueMemory({ memoryBytes });
    expect([of(320 * MIB), of(64 * 1024 * MIB)]).toEqual([20 * MIB, 64 * MIB]);
  });
});

describe('costsOf', () => {
  const { budget, pressure } = defaultCosts();

  it('closes idle connections of clients, and none of brokers', () => {
    const idleOf = (door: 'client' | 'internal') => costsOf(door, OPTIONS, budget, pressure).idleMs;
    expect([idleOf('client'), idleOf('internal')]).toEqual([300_000, 0]);
  });

  it('lets brokers open as many streams for clients as these may have', () => {
    const options = { ...OPTIONS, streamsMax: 5_000, streamsPerConnectionMax: 16 };
    const streamsOf = (door: 'client' | 'internal') =>
      costsOf(door, options, budget, pressure).streamsPerConnection;
    expect([streamsOf('client'), streamsOf('internal')]).toEqual([16, 5_000]);
    expect(RELAYED_STREAM_BYTES).toBe(STREAM_BYTES);
  });

  it('waits less for the first call than between calls', () => {
    const unusedOf = (connectionIdleMs: number) =>
      costsOf('client', { ...OPTIONS, connectionIdleMs }, budget, pressure).unusedMs;
    expect([unusedOf(300_000), unusedOf(5_000)]).toEqual([20_000, 5_000]);
  });
});

describe('thisMachine', () => {
  it('has memory and descriptors', () => {
    const { memoryBytes, heapBytes, descriptors } = thisMachine();
    expect(heapBytes).toBeGreaterThan(MIB);
    expect(memoryBytes).toBeGreaterThan(MIB);
    expect(memoryBytes).toBeLessThan(2 ** 50);
    expect(descriptors).toBeGreaterThan(10);
    expect(new Budget(budgetLimits(OPTIONS, thisMachine())).bytes).toBe(0);
  });
});
