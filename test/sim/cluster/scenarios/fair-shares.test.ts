/**
 * A calm producer beside a greedy one, on hosts that can send so much and no more: what it waits is
 * exact here, since nothing but the network takes time.
 */
import { describe, expect, it } from 'vitest';
import type { Producer } from '../../../../client/index.ts';
import { keptTopic, onStage, type Place, type Stage } from '../stage.ts';

const CALM = { topic: 'calm', partition: 0 };
const GREEDY = { topic: 'greedy', partition: 0 };
/** 2 Gbit/s, and half a millisecond from host to host. */
const NETWORK = { latencyMsMin: 0.5, latencyMsMax: 0.5, bytesPerMs: 250_000 };
const CONFIG = { segmentBytes: 256 * 1024 * 1024, batchBytesMax: 1024 * 1024 };
const EVERY_MS = 3;
const SETTLE_MS = 300;
const MEASURED_MS = 600;
/** What the greedy one gets at least, although it is not alone: 20 MB/s. */
const GIVEN_BYTES_PER_MS = 20_000;

/** Appends as fast as it is answered, until it is told to stop. */
function greedily(stage: Stage, { topic, partition }: Place): () => void {
  const { producer } = stage.producer();
  let isOn = true;
  let count = 0;
  const next = (): Uint8Array => {
    const value = new Uint8Array(10_000);
    value.set(new TextEncoder().encode(`greedy ${count}|`));
    return value;
  };
  const fill = (): void => {
    while (isOn && producer.enqueue({ topic, partition, value: next() })) count += 1;
    if (isOn) void producer.ready().then(fill);
  };
  fill();
  return () => {
    isOn = false;
  };
}

/** Latencies of appends that a calm producer makes for so long, one every so often, in order. */
async function calmly(stage: Stage, producer: Producer, ms: number): Promise<number[]> {
  const { time } = stage.world.ground;
  const taken: number[] = [];
  for (let fromMs = time.nowMs; time.nowMs < fromMs + ms; ) {
    const startMs = time.nowMs;
    const value = new TextEncoder().encode(`calm ${startMs}|`);
    void producer.send({ ...CALM, value }).then(() => taken.push(time.nowMs - startMs));
    await stage.pass(EVERY_MS);
  }
  return taken.toSorted((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;

describe('a calm producer beside a greedy one', () => {
  it.each([
    { name: 'in its partition', greedy: CALM },
    { name: 'in another partition of its leader', greedy: GREEDY },
  ])('waits hardly longer than alone: $name', async ({ greedy }) => {
    const topics = [keptTopic(CONFIG, 'calm'), keptTopic(CONFIG, 'greedy')];
    await onStage({ topics }, async (stage) => {
      const { leader } = stage.state(CALM);
      await stage.assign(GREEDY, stage.state(CALM).replicas);
      const { network } = stage.world.ground;
      network.profile = { ...network.profile, ...NETWORK };
      const { producer } = stage.producer();
      await calmly(stage, producer, SETTLE_MS);
      const alone = await calmly(stage, producer, MEASURED_MS);
      const end = greedily(stage, greedy);
      await calmly(stage, producer, SETTLE_MS);
      const before = stage.replica(leader, greedy)?.status.logEnd ?? 0;
      const beside = await calmly(stage, producer, MEASURED_MS);
      const given = ((stage.replica(leader, greedy)?.status.logEnd ?? 0) - before) * 10_000;
      end();
      expect(at(beside, 0.99)).toBeLessThan(1.5 * at(alone, 0.99));
      expect(given / MEASURED_MS).toBeGreaterThan(GIVEN_BYTES_PER_MS);
    });
  });
});
