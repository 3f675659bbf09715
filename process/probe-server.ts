/**
 * The port for probes and scrapes: /livez, /readyz, /metrics. Apart from the gRPC port, so that a
 * flood of calls does not hide a living process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { reasonOf } from '../base/reason.ts';

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
}

/** A request arrives within this or not at all: a probe that stalls must not hold a socket. */
const REQUEST_MS_MAX = 5_000;

export class ProbeServer {
  readonly #server: Server;

  constructor(pages: ProbePages) {
    const limits = { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX };
    this.#server = createServer(limits, (request, response) => answer(pages, request, response));
  }

  /** Resolves with the port. Rejects when it is taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
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

function answer(pages: ProbePages, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, 'only GET\n');
  switch (request.url?.split('?')[0] ?? '') {
    case '/livez':
      return state(response, pages.whyDead());
    case '/readyz':
      return state(response, pages.whyNotReady());
    case '/metrics':
      pages.metrics().then(
        (text) => send(response, 200, text, pages.metricsContentType),
        (error: unknown) => send(response, 500, `${reasonOf(error)}\n`),
      );
      return;
    default:
      return send(response, 404, '/livez, /readyz, /metrics\n');
  }
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
