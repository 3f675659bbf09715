/**
 * A broker whose wall clock is a month off: nothing fresh is retired, and nothing good is refused.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clocks } from './harness/clocks.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const MONTH_MS = 30 * 86_400_000;
const DAY_MS = 86_400_000;
const RETENTION_CHECK_MS = 100;
/** Small enough that the load fills one in a second. */
const SEGMENT_BYTES = 1024 * 1024;
const SHAPE = {
  partitions: 1,
  load: { valueBytes: 2_000 },
  config: { segmentBytes: SEGMENT_BYTES, retentionMs: DAY_MS },
};
/** Several segments. */
const RECORDS = 1_000;
const WRONG = 3;
const JUMPING = 2;

describe('a wrong wall clock', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-clocks-'));
  const clocks = new Clocks(folder);
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({
      env: clocks.env,
      args: ['--retention-check-ms', `${RETENTION_CHECK_MS}`],
    });
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Resolves when retention by time waits on this broker, or goes on, for this reason. */
  const waitReason = (brokerId: number, reason: RegExp): Promise<true> =>
    cluster.wait(`broker ${brokerId} to say ${reason}`, async (note) => {
      const { timeRetentionReason } = await cluster.admin.describeBroker(brokerId);
      note(timeRetentionReason);
      return when(reason.test(timeRetentionReason));
    });

  async function changeController({ topic }: Scene): Promise<void> {
    const controller = await cluster.controller();
    await cluster.broker(controller).kill();
    await cluster.wait('another controller', async () =>
      when((await cluster.controller()) !== controller),
    );
    await cluster.restart(controller);
    await cluster.waitInSync(topic.name);
  }

  it('retires nothing fresh, whoever is the controller', async () => {
    const { verdict } = await underLoad(cluster, SHAPE, async (scene) => {
      const { topic, progress } = scene;
      await progress(RECORDS);
      clocks.set(WRONG, MONTH_MS);
      await cluster.broker(WRONG).kill();
      await cluster.restart(WRONG);
      await cluster.waitInSync(topic.name);
      for (let change = 0; change < 2; change += 1) {
        await cluster.lead(topic.name, 0, WRONG);
        await waitReason(WRONG, /median/);
        await progress(RECORDS);
        await changeController(scene);
      }
      clocks.set(WRONG, 0);
    });
    // Every acknowledged record is read back.
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('that jumps retires nothing fresh and refuses nothing good', async () => {
    const { verdict } = await underLoad(cluster, SHAPE, async ({ topic, progress }) => {
      await progress(RECORDS);
      await cluster.lead(topic.name, 0, JUMPING);
      await waitReason(JUMPING, /^$/);
      for (const aheadMs of [MONTH_MS, -MONTH_MS]) {
        clocks.set(JUMPING, aheadMs);
        await waitReason(JUMPING, /median|jumped/);
        await progress(RECORDS);
      }
      clocks.set(JUMPING, 0);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
