/** The site as `npm run site` makes it, opened from the disk: it says what the transcripts say. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildSite, scriptsOf } from '../../scripts/site.mjs';
import { blocksOf } from '../../site/stage/script.ts';
import { failingSeed } from '../fixtures/failing-seed.ts';
import { chromiumPath, launch, NO_CHROMIUM, open } from './browser.ts';

const executablePath = chromiumPath();
const SCRIPTS = Object.entries(scriptsOf());
const STORIES = SCRIPTS.filter(([path]) => path.startsWith('stories/'));
/** The browser looks again until then. */
const PATIENCE = { timeout: 60_000 };

/** Lines of a transcript's last state: `1 leader epoch=2 mark=5 log [0:1! 1:1]`. */
function lastState(text: string): string[] {
  const said = blocksOf(text).at(-1)?.expected ?? [];
  return said.filter((line) => /^([a-z-]+: )?\d+ [a-z-]+ epoch=/.test(line));
}

/** The same, read off the picture. */
const STATE = `[...document.querySelectorAll('.panel')].flatMap((panel) => {
  const title = panel.getAttribute('aria-label');
  const head = title === 'the cluster' ? '' : title + ': ';
  return [...panel.querySelectorAll('.column')].map((column) => {
    const { broker, role, epoch } = column.dataset;
    const logs = [...column.querySelectorAll('.log')].map((log) => {
      const cells = [...log.querySelectorAll('[data-cell]')].map((cell) => cell.dataset.cell);
      const name = log.dataset.title === '' ? '' : log.dataset.title + ' ';
      return name + 'mark=' + log.dataset.mark + ' log [' + cells.join(' ') + ']';
    });
    return head + broker + ' ' + role + ' epoch=' + epoch + ' ' + logs.join(' ');
  });
})`;

function stateShown(page: Page): Promise<string[]> {
  return page.evaluate(STATE);
}

