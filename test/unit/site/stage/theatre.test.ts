import { describe, expect, it } from 'vitest';
import { Random } from '../../../../base/random.ts';
import type { Frame, Panel } from '../../../../site/stage/picture.ts';
import { blocksOf, play, type Deed } from '../../../../site/stage/script.ts';
import { Theatre } from '../../../../site/stage/theatre.ts';

const SCRIPT = blocksOf(`# Two records.
cluster 1 2 3 min=2
append a
settle

append b
run 200
status`);

function frames(seed: number, deeds: readonly Deed[] = []): readonly Frame[] {
  return play(SCRIPT, new Theatre(seed), deeds).frames;
}

/** What brokers hold in the last frame. */
function ends(run: readonly Frame[]): (number | undefined)[] {
  const panel = run.at(-1)?.panels[0];
  return panel?.brokers.map(({ logs }) => logs[0]?.cells.at(-1)?.end) ?? [];
}

describe('a run on the stage', () => {
  it('is the same whenever it is played, by its seed', () => {
    expect(frames(7)).toEqual(frames(7));
    expect(frames(7).map(({ atMs }) => atMs)).not.toEqual(frames(8).map(({ atMs }) => atMs));
  });

  it('begins at 0, with a leader and an epoch that has begun', () => {
    const [first] = frames(1);
    expect(first?.atMs).toBe(0);
    expect(first?.panels[0]?.row).toMatchObject({ leader: 1, leaderEpoch: 1, syncSet: [1, 2, 3] });
    expect(first?.panels[0]?.brokers.map(({ logs }) => logs[0]?.mark)).toEqual([1, 1, 1]);
  });

  it('shows each message as one that is on its way from frame to frame', () => {
    const kinds = new Map<number, Set<string>>();
    for (const { panels } of frames(1))
      for (const { key, kind, from, to } of panels[0]?.flights ?? [])
        kinds.set(key, (kinds.get(key) ?? new Set()).add(`${kind} ${from} ${to}`));
    expect([...kinds.values()].every(({ size }) => size === 1)).toBe(true);
    const seen = [...kinds.values()].flatMap((each) => [...each]);
    for (const one of ['append producer 1', 'frames 1 3', 'position 3 1', 'answer 1 producer'])
      expect(seen).toContain(one);
  });

  it('goes on from where somebody did something, and is the same before', () => {
    const told = frames(1);
    const changed = frames(1, [{ frame: 12, command: 'cut 3' }]);
    expect(changed.slice(0, 12)).toEqual(told.slice(0, 12));
    expect(changed[12]?.lines.map(({ text }) => text)).toContain(
      'broker 3 is cut off from everybody',
    );
    expect(ends(told)).toEqual([3, 3, 3]);
    // Without it b commits once the controller has taken it out of the sync set.
    expect(changed.at(-1)?.panels[0]?.row?.syncSet).toEqual([1, 2]);
  });

  it('takes an acknowledged record from nobody whose process dies', () => {
    const run = frames(1, [
      { frame: 20, command: 'kill 1' },
      { frame: 30, command: 'start 1' },
    ]);
    const held = run
      .at(-1)
      ?.panels[0]?.brokers.map(({ logs }) =>
        logs[0]?.cells.map(({ text }) => text).filter((text) => text === 'a'),
      );
    expect(held).toEqual([['a'], ['a'], ['a']]);
  });

  it('refuses a command that it does not know, and a broker that is not there', () => {
    const stage = new Theatre(1);
    stage.run('cluster 1 2 3');
    expect(() => stage.run('dance 1')).toThrow('unknown command dance');
    expect(() => stage.run('kill 9')).toThrow('there is no broker 9');
    expect(() => stage.run('slow 1')).toThrow('slow: ms is missing');
  });
});

