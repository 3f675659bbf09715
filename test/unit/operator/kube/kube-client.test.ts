import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubeClient, type WatchEvent } from '../../../../operator/kube/kube-client.ts';
import { anonymousCredentials } from '../../../../operator/kube/kube-credentials.ts';
import { HttpTransport } from '../../../../operator/kube/kube-transport.ts';
import { KubeError } from '../../../../operator/kube/kube-error.ts';
import { ApiServer } from '../../../fixtures/kube/api-server.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';
import { CONFIG_MAP, clientOf, object, POD, WIDGET } from '../../../fixtures/kube/objects.ts';
import { served } from '../../../fixtures/kube/resources.ts';
import { until } from '../../../fixtures/kube/until.ts';

let api: ApiServer;
let client: KubeClient;
beforeEach(async () => {
  api = await ApiServer.start({ types: [WIDGET] });
  client = clientOf(api);
});
afterEach(() => api.close());

const A = { namespace: 'default', name: 'a' };

function versionNow(): string {
  return api.store.version;
}

/** Collects what a watch brings; `ended` settles with it. */
function watching(
  options: { resourceVersion?: string; labelSelector?: string; signal?: AbortSignal } = {},
) {
  const events: WatchEvent[] = [];
  const ended = (async () => {
    const all = { resourceVersion: versionNow(), timeoutSeconds: 300, ...options };
    for await (const event of client.watch(CONFIG_MAP, all)) events.push(event);
  })();
  ended.catch(() => undefined);
  return { events, ended };
}

describe('KubeClient.get', () => {
  it('returns undefined for an object that is not there', async () => {
    expect(await client.get(CONFIG_MAP, A)).toBeUndefined();
  });

  it('rejects for a kind that is not there: no answer is not "absent"', async () => {
    const unknown = served('example.org/v1', 'Gadget', 'gadgets');
    await expect(client.get(unknown, A)).rejects.toMatchObject({ status: 404 });
  });

  it('refuses a namespace that does not fit the kind', async () => {
    await expect(client.get(CONFIG_MAP, { name: 'a' })).rejects.toThrow(
      'ConfigMap a: needs a namespace',
    );
  });
});

