/** Topics that are compacted, through what may happen to their replicas meanwhile. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../../../base/random.ts';
import type { CompactionReport } from '../../../../broker/runtime/api.ts';
import type { Position } from '../../../../client/index.ts';
import { Trace } from '../../kit/trace.ts';
import { drawCompaction, type Fault, withMixture } from '../profile.ts';
import { keptTopic, onStage, type Stage } from '../stage.ts';
import { World } from '../world.ts';

const PLACE = { topic: 'compacted', partition: 0 };
const NOTHING = { orderedTo: 0, upTo: 0, tombstonesBelow: 0, phase: 'idle' } as const;
/** What wounds logs and takes leaders away. */
const MIXTURE: readonly Fault[] = [
  'kill',
  'kill-two',
  'power-loss',
  'cut',
  'elect',
  'reassign',
  'unclean',
];

/** Any dirt is worth a pass, and tombstones stay for a second. */
function topics(config: object = {}) {
  const compaction = {
    cleanup: 'compact',
    compactionDirtyPercent: 1,
    tombstoneRetentionMs: 1_000,
    segmentMs: 1_000,
  } as const;
  return [{ ...keptTopic({ ...compaction, ...config }, 'compacted'), isKeyed: true }];
}

function compactionOf(
  stage: Stage,
  brokerId: number,
): Pick<CompactionReport, 'orderedTo' | 'upTo' | 'tombstonesBelow' | 'phase'> {
  return stage.replica(brokerId, PLACE)?.compaction ?? NOTHING;
}

/** Appends a record that is acknowledged. Resolves to its offset. */
async function put(stage: Stage, key: string, isTombstone = false): Promise<number> {
  const record = { key, isTombstone };
  const at = stage.state(PLACE).leader;
  const { fate } = await stage.end('an append', stage.append(PLACE, { at, record }));
  if (fate?.kind !== 'acknowledged') throw new Error(`"${key}" was not taken`);
  return fate.offset;
}

/** Writes to another key until this is so: what is to be compacted must be sealed. */
async function writeUntil(stage: Stage, what: string, isSo: () => boolean): Promise<void> {
  for (let count = 0; !isSo(); count += 1) {
    if (count === 60) throw new Error(`${what}: not within ${count} records`);
    await put(stage, 'other');
    await stage.pass(500);
  }
}

async function offsetsOf(stage: Stage, key: string): Promise<number[]> {
  const { keyed } = stage.world.history;
  const values = await stage.read(PLACE);
  return [...values].filter(([, value]) => keyed.get(value)?.key === key).map(([at]) => at);
}

/** On all of these brokers tombstones below `offset`, inclusive, are gone. */
function haveDropped(stage: Stage, offset: number, brokerIds: readonly number[]): boolean {
  return brokerIds.every((id) => compactionOf(stage, id).tombstonesBelow > offset);
}

describe('a compacted topic', () => {
  it('keeps the last record of each key, and forgets keys that are deleted', async () => {
    await onStage({ topics: topics() }, async (stage) => {
      await put(stage, 'kept');
      await put(stage, 'gone');
      const last = await put(stage, 'kept');
      const deleted = await put(stage, 'gone', true);
      const { replicas } = stage.state(PLACE);
      await writeUntil(stage, 'it is compacted', () =>
        replicas.every((id) => compactionOf(stage, id).upTo > deleted),
      );
      await stage.pass(2_000);
      expect(await offsetsOf(stage, 'kept')).toEqual([last]);
      await writeUntil(stage, 'tombstones go', () => haveDropped(stage, deleted, replicas));
      expect(await offsetsOf(stage, 'gone')).toEqual([]);
      expect(await offsetsOf(stage, 'kept')).toEqual([last]);
    });
  });

  it('is compacted to its end where a record has waited for too long', async () => {
    const config = { segmentMs: 86_400_000, compactionLagMaxMs: 3_000 };
    await onStage({ topics: topics(config) }, async (stage) => {
      // Long enough for the clocks to be believed.
      await stage.pass(15_000);
      for (let count = 0; count < 5; count += 1) await put(stage, 'kept');
      const last = await put(stage, 'kept');
      const { replicas } = stage.state(PLACE);
      await stage.until('it is compacted', () =>
        replicas.every((id) => compactionOf(stage, id).upTo > last),
      );
      await stage.pass(20_000);
      expect(await offsetsOf(stage, 'kept')).toEqual([last]);
      // Its own batches of control are no reason for another pass, but for the one by which
      // tombstones may go.
      expect(stage.facts('compacted').length).toBeLessThanOrEqual(2 * replicas.length);
    });
  });
});

