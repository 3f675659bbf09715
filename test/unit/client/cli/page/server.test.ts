import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PageServer } from '../../../../../client/cli/page/server.ts';
import { unreachable } from '../../../../../client/cli/page/snapshot.ts';
import { fakeUser } from '../../../page/fixture.ts';

describe('the server of the page', () => {
  let folder = '';
  let looks = 0;
  let gate: Promise<undefined> | undefined;
  let url = '';
  let server: PageServer;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-page-'));
    for (const name of ['index.html', 'main.js', 'main.css', 'icon.svg'])
      writeFileSync(join(folder, name), name);
    looks = 0;
    gate = undefined;
    server = new PageServer(
      folder,
      fakeUser(async () => {
        looks += 1;
        const atMs = looks;
        await gate;
        return unreachable(atMs, 'nobody answers');
      }),
    );
    url = await server.listen(0);
  });
  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function ask(path: string, options: object = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      request(new URL(path, url), options, resolve).once('error', reject).end();
    });
  }

  function watch(): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      get(new URL('/events', url), resolve).once('error', reject);
    });
  }

  /** The first part of the body. */
  function textOf(message: IncomingMessage): Promise<string> {
    return new Promise((resolve) => {
      message.once('data', (part) => resolve(String(part)));
    });
  }

  it('serves its files with strict headers, and looks at nothing meanwhile', async () => {
    const answers = await Promise.all(
      ['/', '/main.js', '/main.css', '/icon.svg'].map((path) => ask(path)),
    );
    for (const { statusCode, headers } of answers) {
      expect(statusCode).toBe(200);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(headers['content-security-policy']).not.toContain('unsafe');
    }
    expect(looks).toBe(0);
  });

  it.for([
    { name: 'a path that there is not', path: '/../package.json', options: {}, status: 404 },
    { name: 'another method', path: '/', options: { method: 'PUT' }, status: 405 },
    {
      name: 'a name of another site',
      path: '/',
      options: { headers: { host: 'evil.example' } },
      status: 421,
    },
    {
      name: 'events for another site',
      path: '/events',
      options: { headers: { host: 'evil.example:9640' } },
      status: 421,
    },
  ])('refuses $name', async ({ path, options, status }) => {
    expect((await ask(path, options)).statusCode).toBe(status);
    expect(looks).toBe(0);
  });

  it('takes one look for all who watch', async () => {
    const { promise: isOpen, resolve: open } = Promise.withResolvers<undefined>();
    gate = isOpen;
    const watchers = await Promise.all([watch(), watch(), watch()]);
    expect(looks).toBe(1);
    const told = watchers.map(textOf);
    open(undefined);
    for (const text of await Promise.all(told)) {
      expect(text).toMatch(/^data: .*nobody answers.*\n\n$/);
      expect(text).toContain('"atMs":1,');
    }
    // Who comes before the next look hears of the last.
    expect(await textOf(await watch())).toMatch(/^data: .*\n\n$/);
  });

  it('says so to one watcher too many', async () => {
    const watchers = await Promise.all(Array.from({ length: 8 }, watch));
    const refused = await watch();
    expect(refused.statusCode).toBe(503);
    expect(await textOf(refused)).toBe('8 pages watch already, close one\n');
    for (const watcher of watchers) watcher.destroy();
  });
});
