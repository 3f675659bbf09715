import { describe, expect, it } from 'vitest';
import { playWorld, worldOf } from '../../../../site/stage/worlds.ts';
import { failingSeed } from '../../../fixtures/failing-seed.ts';
import { World as MetadataWorld } from '../../../sim/metadata/world.ts';
import { World as ReplicationWorld } from '../../../sim/replication/world.ts';

describe('worldOf', () => {
  it.for([
    ['replication:7', { world: 'replication', seed: 7, racers: 0, trims: false }],
    ['replication:7:racers3:trims', { world: 'replication', seed: 7, racers: 3, trims: true }],
    ['metadata:3', { world: 'metadata', seed: 3, mode: 'in-sync', flaw: 'none' }],
    ['metadata:3:any:no-seal', { world: 'metadata', seed: 3, mode: 'any', flaw: 'no-seal' }],
  ] as const)('reads %s', ([text, spec]) => {
    expect(worldOf(text)).toEqual(spec);
  });

  it.for(['', 'raft:1', 'replication', 'replication:x', 'replication:-1', 'replication:7:quorum'])(
    'reads no world in "%s"',
    (text) => {
      expect(worldOf(text)).toBeNull();
    },
  );

  it('reads no seed that a simulator does not take', () => {
    expect(worldOf('metadata:4294967295')).not.toBeNull();
    expect(worldOf('metadata:4294967296')).toBeNull();
  });
});

describe('a seed that is looked at', () => {
  it('runs as it does where nobody looks', () => {
    const alone = new ReplicationWorld(12, undefined, { trims: true }).run();
    let looks = 0;
    const look = (): void => {
      looks += 1;
    };
    expect(new ReplicationWorld(12, undefined, { trims: true, look }).run()).toEqual(alone);
    expect(looks).toBeGreaterThan(1_000);
  });

  it('shows the violation that its checkers find, last', () => {
    const seed = failingSeed();
    const options = { seed, steps: 5_000, flaw: 'no-joint', mode: 'in-sync' } as const;
    let message = '';
    try {
      new MetadataWorld(options).run();
    } catch (error) {
      message = (error as Error).message;
    }
    const run = playWorld({ world: 'metadata', seed, mode: 'in-sync', flaw: 'no-joint' });
    expect(message).not.toBe('');
    expect(run.violation).toBe(message);
    expect(run.frames.at(-1)?.lines.at(-1)).toMatchObject({ kind: 'fault', text: message });
  });

  it('shows brokers, their logs and what was decided', () => {
    const { frames, violation } = playWorld({
      world: 'metadata',
      seed: 3,
      mode: 'any',
      flaw: 'none',
    });
    expect(violation).toBeNull();
    const decided = frames.flatMap(({ lines }) => lines).filter(({ kind }) => kind === 'decision');
    expect(decided.length).toBeGreaterThan(20);
    expect(decided.every(({ rule }) => rule !== '')).toBe(true);
    expect(frames.at(-1)?.panels.map(({ title }) => title)).toEqual(['t/0', 't/1']);
    expect(frames.at(-1)?.panels[0]?.brokers.some(({ logs }) => logs[0]?.cells.length)).toBe(true);
  });
});
