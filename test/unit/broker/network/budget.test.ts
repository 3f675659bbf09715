import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressKey,
  Budget,
  type BudgetLimits,
  CONNECTION_BYTES,
  type Door,
  type Excess,
  type Holder,
  STREAM_BYTES,
} from '../../../../broker/network/budget.ts';

const MIB = 1024 * 1024;
const LIMITS: BudgetLimits = {
  bytes: 64 * MIB,
  streams: 1_000,
  connections: 10,
  connectionsPerAddress: 4,
  internalConnections: 3,
  connectionsOfListeners: new Map([['outside', 2]]),
};

class World {
  readonly budget: Budget;
  /** Names of those that were closed, in order, with the bound that was passed. */
  readonly closed: string[] = [];

  constructor(limits: Partial<BudgetLimits> = {}) {
    this.budget = new Budget({ ...LIMITS, ...limits });
  }

  try(name: string, address: string, door: Door = 'client'): Holder | Excess {
    return this.budget.connect(door, address, (excess) => this.closed.push(`${name}: ${excess}`));
  }

  connect(name: string, address: string, door?: Door): Holder {
    const made = this.try(name, address, door);
    if (typeof made === 'string') throw new Error(`${name} is refused: ${made}`);
    return made;
  }
}

describe('Budget', () => {
  it('bounds connections, those of an address, and those of brokers apart', () => {
    const world = new World();
    for (let each = 0; each < 4; each += 1) world.connect('a', '10.0.0.1');
    expect(world.try('a', '10.0.0.1')).toBe('connections-of-address');
    for (let each = 0; each < 6; each += 1) world.connect('b', `10.0.1.${each}`);
    expect(world.try('c', '10.0.0.9')).toBe('connections');
    for (let each = 0; each < 3; each += 1) world.connect('i', '10.0.0.1', 'internal');
    expect(world.try('i', '10.0.0.1', 'internal')).toBe('connections');
    expect([world.budget.connections('client'), world.budget.connections('internal')]).toEqual([
      10, 3,
    ]);
  });

  it('bounds connections of a named listener that has a bound of its own, among all', () => {
    const { budget } = new World();
    const comes = (listener: string, at: number) =>
      budget.connect('client', `10.0.0.${at}`, () => {}, listener);
    const first = comes('outside', 1);
    comes('outside', 2);
    expect(comes('outside', 3)).toBe('connections');
    for (let at = 4; at < 12; at += 1) expect(typeof comes('partners', at)).toBe('object');
    expect(comes('partners', 12)).toBe('connections');
    expect(['client', 'outside', 'partners'].map((name) => budget.connections(name))).toEqual([
      0, 2, 8,
    ]);
    budget.disconnect(first as Holder);
    expect(typeof comes('outside', 13)).toBe('object');
  });

  it('has room again once a connection is gone', () => {
    const world = new World({ connections: 1 });
    const first = world.connect('a', '10.0.0.1');
    world.budget.openStream(first);
    world.budget.add(first, 5);
    world.budget.disconnect(first);
    world.budget.disconnect(first);
    world.budget.add(first, 7);
    world.budget.closeStream(first);
    expect([world.budget.bytes, world.budget.streams]).toEqual([0, 0]);
    expect(typeof world.try('b', '10.0.0.1')).toBe('object');
  });

  it('refuses past three quarters whoever has more than a little, and nobody else', () => {
    const { budget, ...world } = new World();
    const made = (name: string) => budget.connect('client', name, () => world.closed.push(name));
    const [greedy, modest] = [made('10.0.0.1') as Holder, made('10.0.0.2') as Holder];
    budget.add(greedy, 40 * MIB);
    expect(budget.refusal(greedy)).toBeNull();
    expect(budget.tryAdd(greedy, 4 * MIB)).toBe(true);
    expect(budget.tryAdd(greedy, 5 * MIB)).toBe(false);
    budget.add(greedy, 5 * MIB);
    expect(budget.refusal(greedy)).toBe('memory');
    budget.openStream(modest);
    expect(budget.refusal(modest)).toBeNull();
    expect(budget.tryAdd(modest, 100_000)).toBe(true);
    expect(budget.tryAdd(modest, 2 * MIB)).toBe(false);
    expect(budget.connect('client', '10.0.0.3', () => {})).toBe('memory');
    expect(world.closed).toEqual([]);
  });

  it('refuses and closes by streams as by bytes', () => {
    const world = new World({ bytes: 1_000 * MIB });
    const [greedy, modest] = [world.connect('greedy', '1'), world.connect('modest', '2')];
    for (let each = 0; each < 760; each += 1) world.budget.openStream(greedy);
    world.budget.openStream(modest);
    expect(world.budget.refusal(greedy)).toBe('streams');
    expect(world.budget.refusal(modest)).toBeNull();
    for (let each = 0; each < 240; each += 1) world.budget.openStream(greedy);
    expect([world.closed, world.budget.streams]).toEqual([['greedy: streams'], 1]);
  });

  it('closes the greediest connection of the greediest address', () => {
    const world = new World();
    const honest = world.connect('honest', '10.0.0.1');
    const many = [1, 2, 3, 4].map((each) => world.connect(`greedy ${each}`, '10.0.0.2'));
    world.budget.add(honest, 16 * MIB);
    for (const [at, greedy] of many.entries()) world.budget.add(greedy, (11 + at) * MIB);
    expect(world.closed).toEqual(['greedy 4: memory']);
    expect(world.budget.bytes).toBe(52 * MIB + 4 * CONNECTION_BYTES);
  });

  it('closes connections of brokers only where they alone hold more than half', () => {
    const world = new World();
    const peer = world.connect('peer', '10.0.0.1', 'internal');
    const client = world.connect('client', '10.0.0.2');
    world.budget.add(peer, 30 * MIB);
    expect(world.budget.refusal(peer)).toBeNull();
    world.budget.add(client, 35 * MIB);
    expect(world.closed).toEqual(['client: memory']);
    world.budget.add(peer, 35 * MIB);
    expect(world.closed).toEqual(['client: memory', 'peer: memory']);
  });

  it('never holds more than its bounds, and counts what is there', () => {
    const act = fc.record({
      of: fc.nat(11),
      what: fc.constantFrom('connect', 'disconnect', 'open', 'close', 'add', 'try', 'take back'),
      bytes: fc.nat(24 * MIB),
    });
    const many = fc.array(act, { maxLength: 200 });
    fc.assert(
      fc.property(many, (acts) => {
        const budget = new Budget({ ...LIMITS, streams: 20 });
        const standing = new Map<number, { holder: Holder; bytes: number; streams: number }>();
        for (const { of, what, bytes } of acts) {
          const present = standing.get(of);
          if (present === undefined) {
            const door = of === 0 ? 'internal' : 'client';
            const made = budget.connect(door, `10.0.0.${of % 4}`, () => standing.delete(of));
            if (typeof made !== 'string') standing.set(of, { holder: made, bytes: 0, streams: 0 });
            continue;
          }
          const { holder } = present;
          if (what === 'disconnect') {
            standing.delete(of);
            budget.disconnect(holder);
          } else if (what === 'open') {
            present.streams += 1;
            budget.openStream(holder);
          } else if (what === 'close' && present.streams > 0) {
            present.streams -= 1;
            budget.closeStream(holder);
          } else if (what === 'add') {
            present.bytes += bytes;
            budget.add(holder, bytes);
          } else if (what === 'try') {
            if (budget.tryAdd(holder, bytes)) present.bytes += bytes;
          } else if (what === 'take back') {
            budget.add(holder, -present.bytes);
            present.bytes = 0;
          }
          const all = [...standing.values()];
          const streams = all.reduce((sum, each) => sum + each.streams, 0);
          const held = all.reduce((sum, each) => sum + each.bytes, 0);
          expect(budget.streams).toBe(streams);
          expect(budget.bytes).toBe(
            held + streams * STREAM_BYTES + standing.size * CONNECTION_BYTES,
          );
          expect(budget.bytes).toBeLessThanOrEqual(LIMITS.bytes);
          expect(budget.streams).toBeLessThanOrEqual(20);
        }
      }),
    );
  });
});

describe('addressKey', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:DB8:0001:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
  ])('of %s is %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});
