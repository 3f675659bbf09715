/** Two thousand partitions: the page stays complete, and says here how long it takes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageServer } from '../../client/cli/page/server.ts';
import type { Snapshot } from '../../page/snapshot.ts';
import { bundlePage } from '../../scripts/build.mjs';
import { ROOT } from '../cluster/harness/child.ts';
import { clusterSeen, fakeUser, partitionSeen, snapshot } from '../unit/page/fixture.ts';
import { chromiumPath, launch, NO_CHROMIUM, open } from './browser.ts';

const PARTITIONS = 2_000;
const SNAPSHOTS = 5;

/** Every tenth partition has another leader in each. */
function snapshotNumber(count: number): Snapshot {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => {
    const leader = partition % 10 === 0 ? 1 + ((count + partition) % 3) : 1 + (partition % 3);
    return partitionSeen({ partition, leader, leaderEpoch: count });
  });
  const cluster = clusterSeen({ clusterId: `number ${count}`, partitions });
  return snapshot(count * 1_000, cluster);
}

/** Frames until so many snapshots were drawn: the longest, and half of them. */
const MEASURE = `new Promise((resolve) => {
  const gaps = [];
  const seen = new Set();
  let before = performance.now();
  const frame = (now) => {
    gaps.push(now - before);
    before = now;
    seen.add(document.querySelector('.origin').textContent);
    if (seen.size <= ${SNAPSHOTS}) return requestAnimationFrame(frame);
    gaps.sort((a, b) => a - b);
    resolve({ frames: gaps.length, medianMs: gaps[gaps.length >> 1], longestMs: gaps.at(-1) });
  };
  requestAnimationFrame(frame);
})`;

describe('the page of two thousand partitions', () => {
  const executablePath = chromiumPath();
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-page-'));
  let server: PageServer;
  let browser: Browser;
  let url = '';
  beforeAll(async () => {
    if (executablePath === undefined) return;
    bundlePage(esbuild, ROOT, folder);
    let count = 0;
    server = new PageServer(
      join(folder, 'page'),
      fakeUser(() => {
        count += 1;
        return Promise.resolve(snapshotNumber(count));
      }),
    );
    url = await server.listen(0);
    browser = await launch(executablePath);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has a tile for each of their replicas, and goes on drawing', async ({ skip }) => {
    if (executablePath === undefined) skip(NO_CHROMIUM);
    const { page, complaints } = await open(browser, url);
    await page.locator('.racks .tile').first().waitFor();
    expect(await page.locator('.racks .tile').count()).toBe(3 * PARTITIONS);
    const measured = await page.evaluate(MEASURE);
    console.log(`${SNAPSHOTS} snapshots of ${PARTITIONS} partitions: ${JSON.stringify(measured)}`);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
