/**
 * The page of a cluster on a port of this machine: static files, and snapshots as server-sent
 * events. Loopback only, read-only, GET only; a name that another site had resolved to this machine
 * (DNS rebinding) is refused by the Host header.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { Snapshot } from '../../../page/snapshot.ts';

/** Where the page listens. */
export const PAGE_HOST = '127.0.0.1';
/** Watchers at once; one more is told so with 503. */
const WATCHERS_MAX = 8;
/** Bytes that a watcher may leave unread before it is dropped; its page connects again. */
const UNREAD_BYTES_MAX = 8_388_608;
/** Between the end of one look and the next. */
const INTERVAL_MS = 1_000;
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

/** One page server. Looks at the cluster only while somebody watches, once for all watchers. */
export class PageServer {
  readonly #server: Server;
  readonly #files: ReadonlyMap<string, { readonly body: Buffer; readonly type: string }>;
  readonly #look: () => Promise<Snapshot>;
  readonly #watchers = new Set<ServerResponse>();
  #port = 0;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  /** What was told last, for who comes before the next look; empty: nothing of late. */
  #event = '';
  #isClosed = false;

  /** @param look never rejects */
  constructor(folder: string, look: () => Promise<Snapshot>) {
    this.#look = look;
    this.#files = new Map(
      Object.entries(FILES).map(([path, { name, type }]) => [
        path,
        { body: readFileSync(`${folder}/${name}`), type },
      ]),
    );
    const limits = { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX };
    this.#server = createServer(limits, (request, response) => this.#answer(request, response));
  }

  /** Resolves with the address to open. Rejects where the port is taken. */
  listen(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: PAGE_HOST, port }, () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        this.#port = typeof address === 'object' && address !== null ? address.port : port;
        resolve(`http://${PAGE_HOST}:${this.#port}/`);
      });
    });
  }

  /** Ends every connection. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#isOwnName(request.headers.host))
      return refuse(response, 421, `open http://${PAGE_HOST}:${this.#port}/\n`);
    if (request.method !== 'GET') return refuse(response, 405, 'only GET\n', { allow: 'GET' });
    const path = request.url?.split('?')[0] ?? '';
    if (path === '/events') return this.#watch(response);
    const file = this.#files.get(path);
    if (file === undefined) return refuse(response, 404, `${Object.keys(FILES).join(', ')}\n`);
    const { body, type } = file;
    response.writeHead(200, { ...HEADERS, 'content-type': type, 'content-length': body.length });
    response.end(body);
  }

  #isOwnName(host: string | undefined): boolean {
    return host === `${PAGE_HOST}:${this.#port}` || host === `localhost:${this.#port}`;
  }

  #watch(response: ServerResponse): void {
    if (this.#watchers.size >= WATCHERS_MAX)
      return refuse(response, 503, `${WATCHERS_MAX} pages watch already, close one\n`);
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    response.flushHeaders();
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
    response.once('error', () => this.#watchers.delete(response));
    if (this.#event !== '') response.write(this.#event);
    else if (!this.#isLooking) void this.#tell();
  }

  /** However many come and go, there is one look at a time, and a pause after each. */
  async #tell(): Promise<void> {
    this.#isLooking = true;
    const snapshot = await this.#look();
    this.#isLooking = false;
    if (this.#isClosed) return;
    this.#event = `data: ${JSON.stringify(snapshot)}\n\n`;
    for (const watcher of this.#watchers) {
      if (watcher.writableLength > UNREAD_BYTES_MAX) watcher.destroy();
      else watcher.write(this.#event);
    }
    this.#timer = setTimeout(() => {
      this.#event = '';
      if (this.#watchers.size > 0) void this.#tell();
    }, INTERVAL_MS);
  }
}

function refuse(
  response: ServerResponse,
  status: number,
  text: string,
  more: Readonly<Record<string, string>> = {},
): void {
  const type = 'text/plain; charset=utf-8';
  response.writeHead(status, { ...HEADERS, ...more, 'content-type': type });
  response.end(text);
}
