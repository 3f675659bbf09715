/**
 * The port for probes and scrapes: /livez, /readyz, /metrics, and /may-stop of a broker. Apart from
 * the gRPC port, so that a flood of calls does not hide a living process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { reasonOf } from '../base/reason.ts';
import { READY_PAGE_OF_PODS } from '../base/ready-page.ts';
import { STOP_PAGE } from '../base/stop-veto.ts';
import { listenOptions } from '../base/listen-options.ts';

/** What is shown. */
export interface ProbePages {
  /**
   * Why only a new process can help, or null. Whatever a restart does not cure is no part of it.
   */
  readonly whyDead: () => string | null;
  /** Why this process cannot be sent work at the moment, or null. */
  readonly whyNotReady: () => string | null;
  readonly metrics: () => Promise<string>;
  readonly metricsContentType: string;
  /**
   * The same for whoever follows the pod besides, and takes no work to it once it is to go; absent:
   * the same.
   */
  readonly whyNotReadyInPod?: () => string | null;
  /** Resolves once this process may be stopped, or no wait helps; absent: there is no such page. */
  readonly whenMayStop?: () => Promise<void>;
}

/** A request arrives within this or not at all: a probe that stalls must not hold a socket. */
const REQUEST_MS_MAX = 5_000;
/** Before a no to a kubelet, which waits for longer; and between looks. */
const READY_WAIT_MS = 4_000;
const READY_LOOK_MS = 50;
/** Requests that wait for leave to stop: the kubelet sends one. */
const STOP_WAITERS_MAX = 8;

export class ProbeServer {
  readonly #server: Server;

  /** @param readyWaitMs before a no to a kubelet */
  constructor(pages: ProbePages, readyWaitMs = READY_WAIT_MS) {
    const limits = { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX };
    const bounded = { ...pages, ...bounds(pages) };
    this.#server = createServer(limits, (request, response) =>
      answer(bounded, request, response, readyWaitMs),
    );
  }

  /** Resolves with the port. Rejects when it is taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(listenOptions(host, port), () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** So many may wait and no more: whoever comes then is told at once. */
function bounds({ whenMayStop }: ProbePages): Pick<ProbePages, 'whenMayStop'> {
  if (whenMayStop === undefined) return {};
  let waiting = 0;
  return {
    whenMayStop: async () => {
      if (waiting >= STOP_WAITERS_MAX) throw new Error(`${STOP_WAITERS_MAX} wait already`);
      waiting += 1;
      await whenMayStop().finally(() => {
        waiting -= 1;
      });
    },
  };
}

const PAGES = '/livez, /readyz, /metrics\n';

function answer(
  pages: ProbePages,
  request: IncomingMessage,
  response: ServerResponse,
  readyWaitMs: number,
): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, 'only GET\n');
  switch (request.url?.split('?')[0] ?? '') {
    case '/livez':
      return state(response, pages.whyDead());
    case '/readyz':
      if (request.url !== READY_PAGE_OF_PODS) return state(response, pages.whyNotReady());
      return readyInPod(pages, response, Math.ceil(readyWaitMs / READY_LOOK_MS));
    case '/metrics':
      pages.metrics().then(
        (text) => send(response, 200, text, pages.metricsContentType),
        (error: unknown) => send(response, 500, `${reasonOf(error)}\n`),
      );
      return;
    case STOP_PAGE:
      if (pages.whenMayStop === undefined) return send(response, 404, PAGES);
      pages.whenMayStop().then(
        () => send(response, 200, 'ok\n'),
        (error: unknown) => send(response, 503, `${reasonOf(error)}\n`),
      );
      return;
    default:
      return send(response, 404, PAGES);
  }
}

/** The yes at once, the no after so many looks. */
function readyInPod(pages: ProbePages, response: ServerResponse, looksLeft: number): void {
  const { whyNotReady, whyNotReadyInPod = whyNotReady } = pages;
  const fault = whyNotReadyInPod();
  if (fault === null || looksLeft <= 0) return state(response, fault);
  setTimeout(() => {
    if (!response.destroyed) readyInPod(pages, response, looksLeft - 1);
  }, READY_LOOK_MS);
}

function state(response: ServerResponse, fault: string | null): void {
  if (fault === null) send(response, 200, 'ok\n');
  else send(response, 503, `${fault}\n`);
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
