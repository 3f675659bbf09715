/**
 * How a request gets to the API server. {@link HttpTransport} is the way; the seam is for whoever
 * puts another server in its place. Knows no verb and no kind.
 */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { KubeCredentials } from './kube-credentials.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the server's own path. */
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: { readonly contentType: string; readonly text: string } | undefined;
}

export interface KubeAnswer {
  /** HTTP status. */
  readonly status: number;
  /** The header of this name. */
  readonly retryAfter: string | undefined;
  /** The body, as it comes; rejects where the connection breaks. */
  readonly chunks: AsyncIterable<string>;
}

export interface KubeTransport {
  /** Resolves with the head of the answer. `signal` ends both the wait for it and the body. */
  send(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer>;
}

export class HttpTransport implements KubeTransport {
  readonly #credentials: KubeCredentials;
  readonly #userAgent: string;

  constructor(credentials: KubeCredentials, userAgent: string) {
    this.#credentials = credentials;
    this.#userAgent = userAgent;
  }

  async send({ method, path, query, body }: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const { server } = this.#credentials;
    const options = await untilAborted(this.#credentials.requestOptions(), signal);
    const url = new URL(`${server.pathname.replace(/[/]$/, '')}${path}`, server);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, value);
    const bytes = body === undefined ? undefined : Buffer.from(body.text);
    const headers = {
      ...(options.headers as Record<string, string> | undefined),
      accept: 'application/json',
      'user-agent': this.#userAgent,
      ...(body === undefined ? {} : { 'content-type': body.contentType }),
      ...(bytes === undefined ? {} : { 'content-length': String(bytes.length) }),
    };
    const open = url.protocol === 'https:' ? requestHttps : requestHttp;
    return new Promise((resolve, reject) => {
      const request = open(url, { ...options, method, headers, signal }, (response) => {
        response.setEncoding('utf8');
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
          chunks: response as AsyncIterable<string>,
        });
      });
      request.on('error', reject);
      request.end(bytes);
    });
  }
}

/** Credentials may come from a program that hangs: the deadline counts for it too. */
function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Error('aborted'));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