/** Another run in the same page, which has loaded everything. */
async function turnTo(page: Page, story: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`#story=${story}`)}`);
  const path = story.includes('/') ? story : `stories/${story}`;
  await page.locator('.origin a', { hasText: `test/scenario/${path}.txt` }).waitFor();
}

describe('the site', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-site-'));
  let browser: Browser;
  let url = '';
  beforeAll(async () => {
    if (executablePath === undefined) return;
    url = pathToFileURL(buildSite(folder)).href;
    browser = await launch(executablePath);
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(({ skip }) => {
    if (executablePath === undefined) skip(NO_CHROMIUM);
  });

  async function at(hash: string, options: BrowserContextOptions = {}) {
    const opened = await open(browser, `${url}${hash}`, options, url);
    await opened.page.locator('h1').waitFor();
    return opened;
  }

  it('plays each story part by part to the end that its transcript has', async () => {
    const { page, complaints } = await at('');
    for (const [path, text] of STORIES) {
      await turnTo(page, path.replace('stories/', ''));
      for (const { remarks } of blocksOf(text).slice(1)) {
        await page.keyboard.press('n');
        const [first = ''] = remarks.join(' ').split(/[.(]/);
        await page.locator('.caption.now', { hasText: first }).waitFor();
      }
      await page.keyboard.press('End');
      await page.locator('main[data-last="true"]').waitFor();
      expect(lastState(text).length, path).toBeGreaterThan(2);
      expect(await stateShown(page), path).toEqual(lastState(text));
      expect(await page.locator('.verdict').textContent(), path).toContain('Line for line');
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('ends every other transcript as it is written', async () => {
    const { page, complaints } = await at('');
    for (const [path] of SCRIPTS.filter((script) => !STORIES.includes(script))) {
      await turnTo(page, path);
      await page.keyboard.press('End');
      const verdict = `Line for line what test/scenario/${path}.txt`;
      await page.locator('.verdict', { hasText: verdict }).waitFor();
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('plays by itself to the end, where it stops', async () => {
    const { page, complaints } = await at('#story=commit');
    await page.locator('.speed select').selectOption('8');
    await page.locator('h1').click();
    await page.keyboard.press('Space');
    await page.locator('main:not([data-frame="0"])').waitFor(PATIENCE);
    await page.locator('main[data-last="true"]').waitFor(PATIENCE);
    await page.getByRole('button', { name: 'Play' }).waitFor();
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('steps on, with messages on their way, and back to the same', async () => {
    const { page, complaints } = await at('#story=commit');
    const states: string[][] = [];
    const flights: number[] = [];
    for (let step = 0; step < 20; step += 1) {
      states.push(await stateShown(page));
      flights.push(await page.locator('.flight.frames').count());
      await page.keyboard.press('ArrowRight');
      await page.locator(`main[data-frame="${step + 1}"]`).waitFor();
    }
    expect(Math.max(...flights)).toBeGreaterThan(1);
    for (let step = 19; step >= 0; step -= 1) {
      await page.keyboard.press('ArrowLeft');
      await page.locator(`main[data-frame="${step}"]`).waitFor();
      expect(await stateShown(page)).toEqual(states[step]);
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('goes another way where somebody kills a broker, and keeps that in its address', async () => {
    const { page, complaints } = await at('#story=commit&at=20');
    await page
      .getByRole('group', { name: 'broker 2' })
      .getByRole('button', { name: 'Kill' })
      .click();
    await page.keyboard.press('End');
    const fenced = page.locator('.lines .decision', { hasText: 'broker 2 is fenced' });
    await fenced.waitFor();
    await page.locator('.verdict', { hasText: 'it is yours' }).waitFor();
    const address: string = await page.evaluate('location.href');
    expect(address).toContain('do=20:kill+2');
    const again = await at(address.slice(address.indexOf('#')));
    await again.page.keyboard.press('End');
    expect(await stateShown(again.page)).toEqual(await stateShown(page));
    await page.getByRole('button', { name: 'As it was told' }).click();
    await page.keyboard.press('End');
    await page.locator('.verdict', { hasText: 'Line for line' }).waitFor();
    expect([...complaints, ...again.complaints]).toEqual([]);
    await page.close();
    await again.page.close();
  });

  it('opens the rule of a decision, and gives the keyboard back', async () => {
    const { page, complaints } = await at('#story=leader-fails');
    await page.keyboard.press('End');
    const cite = page.locator('.lines .decision .cite').first();
    await cite.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Rule 13: who joins brings a certificate' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('opens a seed of the simulators, and shows how it ended', async () => {
    const { page, complaints } = await at('#seed=replication:7');
    await page.keyboard.press('End');
    await page.locator('.verdict.good', { hasText: 'Every invariant held' }).waitFor();
    const seed = failingSeed();
    await page.evaluate(`location.hash = '#seed=metadata:${seed}:in-sync:no-joint'`);
    await page.locator('h1', { hasText: `Seed ${seed} of the metadata simulator` }).waitFor();
    await page.keyboard.press('End');
    await page.locator('.verdict.bad', { hasText: 'Violated: ' }).waitFor();
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.for(['light', 'dark'] as const)('needs no more than 360 pixels (%s)', async (colorScheme) => {
    const viewport = { width: 360, height: 740 };
    const { page, complaints } = await at('', { viewport, colorScheme, reducedMotion: 'reduce' });
    for (const [path] of STORIES) {
      await turnTo(page, path.replace('stories/', ''));
      await page.keyboard.press('End');
      await page.locator('main[data-last="true"]').waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBe(360);
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says what is wrong with an address that names nothing', async () => {
    for (const hash of ['#story=nothing', '#seed=raft:1', '#story=commit&do=3:kill+9']) {
      const { page, complaints } = await at(hash);
      await page.locator('.verdict.bad').waitFor();
      expect(complaints).toEqual([]);
      await page.close();
    }
  });
});