describe('deeds on a broker', () => {
  function after(...commands: string[]) {
    const stage = new Theatre(1);
    for (const command of ['cluster 1 2 3 min=2', 'append a b', ...commands]) stage.run(command);
    return { stage, brokers: stage.seen()[0]?.brokers ?? [], lines: stage.takeLines() };
  }

  it('power takes what was not synced, a kill takes nothing', () => {
    const commands = ['settle', 'run 100', 'append c', 'run 40'];
    const logAfter = (...more: string[]) => after(...commands, ...more).brokers[0]?.logs[0];
    const [before, killed] = [logAfter(), logAfter('kill 1')];
    expect(before?.synced).toBeLessThan(4);
    expect(before?.cells.filter(({ isWritten }) => isWritten)).toHaveLength(4);
    expect(killed?.cells).toEqual(before?.cells);
    expect(logAfter('power 1')?.cells.at(-1)?.end).toBe(before?.synced);
  });

  it('pause holds a process, and resume lets it answer everything that came', () => {
    expect(after('pause 3', 'run 200').brokers[2]).toMatchObject({ state: 'paused' });
    expect(after('pause 3', 'run 200').brokers[0]?.logs[0]?.mark).toBe(1);
    expect(after('pause 3', 'run 200', 'resume 3', 'settle').brokers[0]?.logs[0]?.mark).toBe(3);
  });

  it('an empty disk comes back as new, and a stop in order as clean', () => {
    const texts = (commands: string[]): string[] =>
      after(...commands).lines.map(({ text }) => text);
    expect(texts(['settle', 'empty 3', 'run 200', 'start 3'])).toContain('broker 3 starts as new');
    expect(texts(['settle', 'stop 3', 'run 400', 'start 3'])).toContain('broker 3 starts as clean');
    expect(texts(['settle', 'kill 3', 'run 100', 'start 3'])).toContain('broker 3 starts as warm');
    expect(texts(['settle', 'power 3', 'run 100', 'start 3'])).toContain(
      'broker 3 starts as lossy',
    );
  });

  it('a slow broker holds up the mark in-sync, and not in quorum mode', () => {
    const stage = new Theatre(1);
    for (const command of ['beside in-sync quorum', 'slow 3 ms=200', 'append a', 'run 150'])
      stage.run(command);
    expect(stage.seen().map(({ brokers }) => brokers[0]?.logs[0]?.mark)).toEqual([1, 2]);
  });
});

describe('whatever somebody does to processes and links', () => {
  const SEEDS = 30;
  const IDS = [1, 2, 3];

  /** A command on one broker that takes nothing from a disk. */
  function deed(random: Random): string {
    const id = random.pick(IDS);
    return random.pick([
      ...[`kill ${id}`, `start ${id}`, `pause ${id}`, `resume ${id}`, `cut ${id}`, `heal ${id}`],
      ...[`stop ${id}`, `slow ${id} ms=${random.below(150)}`, `append r${random.below(1_000)}`],
    ]);
  }

  function after(seed: number): Panel {
    const stage = new Theatre(seed);
    const random = new Random(seed);
    stage.run('cluster 1 2 3 min=2');
    for (let step = 0; step < 25; step += 1) {
      stage.run(`append s${seed}x${step}`);
      stage.run(deed(random));
      stage.run(`run ${random.below(200)}`);
    }
    for (const id of IDS)
      for (const command of [`resume ${id}`, `heal ${id}`, `slow ${id} ms=0`, `start ${id}`])
        stage.run(command);
    // A process may have ended because another incarnation has its place.
    for (const id of IDS) for (const command of ['run 1500', `start ${id}`]) stage.run(command);
    stage.run('run 3000');
    return stage.seen()[0] as Panel;
  }

  it(`keeps what was acknowledged to acks=all, and heals, seeds 1 to ${SEEDS}`, () => {
    let acknowledged = 0;
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { row, sent, brokers } = after(seed);
      expect(row?.syncSet.toSorted(), `seed ${seed}`).toEqual(IDS);
      const kept = (sent ?? []).filter(({ fate }) => fate === 'acknowledged');
      acknowledged += kept.length;
      for (const { id, logs } of brokers) {
        const held = new Set(logs[0]?.cells.map(({ text }) => text));
        const lost = kept.filter(({ text }) => !held.has(text));
        expect(lost, `seed ${seed}, broker ${id}`).toEqual([]);
      }
    }
    expect(acknowledged).toBeGreaterThan(SEEDS * 3);
  });
});