describe('KubeClient', () => {
  it('passes fields it has never heard of, both ways', async () => {
    const spec = { containers: [], aFieldOfTomorrow: { deep: [1, null, 'x'] } };
    const written = await client.apply(POD, object(POD, 'a', { spec }));
    expect(written['spec']).toEqual(spec);
    expect((await client.get(POD, A))?.['spec']).toEqual(spec);
    expect((await client.list(POD)).items[0]?.['spec']).toEqual(spec);
  });

  it('uses one connection for calls that follow each other', async () => {
    for (let index = 0; index < 5; index += 1) await client.get(CONFIG_MAP, A);
    expect(api.connections).toBe(1);
  });

  it('keeps a path in front of the API', async () => {
    const behind = new KubeClient({
      transport: new HttpTransport(anonymousCredentials(`${api.url}/prefix/`), 'x'),
      fieldManager: 'x',
    });
    await behind.get(CONFIG_MAP, A).catch(() => undefined);
    expect(api.requests[0]?.path).toBe('/prefix/api/v1/namespaces/default/configmaps/a');
  });

  it.each([
    [
      { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 7 },
      { status: 429, reason: 'TooManyRequests', retryAfterMs: 7_000, isTransient: true },
    ],
    [
      { status: 500 },
      {
        status: 500,
        reason: 'InternalError',
        isTransient: true,
        message: 'GET /api/v1/namespaces/default/configmaps/a: injected: InternalError',
      },
    ],
    [
      { status: 403, reason: 'Forbidden' },
      { status: 403, reason: 'Forbidden', isTransient: false },
    ],
    [
      { status: 422, reason: 'Invalid' },
      { status: 422, isTransient: false },
    ],
    [
      { status: 410, reason: 'Expired' },
      { status: 410, isExpired: true },
    ],
  ])('turns %o into an error that says so', async (effect, expected) => {
    api.inject({ effect: { kind: 'fail', ...effect } });
    const error: unknown = await client.get(CONFIG_MAP, A).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KubeError);
    expect(error).toMatchObject(expected);
  });

  it('survives an answer that is no Status', async () => {
    api.inject({ effect: { kind: 'page', status: 502, text: '<h1>Bad gateway</h1>' } });
    await expect(client.get(CONFIG_MAP, A)).rejects.toMatchObject({
      status: 502,
      isTransient: true,
      message: expect.stringContaining('<h1>Bad gateway</h1>') as string,
    });
    api.inject({ effect: { kind: 'page', status: 200, text: 'hello' } });
    await expect(client.get(CONFIG_MAP, A)).rejects.toMatchObject({ reason: 'Malformed' });
  });

  it('reports a cut connection as unreachable', async () => {
    api.inject({ effect: { kind: 'cut' } });
    await expect(client.get(CONFIG_MAP, A)).rejects.toMatchObject({
      status: 0,
      reason: 'Unreachable',
      isTransient: true,
    });
  });

  it('gives up at its deadline', async () => {
    const clock = new ManualClock();
    api.inject({ effect: { kind: 'hold', until: new Promise(() => undefined) } });
    const call = clientOf(api, { clock }).get(CONFIG_MAP, A, { timeoutMs: 1_500 });
    const outcome = expect(call).rejects.toMatchObject({
      reason: 'DeadlineExceeded',
      isTransient: true,
      message: 'GET /api/v1/namespaces/default/configmaps/a: no answer within 1500 ms',
    });
    await until(() => api.requests.length === 1);
    clock.advance(1_500);
    await outcome;
    expect(clock.timers).toEqual([]);
  });

  it('counts credentials that never come against the deadline', async () => {
    const clock = new ManualClock();
    const credentials = {
      ...anonymousCredentials(api.url),
      requestOptions: () => new Promise<never>(() => undefined),
    };
    const call = new KubeClient({
      transport: new HttpTransport(credentials, 'x'),
      fieldManager: 'x',
      clock,
    }).get(CONFIG_MAP, A, {
      timeoutMs: 10,
    });
    const outcome = expect(call).rejects.toMatchObject({ reason: 'DeadlineExceeded' });
    clock.advance(10);
    await outcome;
  });

  it('ends at once when cancelled', async () => {
    await expect(client.get(CONFIG_MAP, A, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      reason: 'Cancelled',
      isTransient: false,
    });
  });
});

describe('KubeClient.list', () => {
  it('reads page after page as of one moment, and says what the items are', async () => {
    for (let index = 0; index < 1_203; index += 1) {
      api.create(CONFIG_MAP, object(CONFIG_MAP, `m${String(index).padStart(4, '0')}`));
    }
    const version = versionNow();
    const list = await client.list(CONFIG_MAP);
    expect(list.resourceVersion).toBe(version);
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(
      api.list(CONFIG_MAP).map(({ metadata }) => metadata.name),
    );
    expect(list.items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(api.requests.map(({ query }) => query.get('limit'))).toEqual(['500', '500', '500']);
  });

  it('starts over without pages when the first page is forgotten', async () => {
    for (let index = 0; index < 501; index += 1)
      api.create(CONFIG_MAP, object(CONFIG_MAP, `m${index}`));
    api.inject({ url: /continue=/, effect: { kind: 'fail', status: 410, reason: 'Expired' } });
    expect((await client.list(CONFIG_MAP)).items).toHaveLength(501);
    expect(api.requests.map(({ query }) => query.get('limit'))).toEqual(['500', '500', null]);
  });

  it('asks for one namespace and for labels', async () => {
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'a', { metadata: { labels: { app: 'x' } } }));
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'b'));
    api.create(
      CONFIG_MAP,
      object(CONFIG_MAP, 'c', { metadata: { namespace: 'other', labels: { app: 'x' } } }),
    );
    const names = async (options: object): Promise<string[]> =>
      (await client.list(CONFIG_MAP, options)).items.map(({ metadata }) => metadata.name);
    expect(await names({ namespace: 'default' })).toEqual(['a', 'b']);
    expect(await names({ labelSelector: 'app=x' })).toEqual(['a', 'c']);
    expect(await names({ namespace: 'default', labelSelector: 'app=x' })).toEqual(['a']);
    expect(await names({ fieldSelector: 'metadata.name=b' })).toEqual(['b']);
  });
});

