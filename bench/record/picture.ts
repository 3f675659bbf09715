/** Pictures of the page of three real brokers under load, of which one was killed a moment ago. */
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { LocalCluster, sleep } from '../local-cluster.ts';
import { Orders } from './orders.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** The page has it minus one. */
const PORT = 19_661;
const PARTITIONS = 6;
const RECORDS_PER_SECOND = 2_000;
const BEFORE_MS = 20_000;
/** Tiles have arrived by then. */
const AFTER_MS = 4_000;
const SIZE = { width: 1_180, height: 900 };

/** Writes docs/page.png and docs/page-dark.png, and docs/page-narrow.png. */
export async function pictures(): Promise<void> {
  const cluster = new LocalCluster(PORT);
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  try {
    await cluster.ready;
    for (const [name, partitions] of [
      ['orders', PARTITIONS],
      ['payments', PARTITIONS / 2],
    ] as const)
      await cluster.tidemark('topic', 'create', name, '--partitions', String(partitions));
    const orders = new Orders(cluster.servers, 'orders', PARTITIONS, RECORDS_PER_SECOND);
    const open = async (colorScheme: 'light' | 'dark', viewport = SIZE): Promise<Page> => {
      const page = await browser.newPage({ colorScheme, viewport, deviceScaleFactor: 1.25 });
      await page.goto(`http://127.0.0.1:${PORT - 1}/`);
      await page.locator('.racks .tile').first().waitFor();
      return page;
    };
    const [light, dark] = [await open('light'), await open('dark')];
    const narrow = await open('light', { width: 360, height: 740 });
    await sleep(BEFORE_MS);
    const victim = await cluster.leaderOf('orders');
    await light.getByRole('button', { name: `Kill broker ${victim}`, exact: true }).click();
    for (const page of [light, dark])
      await page.locator('.tile.leader[data-name="orders/0"]').first().click();
    await light.locator(`[data-broker="${victim}"] .tile.away`).first().waitFor();
    // What became of the click is told for eight seconds.
    await sleep(AFTER_MS + 8_000);
    const at = (name: string): string => join(ROOT, 'docs', `${name}.png`);
    for (const [page, name] of [
      [light, 'page'],
      [dark, 'page-dark'],
    ] as const) {
      await page.evaluate('document.activeElement.blur()');
      await page.screenshot({ path: at(name), fullPage: true });
    }
    await narrow.screenshot({ path: at('page-narrow') });
    await orders.stop();
  } finally {
    await browser.close();
    await cluster.close();
  }
}
