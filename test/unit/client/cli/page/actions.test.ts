/** What the page's server does for a page beside showing it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PageServer, type PageUsers } from '../../../../../client/cli/page/server.ts';
import { unreachable } from '../../../../../client/cli/page/snapshot.ts';
import type { PageUser } from '../../../../../client/cli/page/visit.ts';
import type { About, Action } from '../../../../../page/snapshot.ts';
import { ABOUT, fakeUser } from '../../../page/fixture.ts';

const APPEND = { kind: 'append', topic: 'orders', partition: 0, key: null, value: 'v' };
const KILL = { kind: 'process', brokerId: 2, deed: 'kill' };
const EVERYTHING = { read: true, append: true, processes: true };

interface Answer {
  readonly status: number;
  readonly text: string;
}

describe('the server of a page that may act', () => {
  let folder = '';
  let url = '';
  let server: PageServer | undefined;
  let actions: Action[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-page-'));
    for (const name of ['index.html', 'main.js', 'main.css', 'icon.svg'])
      writeFileSync(join(folder, name), name);
    actions = [];
  });
  afterEach(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function serve(users: PageUsers): Promise<void> {
    server = new PageServer(folder, users, { names: new Set(['page.example']) });
    url = await server.listen(0);
  }

  function userWho(change: Partial<About['allow']>, more: Partial<PageUser> = {}): PageUser {
    const nothing = { read: false, append: false, processes: false };
    return fakeUser(() => Promise.resolve(unreachable(1, 'nobody answers')), {
      about: { ...ABOUT, allow: { ...nothing, ...change } },
      carryOut: (action) => {
        actions.push(action);
        return Promise.resolve('done');
      },
      ...more,
    });
  }

  function ask(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body = '',
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      request(new URL(path, url), { method, headers }, (response) => {
        let text = '';
        response.on('data', (part) => (text += String(part)));
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      })
        .once('error', reject)
        .end(body);
    });
  }

  async function visit(): Promise<string> {
    const { text } = await ask('GET', '/about');
    return (JSON.parse(text) as About).visit;
  }

  /** As the page itself asks, but for what is changed. */
  function post(path: string, body: unknown, change: Readonly<Record<string, string>> = {}) {
    const { origin } = new URL(url);
    const headers = { origin, 'content-type': 'application/json', ...change };
    return ask('POST', path, headers, typeof body === 'string' ? body : JSON.stringify(body));
  }

  it('carries out what the page asks for, and says what was done', async () => {
    await serve(userWho(EVERYTHING));
    const headers = { 'x-tidemark-visit': await visit() };
    for (const action of [APPEND, KILL])
      expect(await post('/act', action, headers)).toEqual({
        status: 200,
        text: '{"ok":true,"message":"done"}',
      });
    expect(actions).toEqual([APPEND, KILL]);
  });

  it.for([
    ['another origin', { origin: 'http://evil.example' }, 403],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }, 403],
    ['no origin', { origin: '' }, 403],
    ['a site that the browser calls another', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a form', { 'content-type': 'text/plain' }, 403],
    ['a page that it does not know', { 'x-tidemark-visit': 'guess' }, 403],
    ['a name that it does not have', { host: 'evil.example' }, 421],
  ] as const)('does nothing for %s', async ([, change, status]) => {
    await serve(userWho(EVERYTHING));
    const headers = { 'x-tidemark-visit': await visit(), ...change };
    expect((await post('/act', APPEND, headers)).status).toBe(status);
    expect(actions).toEqual([]);
  });

  it.for([
    ['nothing', ''],
    ['no JSON', '{'],
    ['no object', '7'],
    ['an action that there is not', { kind: 'drop' }],
    ['a deed that there is not', { ...KILL, deed: 'SIGHUP' }],
    ['a broker that is no number', { ...KILL, brokerId: '2' }],
    ['a partition below 0', { ...APPEND, partition: -1 }],
    ['a value that is no text', { ...APPEND, value: 7 }],
    ['a body that is too long', { ...APPEND, value: 'v'.repeat(262_145) }],
  ] as const)('refuses %s', async ([, body]) => {
    await serve(userWho(EVERYTHING));
    const headers = { 'x-tidemark-visit': await visit() };
    expect((await post('/act', body, headers)).status).toBe(400);
    expect(actions).toEqual([]);
  });

  it('appends and ends brokers only where that was allowed', async () => {
    await serve(userWho({ read: true }));
    const headers = { 'x-tidemark-visit': await visit() };
    const answers = [await post('/act', APPEND, headers), await post('/act', KILL, headers)];
    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    expect(answers[0]?.text).toContain('--allow append');
    expect(actions).toEqual([]);
  });

  it('says why an action failed', async () => {
    const carryOut = () => Promise.reject(new Error('no room'));
    await serve(userWho(EVERYTHING, { carryOut }));
    expect(await post('/act', APPEND, { 'x-tidemark-visit': await visit() })).toEqual({
      status: 200,
      text: '{"ok":false,"message":"no room"}',
    });
  });

  it('says why records cannot be read', async () => {
    await serve(userWho({ read: true }, { tail: () => Promise.reject(new Error('no leader')) }));
    expect(await ask('GET', `/tail?visit=${await visit()}&topic=orders&partition=0`)).toEqual({
      status: 200,
      text: '{"fault":"no leader"}',
    });
  });

  it('refuses the fifth action at a time', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    await serve(userWho(EVERYTHING, { carryOut: () => promise }));
    const headers = { 'x-tidemark-visit': await visit() };
    const answers = Array.from({ length: 5 }, () => post('/act', APPEND, headers));
    const first = await Promise.race(answers);
    expect(first).toMatchObject({ status: 503 });
    resolve('done');
    expect((await Promise.all(answers)).filter(({ status }) => status === 200)).toHaveLength(4);
  });

  it('shows records to its own page, where that was allowed', async () => {
    const tails: unknown[] = [];
    const tail: PageUser['tail'] = (...asked) => {
      tails.push(asked);
      return Promise.resolve({ records: [], next: 7, skipped: 0 });
    };
    await serve(userWho({ read: true }, { tail }));
    const id = await visit();
    expect(await ask('GET', `/tail?visit=${id}&topic=orders&partition=1&from=5`)).toEqual({
      status: 200,
      text: '{"records":[],"next":7,"skipped":0}',
    });
    expect(tails).toEqual([['orders', 1, 5]]);
    const refused = [
      await ask('GET', '/tail?topic=orders&partition=1'),
      await ask('GET', `/tail?visit=${id}&topic=orders&partition=x`),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 400]);
    await server?.close();
    await serve(userWho({}, { tail }));
    const other = await visit();
    expect((await ask('GET', `/tail?visit=${other}&topic=orders&partition=1`)).status).toBe(403);
    expect(tails).toHaveLength(1);
  });

  it('is reached by the names that it was told, and through a forwarded port', async () => {
    await serve(userWho({}));
    const hosts = ['page.example', 'page.example:8443', 'localhost:8080', '[::1]:1', '127.0.0.1'];
    for (const host of hosts) expect((await ask('GET', '/about', { host })).status).toBe(200);
    for (const host of ['page.example.evil.example', '127.0.0.1.evil.example', '127.0.0.2', 'a:b'])
      expect((await ask('GET', '/about', { host })).status).toBe(421);
    // What ends TLS in front of it.
    const forwarded = { host: 'page.example', origin: 'https://page.example' };
    expect((await post('/act', APPEND, forwarded)).text).toContain('reload the page');
  });

  it('asks each user for a token, and gives each their own connection', async () => {
    const closed: string[] = [];
    await serve({
      signIn: (token) =>
        token === 'wrong'
          ? Promise.reject(new Error('the token is not valid'))
          : Promise.resolve(
              userWho(
                { append: true },
                {
                  carryOut: () => Promise.resolve(`as ${token}`),
                  close: () => Promise.resolve(void closed.push(token)),
                },
              ),
            ),
    });
    for (const path of [
      '/about',
      '/events',
      '/tail?topic=orders&partition=0',
      '/about?visit=guess',
    ])
      expect((await ask('GET', path)).status).toBe(401);
    expect(await post('/sign-in', { token: 'wrong' })).toEqual({
      status: 401,
      text: '{"ok":false,"message":"the token is not valid"}',
    });
    for (const token of ['', 'two words', 'ü', 7])
      expect((await post('/sign-in', { token })).status).toBe(400);
    expect((await post('/sign-in', { token: 'a' }, { origin: 'http://evil.example' })).status).toBe(
      403,
    );
    for (const token of ['anna', 'bert']) {
      const { visit: id } = JSON.parse((await post('/sign-in', { token })).text) as About;
      expect((await post('/act', APPEND, { 'x-tidemark-visit': id })).text).toContain(
        `as ${token}`,
      );
    }
    // Whom nobody watches makes room for who comes.
    for (let user = 0; user < 6; user += 1)
      expect((await post('/sign-in', { token: `user-${user}` })).status).toBe(200);
    expect((await post('/sign-in', { token: 'wrong' })).status).toBe(401);
    expect(closed).toEqual([]);
    expect((await post('/sign-in', { token: 'user-6' })).status).toBe(200);
    expect(closed).toEqual(['anna']);
    await server?.close();
    expect(closed).toHaveLength(9);
  });

  it('tries four tokens at a time', async () => {
    const gate = Promise.withResolvers<never>();
    let tried = 0;
    const signIn = (): Promise<never> => {
      tried += 1;
      return gate.promise;
    };
    await serve({ signIn });
    const four = Array.from({ length: 4 }, () => post('/sign-in', { token: 'guess' }));
    await expect.poll(() => tried).toBe(4);
    expect((await post('/sign-in', { token: 'guess' })).status).toBe(503);
    gate.reject(new Error('the token is not valid'));
    expect((await Promise.all(four)).map(({ status }) => status)).toEqual([401, 401, 401, 401]);
    expect((await post('/sign-in', { token: 'guess' })).status).toBe(401);
    expect(tried).toBe(5);
  });
});
