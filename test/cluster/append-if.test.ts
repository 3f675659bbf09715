/**
 * Programs that append at an expected end, each from a client of its own, while leaders are killed:
 * at each end at most one wins, winners are in the log once and where they were told, and losers
 * are not.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Producer, TidemarkError } from '../../client/index.ts';
import { TestCluster } from './harness/cluster.ts';
import { readAll } from './harness/scenario.ts';
import { waitFor, when } from './harness/wait.ts';

const RACERS = 4;
const KILLS = 3;
/** Wins between one kill and the next, all racers together. */
const WINS_BETWEEN = 30;

interface Attempt {
  readonly value: string;
  readonly expected: number;
  /** Offset; a refusal that is certain; or nobody knows. */
  fate: number | 'lost' | 'unknown' | 'open';
}

/** One program. It reads no log: the answers tell it the end. */
class Racer {
  readonly attempts: Attempt[] = [];
  readonly #name: string;
  readonly #cluster: TestCluster;
  readonly #topic: string;
  isOn = true;

  constructor(name: string, cluster: TestCluster, topic: string) {
    this.#name = name;
    this.#cluster = cluster;
    this.#topic = topic;
  }

  get wins(): number {
    return this.attempts.filter(({ fate }) => typeof fate === 'number').length;
  }

  async run(): Promise<void> {
    const client = this.#cluster.connect();
    const producer = client.producer();
    try {
      for (let end = 0; this.isOn; ) end = await this.#race(producer, end);
    } finally {
      await client.close();
    }
  }

  /** Resolves with the end as it is known then. */
  async #race(producer: Producer, expected: number): Promise<number> {
    const value = `${this.#name}-${this.attempts.length}`;
    const attempt: Attempt = { value, expected, fate: 'open' };
    this.attempts.push(attempt);
    const record = { topic: this.#topic, partition: 0, value };
    try {
      const { baseOffset, nextOffset } = await producer.append([record], { ifOffset: expected });
      attempt.fate = baseOffset;
      return nextOffset;
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      attempt.fate = error.effect === 'none' ? 'lost' : 'unknown';
      // What nobody knows is tried again at the same end, where only one of both can stand.
      if (attempt.fate === 'unknown') return expected;
      expect(error.code).toBe('OFFSET_TAKEN');
      return error.details.dataEnd ?? Number.NaN;
    }
  }
}

describe('appends at an expected end', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  it('have one winner at each end, whichever leaders are killed meanwhile', async () => {
    const topic = await cluster.createTopic({ partitions: 1 });
    const racers = Array.from(
      { length: RACERS },
      (_, at) => new Racer(`racer${at}`, cluster, topic.name),
    );
    const wins = (): number => racers.reduce((sum, racer) => sum + racer.wins, 0);
    const running = Promise.all(racers.map((racer) => racer.run()));
    const race = async (): Promise<void> => {
      const goal = wins() + WINS_BETWEEN;
      await waitFor('more wins', () => Promise.resolve(when(wins() >= goal)));
    };
    try {
      for (let kill = 0; kill < KILLS; kill += 1) {
        await Promise.race([race(), running]);
        const leader = await cluster.leader(topic.name);
        await cluster.broker(leader).kill();
        await Promise.race([race(), running]);
        await cluster.restart(leader);
        await cluster.waitInSync(topic.name);
      }
    } finally {
      for (const racer of racers) racer.isOn = false;
      await running;
    }

    const log = new Map<number, string>();
    for (const { offset, value } of await readAll(cluster, topic.name))
      log.set(offset, Buffer.from(value).toString());
    const stored = [...log].map(([offset, value]) => ({ offset, value }));
    const attempts = racers.flatMap((racer) => racer.attempts);
    const faults = attempts.flatMap(({ value, expected, fate }) => {
      const places = stored.filter((one) => one.value === value).map(({ offset }) => offset);
      const [place] = places;
      const before = stored.filter(
        ({ offset }) => offset >= expected && offset < (place ?? expected),
      );
      const isTrue =
        before.length === 0 &&
        (typeof fate === 'number'
          ? places.length === 1 && place === fate
          : places.length <= (fate === 'unknown' ? 1 : 0));
      return isTrue ? [] : [{ value, expected, fate, places, before }];
    });
    expect(faults).toEqual([]);
    expect(attempts.some(({ fate }) => fate === 'lost')).toBe(true);
  });
});
