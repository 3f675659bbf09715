/**
 * The page of a cluster on a port: static files, snapshots as server-sent events, and, where that
 * is allowed, records and actions as JSON. A name that another site had resolved to this machine
 * (DNS rebinding) is refused by the Host header; another site's request by its Origin, and by an id
 * that only the page knows. No cookies, so no request has rights by itself.
 */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv6 } from 'node:net';
import { fileURLToPath } from 'node:url';
import { reasonOf } from '../../../base/reason.ts';
import type { About, ActionAnswer, TailFault } from '../../../page/snapshot.ts';
import { reportOf } from '../exit.ts';
import { actionOf, bodyOf, isOwnHost, strangeness, tailQuery } from './request.ts';
import { type PageUser, Visit } from './visit.ts';

/** Where the page listens unless it is told otherwise. */
export const PAGE_HOST = '127.0.0.1';
/** Watchers at once; one more is told so with 503. */
const WATCHERS_MAX = 8;
/** Users who have shown a token; the one that nobody watches for the longest time goes first. */
const VISITS_MAX = 8;
/** Tokens that are tried at a time: each is a connection to the cluster, right or wrong. */
const SIGN_INS_MAX = 4;
/** A user whom nobody watches is forgotten after it. */
const VISIT_IDLE_MS_MAX = 600_000;
/** A request arrives within this or not at all. */
const REQUEST_MS_MAX = 5_000;

const FILES: Readonly<Record<string, { readonly name: string; readonly type: string }>> = {
  '/': { name: 'index.html', type: 'text/html; charset=utf-8' },
  '/main.js': { name: 'main.js', type: 'text/javascript; charset=utf-8' },
  '/main.css': { name: 'main.css', type: 'text/css; charset=utf-8' },
  '/icon.svg': { name: 'icon.svg', type: 'image/svg+xml' },
};

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** Folder of the built page, or null where this installation holds none. */
export function pageFolder(): string | null {
  // Beside the built program that this file became part of: one or two folders above it.
  const found = ['../page/', '../../page/']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((folder) => existsSync(`${folder}main.js`));
  return found ?? null;
}

/** What is answered. */
interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer | string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';
/** To a page whose server was started anew. */
const UNKNOWN_VISIT = refusal(403, 'reload the page: its server does not know it');
const TOO_MUCH = 'too much is under way';

/** Where it listens, and who it takes for its own. */
export interface PageOptions {
  /** Address of this machine; `*`: all of them. */
  readonly host?: string;
  /** Names beside those of this machine by which browsers reach it, in lower case. */
  readonly names?: ReadonlySet<string>;
}

/**
 * Who uses it: one user for every page, or whoever shows a token, with the rights of that token.
 * `signIn` rejects with a reason where the cluster does not take the token.
 */
export type PageUsers = PageUser | { readonly signIn: (token: string) => Promise<PageUser> };

export class PageServer {
  readonly #server: Server;
  readonly #files: ReadonlyMap<string, { readonly body: Buffer; readonly type: string }>;
  readonly #host: string;
  readonly #names: ReadonlySet<string>;
  /** Null: whoever comes is asked for a token. */
  readonly #everybody: Visit | null;
  readonly #signIn: ((token: string) => Promise<PageUser>) | null;
  readonly #visits = new Map<string, Visit>();
  #signIns = 0;
  #url = '';

