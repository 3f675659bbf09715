/** Compaction under kills, power loss, full volumes: see {@link CompactionWorld}. */
import { describe, expect, it } from 'vitest';
import { isShortage } from '../../../broker/runtime/ports.ts';
import { CompactionWorld, Died } from './compaction-world.ts';

const SEEDS = 15;

/** Appends, has them synced, compacts, and once more. What it comes to is checked. */
async function script(world: CompactionWorld, canFail = false): Promise<void> {
  for (let pass = 0; pass < 2; pass += 1) {
    for (let appends = 0; appends < 5; appends += 1) await world.answer(world.append());
    await world.sleep(300);
    await compact(world, canFail);
  }
}

async function compact(world: CompactionWorld, canFail = false): Promise<void> {
  const order = world.drawOrder();
  for (let tries = 0; tries < 3; tries += 1) {
    const { isComplete, waitsFor } = await world.answer(world.compact(order));
    if (isComplete) {
      await merge(world, canFail);
      return;
    }
    if (!canFail || waitsFor === undefined)
      throw new Error(`it waits for ${waitsFor ?? 'nothing'}`);
  }
  throw new Error('it waits for ever');
}

async function merge(world: CompactionWorld, canFail: boolean): Promise<void> {
  const { waitsFor } = await world.answer(world.merge());
  if (waitsFor !== undefined && !canFail) throw new Error(`it waits for ${waitsFor}`);
  if (waitsFor !== undefined) await merge(world, false);
  world.checkMerged();
}

async function unlessDied(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Died)) throw error;
  }
}

/** Goes on after a crash: all is checked, the order is carried out, and all is checked again. */
async function goOn(world: CompactionWorld): Promise<void> {
  await world.start();
  if (world.order.upTo > 0) {
    await world.answer(world.compact(world.order));
    await merge(world, false);
  }
  world.kill('kept');
  await world.start();
  world.kill('kept');
}

async function named(what: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  }
}

describe('compaction', () => {
  it.each(['kept', 'lost'] as const)(
    'survives a crash at every file call of it, the page cache %s',
    async (stop) => {
      const whole = new CompactionWorld(7);
      await whole.start();
      const first = whole.disk.operations + 1;
      await script(whole);
      const last = whole.disk.operations;
      expect(last - first).toBeGreaterThan(60);
      expect(whole.counts['merged']).toBeGreaterThan(1);
      for (let operation = first; operation <= last; operation += 1) {
        const when = (['before', 'torn', 'after'] as const)[operation % 3]!;
        const world = new CompactionWorld(7);
        world.crashAt({ operation, when, stop });
        const run = async (): Promise<void> => {
          await world.start();
          await unlessDied(script(world));
          if (!world.isDead) world.kill(stop);
          await goOn(world);
        };
        await named(`operation ${operation}`, run());
      }
    },
  );

  it.each(['ENOSPC', 'EMFILE'])('takes %s at any file call for a state', async (code) => {
    const whole = new CompactionWorld(9);
    await whole.start();
    const first = whole.disk.operations + 1;
    await script(whole);
    const last = whole.disk.operations;
    let waits = 0;
    for (let operation = first; operation <= last; operation += 1) {
      const world = new CompactionWorld(9);
      world.failAt(operation, code);
      const run = async (): Promise<void> => {
        await world.start();
        try {
          await script(world, true);
        } catch (error) {
          // The append that met it is refused, and the log has to be opened again.
          if (!isShortage(error)) throw error;
        }
        world.kill('kept');
        await goOn(world);
        waits += (world.counts['space'] ?? 0) + (world.counts['descriptors'] ?? 0);
      };
      await named(`operation ${operation}`, run());
    }
    expect(waits).toBeGreaterThan(5);
  });

  it('keeps its promises beside appends and retirements, over kills and power loss', async () => {
    const counts: Record<string, number> = {};
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const world = new CompactionWorld(seed);
      await named(`seed ${seed}`, live(world));
      for (const [what, count] of Object.entries(world.counts))
        counts[what] = (counts[what] ?? 0) + count;
    }
    expect(counts['complete']).toBeGreaterThan(SEEDS);
    expect(counts['merged']).toBeGreaterThan(SEEDS);
  });
});

async function pass(world: CompactionWorld): Promise<void> {
  const { isComplete } = await world.compact(world.drawOrder());
  if (isComplete) await world.merge();
}

/** Lives of one log: each ends in a kill, and the next one checks what it left. */
async function live(world: CompactionWorld): Promise<void> {
  for (let process = 0; process < 4; process += 1) {
    await world.start();
    for (let step = 0; step < 25; step += 1) {
      const draw = world.random.below(10);
      if (draw < 5) void world.append().catch(() => undefined);
      else if (draw < 8) await world.sleep(world.random.below(200));
      else if (draw === 8) void pass(world).catch(() => undefined);
      else if (world.random.chance(0.2)) await world.answer(world.retire());
    }
    world.kill(world.random.chance(0.5) ? 'kept' : 'lost');
  }
  await goOn(world);
}