describe('a reader that was away while tombstones went', () => {
  it('is told that it may have missed deletions, and one that begins anew is not', async () => {
    await onStage({ topics: topics() }, async (stage) => {
      const { tidemark } = stage.world.workload.client('table');
      /** Offsets, and where to go on. */
      const readFrom = async (positions: readonly Position[]) => {
        await using consumer = tidemark.consumer({ topic: PLACE.topic, positions, follow: false });
        const offsets: number[] = [];
        for await (const { offset } of consumer.records()) offsets.push(offset);
        return { offsets, positions: consumer.positions() };
      };
      const first = await put(stage, 'gone');
      const before = await stage.end('a read', readFrom([]));
      expect(before.offsets).toEqual([first]);
      const deleted = await put(stage, 'gone', true);
      const { replicas } = stage.state(PLACE);
      await writeUntil(stage, 'tombstones go', () => haveDropped(stage, deleted, replicas));
      const told = await stage.end(
        'a read',
        readFrom(before.positions).catch((error: unknown) => error),
      );
      expect(told).toMatchObject({ code: 'DELETIONS_MISSED', details: { offset: deleted } });
      const anew = await stage.end('a read', readFrom([]));
      expect(anew.offsets).not.toContain(first);
      expect(anew.offsets).not.toContain(deleted);
      await put(stage, 'other');
      const after = await stage.end('a read', readFrom(anew.positions));
      expect(after.offsets).toHaveLength(1);
    });
  });
});

describe('a follower that slept while tombstones went', () => {
  it('is copied anew, and brings no deleted key back, though it leads then', async () => {
    await onStage({ topics: topics() }, async (stage) => {
      await put(stage, 'gone');
      const { leader, followers } = stage.roles(PLACE);
      const [sleeper, other] = followers as [number, number];
      await stage.until(
        'it has the record',
        () => (stage.replica(sleeper, PLACE)?.status.highWaterMark ?? 0) > 1,
      );
      await stage.pass(5_000);
      stage.kill(sleeper);
      await stage.until('it is out of S', () => !stage.state(PLACE).syncSet.includes(sleeper));
      const deleted = await put(stage, 'gone', true);
      await writeUntil(stage, 'tombstones go', () => haveDropped(stage, deleted, [leader, other]));
      const sinceMs = stage.nowMs;
      stage.start(sleeper);
      await stage.whole();
      expect(stage.facts('reset', sinceMs).map(({ brokerId }) => brokerId)).toEqual([sleeper]);
      await stage.assign(PLACE, [sleeper, leader, other]);
      expect(await offsetsOf(stage, 'gone')).toEqual([]);
    });
  });
});

describe('a pass', () => {
  it('that dies with its broker is gone on with after a start', async () => {
    const options = ['--compaction-bytes-per-second', '65536'];
    await onStage({ topics: topics(), options, valueBytesMax: 4_000 }, async (stage) => {
      const { replicas } = stage.state(PLACE);
      for (const id of replicas) {
        await writeUntil(stage, 'a pass runs', () => compactionOf(stage, id).phase === 'running');
        stage.kill(id);
        await put(stage, 'while it is away').catch(() => undefined);
        await stage.pass(500);
        stage.start(id);
        await stage.whole();
      }
      for (const id of replicas) {
        await writeUntil(stage, 'a pass runs', () => compactionOf(stage, id).phase === 'running');
        stage.losePower(id);
        await stage.pass(500);
        stage.start(id);
        await stage.whole();
      }
    });
  });

  it('waits for space, and goes on when there is some', async () => {
    await onStage({ topics: topics(), valueBytesMax: 16_000 }, async (stage) => {
      await stage.pass(15_000);
      const { leader, followers } = stage.roles(PLACE);
      const [full] = followers as [number];
      await stage.alter('compacted', {
        compactionDirtyPercent: 100,
        compactionLagMinMs: 86_400_000,
      });
      for (let count = 0; count < 12; count += 1) {
        await put(stage, 'kept');
        await stage.pass(400);
      }
      // Room for what is ordered, and for no segment.
      stage.fill(full, 8_192);
      await stage.alter('compacted', { compactionDirtyPercent: 1, compactionLagMinMs: 0 });
      await stage.until('it waits', () => compactionOf(stage, full).phase === 'waits-for-space');
      expect(stage.facts('compaction-waits').map(({ brokerId }) => brokerId)).toEqual([full]);
      stage.free(full);
      const { orderedTo } = compactionOf(stage, leader);
      await stage.until('it is done', () => compactionOf(stage, full).upTo >= orderedTo);
      await stage.until('it rests', () => compactionOf(stage, full).phase === 'idle');
    });
  });
});

describe('a replica that is moved to another broker', () => {
  it('has what the others have, and leads', async () => {
    await onStage({ brokers: 4, topics: topics() }, async (stage) => {
      await put(stage, 'gone');
      const deleted = await put(stage, 'gone', true);
      const { replicas } = stage.state(PLACE);
      await writeUntil(stage, 'tombstones go', () => haveDropped(stage, deleted, replicas));
      const added = [1, 2, 3, 4].find((id) => !replicas.includes(id))!;
      await stage.assign(PLACE, [added, ...replicas.slice(0, 2)]);
      const last = await put(stage, 'kept');
      expect(await offsetsOf(stage, 'gone')).toEqual([]);
      expect(await offsetsOf(stage, 'kept')).toEqual([last]);
    });
  });
});

it.each([1, 2, 3])('what is told holds, whatever strikes, under seed %i', async (seed) => {
  const world = new World(seed, new Trace(), {
    override: (profile) => ({
      ...withMixture(profile, MIXTURE),
      compaction: drawCompaction(new Random(seed)),
    }),
  });
  const { failures, trace } = await world.run();
  expect(failures).toEqual([]);
  expect(trace.find(/ compacted \{/).length).toBeGreaterThan(0);
});
