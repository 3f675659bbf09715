/** The page of `npm start`: what a person does on it, and does elsewhere with what it copies. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Child, type Command, command, ROOT, tail } from '../cluster/harness/child.ts';
import { freePorts } from '../cluster/harness/ports.ts';
import { waitFor } from '../cluster/harness/wait.ts';
import { chromiumPath, launch, NO_CHROMIUM, open } from './browser.ts';

const executablePath = chromiumPath();
/** The browser looks again until then. */
const PATIENCE = { timeout: 60_000 };
const SAFE = 'Safe to lose one broker';

type Copied = Record<'Command' | 'TypeScript' | 'grpcurl', string>;

describe('the page of npm start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-page-acts-'));
  const log = join(folder, 'launcher.log');
  let launcher: Child;
  let port: number;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  beforeAll(async () => {
    if (executablePath === undefined) return;
    port = await freePorts(10);
    const ports = { port, 'internal-port': port + 3, 'http-port': 0, 'page-port': port + 9 };
    const flags = Object.entries(ports).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const data = ['--data', join(folder, 'my data')];
    launcher = new Child('local/main.ts', [...flags, ...data], log);
    const url = await waitFor('the page', () => /open (\S+)/.exec(tail(log))?.[1]);
    // npx takes seconds to find the same file; grpcurl may not be there.
    stand(
      'npx',
      `shift; exec '${process.execPath}' '${join(ROOT, 'scripts', 'tidemark.mjs')}' "$@"`,
    );
    stand(
      'grpcurl',
      `exec '${process.execPath}' '${join(import.meta.dirname, 'grpcurl.ts')}' "$@"`,
    );
    await shell(`npx tidemark topic create orders --partitions 1 --server 127.0.0.1:${port}`)
      .result;
    browser = await launch(executablePath);
    ({ page, complaints } = await open(browser, url));
    await page.locator('#sentence', { hasText: SAFE }).waitFor(PATIENCE);
    await page.locator('[data-broker="1"] [data-name="orders/0"]').click(PATIENCE);
  });
  afterAll(async () => {
    if (executablePath === undefined) return;
    await browser?.close();
    launcher?.signal('SIGTERM');
    await launcher?.ended;
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(({ skip }) => {
    if (executablePath === undefined) skip(NO_CHROMIUM);
  });

  /** Stands in the place of a program. */
  function stand(name: string, line: string): void {
    writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(folder, name), 0o755);
  }

  function shell(text: string): Command {
    const path = [folder, process.env['PATH']].join(delimiter);
    return command('/bin/sh', ['-c', text], { env: { PATH: path } });
  }

  /** As a module beside a checkout. */
  function node(text: string): Command {
    const client = pathToFileURL(join(ROOT, 'client', 'index.ts')).href;
    const file = join(folder, 'copied.mts');
    writeFileSync(file, text.replace("from 'tidemark'", `from '${client}'`));
    const path = [folder, process.env['PATH']].join(delimiter);
    return command(process.execPath, [file], { env: { PATH: path } });
  }

  /** What the button copies, in all languages. */
  async function copies(button: Locator): Promise<Copied> {
    await button.click();
    const dialog = page.getByRole('dialog');
    const text = async (language: string): Promise<string> => {
      await dialog.getByRole('button', { name: language }).click();
      const shown = dialog.locator('pre');
      return (await shown.count()) === 0 ? '' : ((await shown.textContent()) ?? '');
    };
    const [Command, TypeScript, grpcurl] = [
      await text('Command'),
      await text('TypeScript'),
      await text('grpcurl'),
    ];
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    return { Command, TypeScript, grpcurl };
  }

  function everywhere({ Command: line, TypeScript, grpcurl }: Copied): Command[] {
    return [shell(line), node(TypeScript), shell(grpcurl)];
  }

  const records = (): Locator => page.getByRole('region', { name: 'newest records' });

  it('shows how far a group is behind', async () => {
    const line = `echo a | npx tidemark append orders --server 127.0.0.1:${port}`;
    await shell(line).result;
    await shell(`npx tidemark read orders --server 127.0.0.1:${port} --group billing`).result;
    const groups = page.getByRole('region', { name: 'groups' });
    await groups.getByText('nothing').waitFor(PATIENCE);
    await shell(line).result;
    await groups.getByText('1 offset,').waitFor(PATIENCE);
    expect(await groups.textContent()).toContain('billing');
  });

  it('appends a record, and shows it', async () => {
    const form = page.getByRole('form', { name: 'append a record' });
    await form.getByLabel('Key').fill('k1');
    await form.getByLabel('Value').fill('from the page');
    await page.keyboard.press('Enter');
    await page.getByRole('status').filter({ hasText: 'appended at orders/0' }).waitFor(PATIENCE);
    await records().locator('tr', { hasText: 'from the page' }).waitFor(PATIENCE);
  });

  it('copies an append that does the same in a shell, a program and by gRPC', async () => {
    const form = page.getByRole('form', { name: 'append a record' });
    const value = "it's 100%\\n größe";
    await form.getByLabel('Value').fill(value);
    const copied = await copies(form.getByRole('button', { name: 'copy as command' }));
    for (const { code, stderr } of await Promise.all(everywhere(copied).map((run) => run.result)))
      expect(code === 0 ? '' : stderr).toBe('');
    await records().locator('tr', { hasText: value }).nth(2).waitFor(PATIENCE);
    await form.getByLabel('Value').fill('');
  });

  it('copies a tail that begins with the records shown', async () => {
    const button = page.locator('.records h3').getByRole('button', { name: 'copy as command' });
    const copied = await copies(button);
    const runs = everywhere(copied);
    const shown = [
      'from the page',
      'from the page',
      Buffer.from('from the page').toString('base64'),
    ];
    for (const [at, run] of runs.entries()) {
      await waitFor('the record', () => run.printed().includes(shown[at] ?? '') || undefined);
      await run.kill();
    }
  });

  it('copies a question why, and what the cluster is', async () => {
    const whys = await copies(page.locator('.detail > .hint .copy'));
    const clusters = await copies(page.locator('.origin .copy'));
    for (const copied of [whys, clusters])
      for (const { code, stderr } of await Promise.all(everywhere(copied).map((run) => run.result)))
        expect(code === 0 ? '' : stderr).toBe('');
  });

  it('kills and starts a broker, by its buttons and by what they copy', async () => {
    const card = page.locator('[data-broker="3"]');
    const kill = card.getByRole('button', { name: 'Kill broker 3', exact: true });
    const copied = (title: string): Promise<Copied> =>
      copies(card.getByRole('button', { name: `copy as command: ${title}` }));
    const killing = await copied('Kill');
    expect(killing.grpcurl).toBe('');
    await kill.click();
    const killedMs = performance.now();
    await card.locator('.tile.away').waitFor(PATIENCE);
    const seenMs = performance.now() - killedMs;
    console.log(`the tile of a killed broker was seen to be away after ${Math.round(seenMs)} ms`);
    await page.locator('#sentence', { hasText: 'broker 3 is' }).waitFor(PATIENCE);
    expect((await shell((await copied('Start')).Command).result).code).toBe(0);
    await page.locator('#sentence', { hasText: SAFE }).waitFor(PATIENCE);
    // Its process is another by now.
    const again = await copied('Kill');
    expect(again.TypeScript).not.toBe(killing.TypeScript);
    expect((await node(again.TypeScript).result).code).toBe(0);
    await card.locator('.tile.away').waitFor(PATIENCE);
    expect((await node((await copied('Start')).TypeScript).result).code).toBe(0);
    await page.locator('#sentence', { hasText: SAFE }).waitFor(PATIENCE);
  });

  it('pauses a broker and goes on with it', async () => {
    const card = page.locator('[data-broker="2"]');
    await card.getByRole('button', { name: 'Pause broker 2', exact: true }).click();
    await card.locator('.tile.away').waitFor(PATIENCE);
    await card.getByRole('button', { name: 'Continue broker 2', exact: true }).click();
    await page.locator('#sentence', { hasText: SAFE }).waitFor(PATIENCE);
    expect(complaints).toEqual([]);
  });
});
