/** The page of a real cluster: what a person sees when a broker is killed. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Command, tidemark } from '../cluster/harness/child.ts';
import { TestCluster } from '../cluster/harness/cluster.ts';
import { waitFor } from '../cluster/harness/wait.ts';
import { chromiumPath, launch, NO_CHROMIUM, open } from './browser.ts';

const executablePath = chromiumPath();
const SENTENCE = '#sentence';
/** The browser looks again until then. */
const PATIENCE = { timeout: 60_000 };

describe('the page of a cluster', () => {
  let cluster: TestCluster;
  let browser: Browser;
  let server: Command;
  let url = '';
  beforeAll(async () => {
    if (executablePath === undefined) return;
    cluster = await TestCluster.start();
    await cluster.client.admin().createTopic({ name: 'orders', partitions: 3 });
    await cluster.waitInSync('orders');
    server = tidemark(['page', '--port', '0', '--server', cluster.servers.join(',')]);
    url = await waitFor('the address', () => /open (\S+)/.exec(server.printed())?.[1]);
    browser = await launch(executablePath);
  });
  afterAll(async () => {
    if (executablePath === undefined) return;
    await browser?.close();
    await server?.kill();
    await cluster?.close();
  });
  beforeEach(({ skip }) => {
    if (executablePath === undefined) skip(NO_CHROMIUM);
  });

  it('says that all is well, with a tile for each replica', async () => {
    const { page, complaints } = await open(browser, url);
    await page.locator(SENTENCE, { hasText: 'Safe to lose one broker' }).waitFor(PATIENCE);
    expect(await page.locator('.racks .tile').count()).toBe(9);
    expect(await page.locator('.racks .tile.leader').count()).toBe(3);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('opens a partition by the keyboard alone', async () => {
    const { page, complaints } = await open(browser, url);
    const tiles = page.getByRole('group', { name: 'replicas on broker 1' }).getByRole('button');
    await tiles.first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const detail = page.getByRole('region', { name: 'partition orders/1' });
    await detail.waitFor(PATIENCE);
    expect(await detail.locator('.bars li').count()).toBe(3);
    expect(await tiles.nth(1).getAttribute('aria-pressed')).toBe('true');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.for(['light', 'dark'] as const)('needs no more than 360 pixels (%s)', async (colorScheme) => {
    const viewport = { width: 360, height: 740 };
    const { page, complaints } = await open(browser, url, { viewport, colorScheme });
    await page.locator('.racks .tile').first().click();
    await page.locator('.detail').waitFor(PATIENCE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('runs no script but its own', async () => {
    const { page, complaints } = await open(browser, url);
    await page.evaluate(
      "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))",
    );
    expect(await page.evaluate('window.ran')).toBeUndefined();
    expect(complaints.join()).toContain('Content Security Policy');
    await page.close();
  });

  it('shows a broker that is killed, and its return', async () => {
    const { page, complaints } = await open(browser, url);
    await page.locator(SENTENCE, { hasText: 'Safe to lose one broker' }).waitFor(PATIENCE);
    const card = page.locator('[data-broker="2"]');
    await cluster.broker(2).kill();
    await page.locator(SENTENCE, { hasText: 'broker 2 is' }).waitFor(PATIENCE);
    await card.locator('.tile.away[data-name="orders/0"]').waitFor(PATIENCE);
    // Whatever it led is led by others.
    await page.locator('.racks:not(:has([data-broker="2"] .leader))').waitFor(PATIENCE);
    await page.locator('.changes .fence', { hasText: 'fence' }).first().waitFor(PATIENCE);
    await cluster.restart(2);
    await page.locator(SENTENCE, { hasText: 'Safe to lose one broker' }).waitFor(PATIENCE);
    await card.locator('.tile.away').waitFor({ ...PATIENCE, state: 'detached' });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says that nobody serves it any more', async () => {
    const { page } = await open(browser, url);
    await page.locator('.racks .tile').first().waitFor(PATIENCE);
    await server.kill();
    await page.locator(SENTENCE, { hasText: 'does not answer' }).waitFor(PATIENCE);
    await page.close();
  });
});