describe('KubeClient.watch', () => {
  it('brings what happened after the version, then what happens, then bookmarks', async () => {
    const resourceVersion = versionNow();
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    const { events, ended } = watching({ resourceVersion });
    await until(() => api.watches() === 1);
    api.patch(CONFIG_MAP, A, { data: { text: 'Zürich\n' } });
    api.delete(CONFIG_MAP, A);
    api.sendBookmarks();
    api.endWatches();
    await ended;
    expect(events.map(({ type, object: { data } }) => [type, data])).toEqual([
      ['ADDED', undefined],
      ['MODIFIED', { text: 'Zürich\n' }],
      ['DELETED', { text: 'Zürich\n' }],
      ['BOOKMARK', undefined],
    ]);
    expect(Object.fromEntries(api.requests[0]?.query ?? [])).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion,
      timeoutSeconds: '300',
    });
  });

  it('shows an object that leaves the selector as deleted', async () => {
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'a', { metadata: { labels: { app: 'x' } } }));
    const { events, ended } = watching({ labelSelector: 'app=x' });
    await until(() => api.watches() === 1);
    api.patch(CONFIG_MAP, A, { metadata: { labels: { app: 'y' } } });
    api.endWatches();
    await ended;
    expect(events.map(({ type }) => type)).toEqual(['DELETED']);
  });

  it.each([
    [410, 'Expired', 0],
    [500, 'InternalError', 0],
    [429, 'TooManyRequests', 3],
  ])('rejects with an ERROR event of the stream: %i %s', async (status, reason, seconds) => {
    const { ended } = watching();
    await until(() => api.watches() === 1);
    api.failWatches(status, reason, seconds);
    await expect(ended).rejects.toMatchObject({
      status,
      reason,
      retryAfterMs: seconds * 1_000,
      isExpired: status === 410,
    });
  });

  it('rejects for a version that is forgotten', async () => {
    const resourceVersion = versionNow();
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    api.compact();
    await expect(watching({ resourceVersion }).ended).rejects.toMatchObject({
      status: 410,
      isExpired: true,
    });
  });

  it('rejects when the connection breaks', async () => {
    const { ended } = watching();
    await until(() => api.watches() === 1);
    api.cutWatches();
    await expect(ended).rejects.toMatchObject({ status: 0, reason: 'Unreachable' });
  });

  it('rejects what is no event', async () => {
    const { ended } = watching();
    await until(() => api.watches() === 1);
    api.writeToWatches('{"type":"NEW","object":{"metadata":{}}}\n');
    await expect(ended).rejects.toMatchObject({ reason: 'Malformed' });
  });

  it('joins an event that arrives in parts', async () => {
    const { events, ended } = watching();
    await until(() => api.watches() === 1);
    const line = JSON.stringify({ type: 'ADDED', object: object(CONFIG_MAP, 'a') });
    api.writeToWatches(line.slice(0, 20));
    api.writeToWatches(`${line.slice(20)}\n\n`);
    await until(() => events.length === 1);
    api.endWatches();
    await ended;
  });

  it('has a deadline for its first answer only', async () => {
    const clock = new ManualClock();
    client = clientOf(api, { clock });
    const { events, ended } = watching();
    await until(() => api.watches() === 1 && clock.timers.length === 0);
    clock.advance(3_600_000);
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    await until(() => events.length === 1);
    api.endWatches();
    await ended;
  });

  it('lets go of the connection when cancelled', async () => {
    const abort = new AbortController();
    const { ended } = watching({ signal: abort.signal });
    await until(() => api.watches() === 1);
    abort.abort();
    await expect(ended).rejects.toMatchObject({ reason: 'Cancelled' });
    await until(() => api.watches() === 0);
  });

  it('lets go of the connection when nobody listens any more', async () => {
    for await (const _ of client.watch(CONFIG_MAP, {
      resourceVersion: '0',
      timeoutSeconds: 1,
      onOpen: () => api.create(CONFIG_MAP, object(CONFIG_MAP, 'a')),
    })) {
      break;
    }
    await until(() => api.watches() === 0);
  });
});

