/** What comes in at the page's port, checked: whose name it was sent to, from where, and what. */
import type { IncomingMessage } from 'node:http';
import type { Action, ProcessDeed } from '../../../page/snapshot.ts';

/** Bytes of a body. */
export const BODY_BYTES_MAX = 262_144;
/** By which a browser reaches its own machine. */
const LOOPBACK_NAMES = new Set(['127.0.0.1', 'localhost', '[::1]']);
const DEEDS: readonly string[] = ['kill', 'pause', 'stop', 'start'] satisfies ProcessDeed[];
/** A name of another site that resolves here must not do: the port may be a forwarded one. */
const HOST = /^(?<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/;

/** Is this Host header one that a browser of a user may send? */
export function isOwnHost(host: string | undefined, names: ReadonlySet<string>): boolean {
  const name = HOST.exec((host ?? '').toLowerCase())?.groups?.['name'];
  return name !== undefined && (LOOPBACK_NAMES.has(name) || names.has(name));
}

/**
 * Why a request that changes something is not one of this page; undefined: it is. A browser states
 * the origin of every POST, and no form of another site can send JSON.
 */
export function strangeness({ headers }: IncomingMessage): string | undefined {
  const { origin = '', host = '' } = headers;
  const own = [`http://${host}`, `https://${host}`];
  if (!own.includes(origin)) return `Origin is '${origin}', must be this page's`;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin')
    return `Sec-Fetch-Site is '${site}', must be same-origin`;
  const type = headers['content-type'] ?? '';
  return type === 'application/json'
    ? undefined
    : `Content-Type is '${type}', must be application/json`;
}

/** The whole body as JSON. Rejects with a sentence where it is too long or none. */
export async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`body is over ${BODY_BYTES_MAX} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new Error('body is no JSON');
  }
}

/** @throws Error with a sentence that names field, value and what is allowed */
export function actionOf(body: unknown): Action {
  const given = typeof body === 'object' && body !== null ? body : {};
  const field = (name: string): unknown => (given as Record<string, unknown>)[name];
  const kind = field('kind');
  if (kind === 'append')
    return {
      kind,
      topic: textOf('topic', field('topic')),
      partition: countOf('partition', field('partition')),
      key: field('key') === null ? null : textOf('key', field('key')),
      value: textOf('value', field('value')),
    };
  if (kind !== 'process') throw new Error(fault('kind', kind, 'append or process'));
  const deed = field('deed');
  if (typeof deed !== 'string' || !DEEDS.includes(deed))
    throw new Error(fault('deed', deed, DEEDS.join(', ')));
  return {
    kind,
    brokerId: countOf('brokerId', field('brokerId')),
    deed: deed as ProcessDeed,
  };
}

/** Which records a page asks for. @throws Error with a sentence */
export function tailQuery(query: URLSearchParams): {
  readonly topic: string;
  readonly partition: number;
  readonly from: number | null;
} {
  const number = (name: string): number => countOf(name, Number(query.get(name) ?? 'none'));
  return {
    topic: textOf('topic', query.get('topic')),
    partition: number('partition'),
    from: query.has('from') ? number('from') : null,
  };
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new Error(fault(name, value, 'text'));
}

function countOf(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(fault(name, value, 'a whole number from 0'));
}

function fault(name: string, value: unknown, allowed: string): string {
  return `${name} is ${JSON.stringify(value) ?? 'absent'}, must be ${allowed}`;
}