  constructor(
    folder: string,
    users: PageUsers,
    { host = PAGE_HOST, names = new Set() }: PageOptions = {},
  ) {
    this.#host = host;
    this.#names = names;
    this.#everybody = 'signIn' in users ? null : new Visit(randomUUID(), users);
    this.#signIn = 'signIn' in users ? users.signIn : null;
    this.#files = new Map(
      Object.entries(FILES).map(([path, { name, type }]) => [
        path,
        { body: readFileSync(`${folder}/${name}`), type },
      ]),
    );
    const limits = { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX };
    this.#server = createServer(limits, (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** Resolves with the address to open. Rejects where the port is taken. */
  listen(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      // Without a host Node listens on all addresses, those of IPv6 too where there are any.
      this.#server.listen(this.#host === '*' ? { port } : { host: this.#host, port }, () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        const taken = typeof address === 'object' && address !== null ? address.port : port;
        const isAny = ['*', '0.0.0.0', '::'].includes(this.#host);
        const name = isAny ? PAGE_HOST : this.#host;
        this.#url = `http://${isIPv6(name) ? `[${name}]` : name}:${taken}/`;
        resolve(this.#url);
      });
    });
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    const visits = [...this.#visits.values(), ...(this.#everybody ? [this.#everybody] : [])];
    await Promise.all(visits.map((visit) => visit.close()));
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let reply: Reply | null;
    try {
      reply = await this.#answer(request, response);
    } catch (error) {
      reply = refusal(400, reasonOf(error));
    }
    if (reply === null) return;
    const { status, type, body, headers } = reply;
    const length = Buffer.byteLength(body);
    response.writeHead(status, {
      ...HEADERS,
      ...headers,
      'content-type': type,
      'content-length': length,
    });
    response.end(body);
  }

  /** Null where the response is taken over. Rejects for what was asked wrongly. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | null> {
    const { method = '', headers, url = '/' } = request;
    if (!this.#isOwnHost(headers.host)) return refusal(421, `open ${this.#url}`);
    const { pathname: path, searchParams: query } = new URL(url, 'http://page');
    if (method === 'POST') return this.#post(path, request);
    if (method !== 'GET')
      return { ...refusal(405, 'only GET and POST'), headers: { allow: 'GET, POST' } };
    const file = this.#files.get(path);
    if (file !== undefined) return { status: 200, ...file };
    if (!['/about', '/events', '/tail'].includes(path))
      return refusal(404, Object.keys(FILES).join(', '));
    const visit = this.#everybody ?? this.#visitOf(query.get('visit'));
    if (visit === null) return refusal(401, 'show a token first');
    if (path === '/about') return about(visit);
    if (path === '/events') return this.#watch(visit, response);
    return this.#tail(query);
  }

  async #post(path: string, request: IncomingMessage): Promise<Reply> {
    const strange = strangeness(request);
    if (strange !== undefined) return refusal(403, strange);
    if (path === '/sign-in' && this.#signIn !== null)
      return this.#open(this.#signIn, await bodyOf(request));
    if (path !== '/act') return refusal(404, '/act');
    const { 'x-tidemark-visit': id } = request.headers;
    const visit = this.#visitOf(typeof id === 'string' ? id : null);
    if (visit === null) return UNKNOWN_VISIT;
    const action = actionOf(await bodyOf(request));
    const { append, processes } = visit.user.about.allow;
    if (action.kind === 'append' && !append)
      return outcome(403, 'this page may not append (--allow append)');
    if (action.kind === 'process' && !processes)
      return outcome(403, 'this page has no processes: only that of npm start has');
    try {
      const message = await visit.errand((user) => user.carryOut(action));
      return message === null ? outcome(503, TOO_MUCH) : outcome(200, message);
    } catch (error) {
      // The cluster's answer, and none of this server's faults.
      return json(200, { ok: false, message: reportOf(error).message } satisfies ActionAnswer);
    }
  }

  async #tail(query: URLSearchParams): Promise<Reply> {
    const visit = this.#visitOf(query.get('visit'));
    if (visit === null) return UNKNOWN_VISIT;
    if (!visit.user.about.allow.read)
      return refusal(403, 'this page may not show records (--allow read)');
    const { topic, partition, from } = tailQuery(query);
    try {
      const seen = await visit.errand((user) => user.tail(topic, partition, from));
      return seen === null ? refusal(503, TOO_MUCH) : json(200, seen);
    } catch (error) {
      return json(200, { fault: reportOf(error).message } satisfies TailFault);
    }
  }

  async #open(signIn: (token: string) => Promise<PageUser>, body: unknown): Promise<Reply> {
    const token = typeof body === 'object' && body !== null && 'token' in body ? body.token : '';
    if (typeof token !== 'string' || !/^[!-~]{1,16384}$/.test(token))
      return outcome(400, 'a token is 1 to 16384 visible characters of ASCII');
    if (this.#signIns >= SIGN_INS_MAX) return outcome(503, TOO_MUCH);
    this.#signIns += 1;
    try {
      const visit = new Visit(randomUUID(), await signIn(token));
      // Only who has shown a right token takes a place of others.
      await this.#forgetIdle();
      if (this.#visits.size >= VISITS_MAX) {
        await visit.close();
        return outcome(503, `${VISITS_MAX} users are signed in already`);
      }
      this.#visits.set(visit.id, visit);
      return about(visit);
    } catch (error) {
      return outcome(401, reportOf(error).message);
    } finally {
      this.#signIns -= 1;
    }
  }

  /** Whom nobody watches for long; where all places are taken, the longest of them. */
  async #forgetIdle(): Promise<void> {
    const idle = [...this.#visits.values()]
      .filter(({ watchers }) => watchers === 0)
      .sort((left, right) => right.idleMs - left.idleMs);
    const isFull = this.#visits.size >= VISITS_MAX;
    const gone = idle.filter(
      ({ idleMs }, at) => idleMs > VISIT_IDLE_MS_MAX || (isFull && at === 0),
    );
    for (const visit of gone) {
      this.#visits.delete(visit.id);
      await visit.close();
    }
  }

  #isOwnHost(host: string | undefined): boolean {
    const { host: own } = new URL(this.#url);
    return host === own || isOwnHost(host, this.#names);
  }

  #visitOf(id: string | null): Visit | null {
    if (id === null) return null;
    const { id: own = '' } = this.#everybody ?? {};
    if (this.#everybody !== null && isSame(id, own)) return this.#everybody;
    return this.#visits.get(id) ?? null;
  }

  #watch(visit: Visit, response: ServerResponse): Reply | null {
    const all = [...this.#visits.values(), ...(this.#everybody ? [this.#everybody] : [])];
    if (all.reduce((sum, { watchers }) => sum + watchers, 0) >= WATCHERS_MAX)
      return refusal(503, `${WATCHERS_MAX} pages watch already, close one`);
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    response.flushHeaders();
    visit.add(response);
    return null;
  }
}

function isSame(left: string, right: string): boolean {
  const [one, other] = [Buffer.from(left), Buffer.from(right)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function about({ id, user }: Visit): Reply {
  return json(200, { ...user.about, visit: id } satisfies About);
}

function json(status: number, value: unknown): Reply {
  return { status, type: JSON_TYPE, body: JSON.stringify(value) };
}

/** What became of an action. */
function outcome(status: number, message: string): Reply {
  return json(status, { ok: status === 200, message } satisfies ActionAnswer);
}

function refusal(status: number, text: string): Reply {
  return { status, type: TEXT, body: `${text}\n` };
}