describe('KubeClient writes', () => {
  it('applies as its field manager and by force', async () => {
    await client.apply(CONFIG_MAP, object(CONFIG_MAP, 'a', { data: { x: '1' } }));
    const [request] = api.requests;
    expect(request?.headers['content-type']).toBe('application/apply-patch+yaml');
    expect(Object.fromEntries(request?.query ?? [])).toEqual({
      fieldManager: 'test-operator',
      force: 'true',
    });
  });

  it('applies status to its own path', async () => {
    api.create(WIDGET, object(WIDGET, 'a'));
    const status = { conditions: [{ type: 'Ready', status: 'True' }], fieldOfTomorrow: 1 };
    expect(await client.applyStatus(WIDGET, object(WIDGET, 'a', { status }))).toMatchObject({
      status,
    });
    expect(api.requests[0]?.path).toBe('/apis/example.org/v1/namespaces/default/widgets/a/status');
  });

  it('refuses a name that is taken and a version that is old', async () => {
    const first = await client.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    await expect(client.create(CONFIG_MAP, object(CONFIG_MAP, 'a'))).rejects.toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
    });
    await client.replace(CONFIG_MAP, { ...first, data: { x: '1' } });
    await expect(client.replace(CONFIG_MAP, { ...first, data: { x: '2' } })).rejects.toMatchObject({
      status: 409,
      reason: 'Conflict',
    });
  });

  it('merges a patch, on condition where it names a version', async () => {
    const { metadata } = await client.create(
      CONFIG_MAP,
      object(CONFIG_MAP, 'a', { data: { x: '1', y: '2' } }),
    );
    const patched = await client.mergePatch(CONFIG_MAP, A, { data: { x: null, z: '3' } });
    expect(patched['data']).toEqual({ y: '2', z: '3' });
    const { resourceVersion } = metadata;
    await expect(
      client.mergePatch(CONFIG_MAP, A, { metadata: { resourceVersion }, data: null }),
    ).rejects.toMatchObject({ reason: 'Conflict' });
  });

  it('asks whether a patch would be taken', async () => {
    await client.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    const url = /dryRun=All/;
    api.inject({ url, effect: { kind: 'fail', status: 403, reason: 'Forbidden' } });
    expect(await client.refusalOfPatch(CONFIG_MAP, A, { data: {} })).toBe('injected: Forbidden');
    api.inject({ url, effect: { kind: 'fail', status: 503, reason: 'ServiceUnavailable' } });
    await expect(client.refusalOfPatch(CONFIG_MAP, A, { data: {} })).rejects.toMatchObject({
      status: 503,
    });
    expect(await client.refusalOfPatch(CONFIG_MAP, A, { data: {} })).toBeNull();
  });

  it('deletes what was looked at, in the background', async () => {
    const { metadata } = await client.create(CONFIG_MAP, object(CONFIG_MAP, 'a'));
    const seen = { uid: metadata.uid!, resourceVersion: metadata.resourceVersion! };
    await expect(client.delete(CONFIG_MAP, A, { ...seen, uid: 'another' })).rejects.toMatchObject({
      reason: 'Conflict',
    });
    api.patch(CONFIG_MAP, A, { data: { x: '1' } });
    await expect(client.delete(CONFIG_MAP, A, seen)).rejects.toMatchObject({ reason: 'Conflict' });
    const { resourceVersion = '' } = api.get(CONFIG_MAP, A).metadata;
    expect(await client.delete(CONFIG_MAP, A, { ...seen, resourceVersion })).toBe('accepted');
    expect(await client.delete(CONFIG_MAP, A, { ...seen, resourceVersion })).toBe('absent');
    expect(api.requests.at(-2)?.body).toMatchObject({
      propagationPolicy: 'Background',
      preconditions: { uid: seen.uid, resourceVersion },
    });
  });

  it('does not know whether a write happened whose answer was lost', async () => {
    api.inject({ method: 'POST', effect: { kind: 'lose-answer' } });
    await expect(client.create(CONFIG_MAP, object(CONFIG_MAP, 'a'))).rejects.toMatchObject({
      status: 0,
      reason: 'Unreachable',
    });
    expect(api.list(CONFIG_MAP)).toHaveLength(1);
  });

  it('is refused by a server that speaks no HTTP', async () => {
    const server = createServer();
    server.on('connection', (socket) => socket.end('nonsense\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const credentials = anonymousCredentials(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    );
    await expect(
      new KubeClient({ transport: new HttpTransport(credentials, 'x'), fieldManager: 'x' }).get(
        CONFIG_MAP,
        A,
      ),
    ).rejects.toMatchObject({ reason: 'Unreachable' });
    server.close();
  });
});
