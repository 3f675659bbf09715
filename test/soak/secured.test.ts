/**
 * A cluster with TLS, tokens and rules under load for as long as `TIDEMARK_SOAK_MINUTES` says,
 * struck again and again: what `test/cluster/secured.test.ts` tries once. Not in the gate.
 */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Random } from '../../base/random.ts';
import { TestCluster } from '../cluster/harness/cluster.ts';
import { underLoad } from '../cluster/harness/scenario.ts';
import { Secured } from '../cluster/harness/secured.ts';

const MINUTES = Number(process.env['TIDEMARK_SOAK_MINUTES'] ?? 30);
const SEED = Number(process.env['TIDEMARK_SOAK_SEED'] ?? randomInt(2 ** 31));
const BROKERS = 3;
const SESSION = ['--session-timeout-ms', '1000', '--heartbeat-ms', '100'];
const STRIKES = ['kill', 'pause', 'restart', 'renew'] as const;
const PAUSE_MS_MAX = 3_000;
/** Time beside the load: to start, to come to rest, and to compare. */
const AROUND_MS = 10 * 60_000;

const secured = new Secured();
let cluster: TestCluster;

beforeAll(async () => {
  const options = secured.options(BROKERS);
  cluster = await TestCluster.start({ ...options, args: SESSION });
  await secured.grant(cluster.admin, 'topic-*');
});

afterAll(async () => {
  await cluster.close();
  secured.close();
});

it(
  `loses nothing in ${MINUTES} minutes of strikes, seed ${SEED}`,
  async () => {
    const random = new Random(SEED).fork('strikes');
    const counts = { kill: 0, pause: 0, restart: 0, renew: 0 };
    const untilMs = performance.now() + MINUTES * 60_000;
    const shape = { partitions: 3, load: { recordsPerTick: 1 } };
    const outcome = await underLoad(cluster, shape, async ({ topic, progress }) => {
      while (performance.now() < untilMs) {
        const strike = STRIKES[random.below(STRIKES.length)] ?? 'kill';
        const id = 1 + random.below(BROKERS);
        counts[strike] += 1;
        await strikeBroker(strike, id, random);
        await progress();
        await cluster.waitInSync(topic.name);
      }
    });
    const { appends, longestGapMs, verdict } = outcome;
    console.log(
      `soak: ${appends.length} appends, ${verdict.refused} refused, ${verdict.unknown} unknown, longest gap ${Math.round(longestGapMs)} ms, ${JSON.stringify(counts)}`,
    );
    expect(appends.filter(({ outcome }) => outcome.kind !== 'acknowledged')).toEqual([]);
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  },
  MINUTES * 60_000 + AROUND_MS,
);

async function strikeBroker(
  strike: (typeof STRIKES)[number],
  id: number,
  random: Random,
): Promise<void> {
  const broker = cluster.broker(id);
  switch (strike) {
    case 'kill':
      await broker.kill();
      await cluster.restart(id);
      return;
    case 'restart':
      expect(await broker.stop()).toEqual({ code: 0, signal: null });
      await cluster.restart(id);
      return;
    case 'pause':
      broker.pause();
      await new Promise((resolve) => setTimeout(resolve, random.below(PAUSE_MS_MAX)));
      broker.resume();
      return;
    case 'renew':
      secured.renew(id);
  }
}
