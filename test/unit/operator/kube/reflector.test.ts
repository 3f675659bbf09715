/** Each row of the table "Watch/informer behaviour", and what else may happen to a watch. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ObjectCache } from '../../../../operator/kube/cache.ts';
import { Reflector, type ReflectorOptions } from '../../../../operator/kube/reflector.ts';
import { ApiServer } from '../../../fixtures/kube/api-server.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';
import { CONFIG_MAP, clientOf, object } from '../../../fixtures/kube/objects.ts';
import { until } from '../../../fixtures/kube/until.ts';

let api: ApiServer;
let clock: ManualClock;
let cache: ObjectCache;
let reflector: Reflector;
let errors: unknown[];
let happened: string[];
let changes: string[];

beforeEach(async () => {
  api = await ApiServer.start();
  clock = new ManualClock();
  errors = [];
  happened = [];
  changes = [];
  cache = new ObjectCache((error) => errors.push(error));
  cache.subscribe(({ kind, object: { metadata } }) => changes.push(`${kind} ${metadata.name}`));
  reflector = reflectorWith({});
});
afterEach(async () => {
  await reflector.stop();
  await api.close();
  expect(clock.timers).toEqual([]);
});

function reflectorWith(options: Partial<ReflectorOptions>): Reflector {
  return new Reflector({
    type: CONFIG_MAP,
    client: clientOf(api, { clock }),
    cache,
    clock,
    random: () => 0.5,
    onError: (error) => errors.push(error),
    observer: {
      relisted: (kind, reason) => happened.push(`relist ${kind} ${reason}`),
      reconnected: (kind, reason) => happened.push(`reconnect ${kind} ${reason}`),
    },
    ...options,
  });
}

const A = { namespace: 'default', name: 'a' };

function create(name: string): void {
  api.create(CONFIG_MAP, object(CONFIG_MAP, name));
}

function names(): string[] {
  return cache
    .list(CONFIG_MAP)
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** The watch stands, and nothing but its watchdog runs. */
async function settled(): Promise<void> {
  await until(
    () => reflector.state === 'watching' && api.watches() === 1 && clock.timers.length === 1,
  );
}

async function waiting(): Promise<void> {
  await until(() => reflector.state === 'waiting' && clock.timers.length === 1);
}

function lists(): number {
  return api.requests.filter(({ query }) => !query.has('watch')).length;
}

function watchRequests(): URLSearchParams[] {
  return api.requests.map(({ query }) => query).filter((query) => query.has('watch'));
}

describe('Reflector', () => {
  it('lists, watches from there, and is synced after the list', async () => {
    create('a');
    expect(reflector.hasSynced).toBe(false);
    reflector.start();
    await reflector.whenSynced();
    expect(reflector.hasSynced).toBe(true);
    expect(names()).toEqual(['a']);
    await settled();
    create('b');
    api.patch(CONFIG_MAP, A, { data: { x: '1' } });
    api.delete(CONFIG_MAP, { namespace: 'default', name: 'b' });
    await until(() => changes.length === 4);
    expect(changes).toEqual(['added a', 'added b', 'modified a', 'deleted b']);
    expect(cache.get(CONFIG_MAP, A)?.['data']).toEqual({ x: '1' });
    expect(happened).toEqual(['relist ConfigMap start']);
  });

  it('asks for bookmarks, for an end on the server, and for its own objects only', async () => {
    reflector = reflectorWith({ namespace: 'default', labelSelector: 'app=x' });
    api.create(CONFIG_MAP, object(CONFIG_MAP, 'x', { metadata: { labels: { app: 'x' } } }));
    create('a');
    reflector.start();
    await settled();
    expect(names()).toEqual(['x']);
    expect(api.requests.map(({ path, query }) => [path, query.get('labelSelector')])).toEqual([
      ['/api/v1/namespaces/default/configmaps', 'app=x'],
      ['/api/v1/namespaces/default/configmaps', 'app=x'],
    ]);
    expect(watchRequests()[0]?.get('allowWatchBookmarks')).toBe('true');
    expect(watchRequests()[0]?.get('timeoutSeconds')).toBe('300');
  });

  it.each([
    [0, '240'],
    [0.999, '360'],
  ])('draws when the server is to end the watch: %d', async (draw, seconds) => {
    reflector = reflectorWith({ random: () => draw });
    reflector.start();
    await settled();
    expect(watchRequests()[0]?.get('timeoutSeconds')).toBe(seconds);
  });

  it('goes on at once from the last version when the server ends the watch', async () => {
    reflector.start();
    await settled();
    create('a');
    await until(() => names().length === 1);
    const version = cache.observedVersion(CONFIG_MAP, undefined);
    api.endWatches();
    await until(() => watchRequests().length === 2);
    expect(watchRequests()[1]?.get('resourceVersion')).toBe(version);
    expect(lists()).toBe(1);
    expect(happened).toContain('reconnect ConfigMap ended');
    expect(errors).toEqual([]);
    await settled();
  });

  it('moves on with bookmarks, so that a compaction costs no list', async () => {
    reflector.start();
    await settled();
    for (const name of ['a', 'b']) {
      api.store.create({ ...CONFIG_MAP, plural: 'others' }, object(CONFIG_MAP, name), {
        manager: 'x',
      });
    }
    api.sendBookmarks();
    await until(() => cache.observedVersion(CONFIG_MAP, undefined) === api.store.version);
    api.compact();
    clock.advance(1_000);
    api.endWatches();
    await until(() => watchRequests().length === 2);
    await settled();
    expect(lists()).toBe(1);
    expect(errors).toEqual([]);
  });

  it('stays on an idle watch while bookmarks come, and tells how old its knowledge is', async () => {
    reflector.start();
    await settled();
    for (let minute = 1; minute <= 10; minute += 1) {
      clock.advance(60_000);
      expect(reflector.stalenessMs()).toBe(60_000);
      api.sendBookmarks();
      await until(() => reflector.stalenessMs() === 0);
    }
    expect(watchRequests()).toHaveLength(1);
  });

  it('opens a new watch when nothing is heard for longer than two bookmarks', async () => {
    reflector.start();
    await settled();
    clock.advance(149_999);
    expect(api.watches()).toBe(1);
    clock.advance(1);
    await until(() => watchRequests().length === 2);
    await settled();
    create('a');
    await until(() => names().length === 1);
    expect(happened).toContain('reconnect ConfigMap silent');
    expect(errors).toEqual([]);
    expect(lists()).toBe(1);
  });

  it('survives a reset: pauses, then goes on from the last version', async () => {
    reflector.start();
    await settled();
    create('a');
    await until(() => names().length === 1);
    api.cutWatches();
    await waiting();
    expect(errors).toHaveLength(1);
    create('b');
    clock.advance(clock.timers[0]!);
    await until(() => names().length === 2);
    expect(lists()).toBe(1);
    await settled();
  });

  it('waits longer after each failure, and little again after a success', async () => {
    api.inject({ url: /watch=true/, times: 4, effect: { kind: 'cut' } });
    reflector.start();
    const pauses: number[] = [];
    for (let failure = 0; failure < 4; failure += 1) {
      await waiting();
      pauses.push(clock.timers[0]!);
      clock.advance(clock.timers[0]!);
      await until(() => reflector.state !== 'waiting');
    }
    expect(pauses).toEqual([500, 875, 1_437.5, 2_281.25]);
    await settled();
    create('a');
    await until(() => names().length === 1);
    api.cutWatches();
    await waiting();
    expect(clock.timers).toEqual([500]);
  });

  it('never waits longer than half a minute', async () => {
    api.inject({ times: Infinity, effect: { kind: 'cut' } });
    reflector.start();
    for (let failure = 0; failure < 12; failure += 1) {
      await waiting();
      const [pause = 0] = clock.timers;
      expect(pause).toBeLessThanOrEqual(30_000);
      clock.advance(pause);
      await until(() => reflector.state !== 'waiting');
    }
    expect(reflector.hasSynced).toBe(false);
  });

  it('treats an ERROR event like any failure: reported, with a pause, from the same version', async () => {
    reflector.start();
    await settled();
    api.failWatches(500, 'InternalError');
    await waiting();
    expect(errors).toMatchObject([{ status: 500, reason: 'InternalError' }]);
    clock.advance(500);
    await settled();
    expect(lists()).toBe(1);
    expect(watchRequests().map((query) => query.get('resourceVersion'))).toEqual(['1', '1']);
  });

  it.each(['in the stream', 'as status'])(
    'lists again when its version is forgotten, told %s',
    async (way) => {
      create('a');
      create('gone');
      reflector.start();
      await settled();
      if (way === 'as status')
        api.inject({ url: /watch=true/, effect: { kind: 'fail', status: 410, reason: 'Gone' } });
      api.cutWatches();
      await waiting();
      api.delete(CONFIG_MAP, { namespace: 'default', name: 'gone' });
      create('b');
      if (way === 'in the stream') api.compact();
      clock.advance(clock.timers[0]!);
      await until(() => errors.length === 2);
      await waiting();
      clock.advance(clock.timers[0]!);
      await settled();
      expect(names()).toEqual(['a', 'b']);
      expect(changes).toEqual(['added a', 'added gone', 'deleted gone', 'added b']);
      expect(happened).toContain('relist ConfigMap expired');
    },
  );

  it.each(['list', 'watch'])(
    'waits as long as the server asks before the next %s',
    async (verb) => {
      const url = verb === 'list' ? /limit=/ : /watch=true/;
      api.inject({
        url,
        effect: { kind: 'fail', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 17 },
      });
      reflector.start();
      await waiting();
      expect(clock.timers).toEqual([17_000]);
      clock.advance(17_000);
      await settled();
    },
  );

  it('takes a watch that ends at once and empty for a refusal', async () => {
    reflector.start();
    await settled();
    api.endWatches();
    await waiting();
    expect(errors).toMatchObject([
      { message: 'watch of ConfigMap ended at once without an event' },
    ]);
    expect(clock.timers).toEqual([500]);
  });

  it('goes on after nonsense in the stream', async () => {
    reflector.start();
    await settled();
    api.writeToWatches('nonsense\n');
    await waiting();
    clock.advance(500);
    await settled();
    create('a');
    await until(() => names().length === 1);
    expect(errors).toMatchObject([{ reason: 'Malformed' }]);
  });

  it('outlives a listener that throws', async () => {
    const bad = new Error('bad listener');
    cache.subscribe(() => {
      throw bad;
    });
    create('a');
    reflector.start();
    await settled();
    create('b');
    await until(() => names().length === 2);
    expect(errors).toEqual([bad, bad]);
    expect(api.watches()).toBe(1);
  });

  it('does not go back in time with a list from a server that lags', async () => {
    create('a');
    const before = api.store.version;
    reflector.start();
    await settled();
    create('b');
    await until(() => names().length === 2);
    api.inject({ url: /limit=/, effect: { kind: 'stale', version: before } });
    api.failWatches(410, 'Expired');
    await waiting();
    clock.advance(clock.timers[0]!);
    await until(() => errors.length === 2);
    await waiting();
    expect(names()).toEqual(['a', 'b']);
    expect(String(errors[1])).toBe(
      `Error: list of ConfigMap is at version ${before}, older than ${api.store.version} already seen`,
    );
    clock.advance(clock.timers[0]!);
    await settled();
    expect(changes).toEqual(['added a', 'added b']);
  });

  it('follows a store that was restored to an older state, once that is sure', async () => {
    create('a');
    const before = api.store.version;
    reflector.start();
    await settled();
    create('b');
    await until(() => names().length === 2);
    api.inject({ url: /limit=/, times: 5, effect: { kind: 'stale', version: before } });
    api.failWatches(410, 'Expired');
    while (names().length === 2) {
      await until(() => reflector.state === 'waiting' || names().length === 1);
      if (reflector.state === 'waiting' && clock.timers.length === 1) {
        clock.advance(clock.timers[0]!);
        await until(() => reflector.state !== 'waiting');
      }
    }
    expect(lists()).toBe(6);
    await until(() => names().length === 2);
    await settled();
  });

  it.each(['waiting', 'watching', 'listing'] as const)(
    'stops while %s, and asks for nothing more',
    async (state) => {
      if (state === 'waiting') api.inject({ effect: { kind: 'cut' } });
      if (state === 'listing')
        api.inject({ effect: { kind: 'hold', until: new Promise(() => undefined) } });
      reflector.start();
      if (state === 'watching') await settled();
      else await until(() => reflector.state === state && api.requests.length === 1);
      if (state === 'waiting') await waiting();
      const requests = api.requests.length;
      await reflector.stop();
      expect(clock.timers).toEqual([]);
      clock.advance(1_000_000);
      await until(() => api.watches() === 0);
      expect(api.requests).toHaveLength(requests);
      expect(reflector.state).toBe('stopped');
    },
  );

  it('goes on from where it was when started again', async () => {
    reflector.start();
    await settled();
    await reflector.stop();
    create('a');
    reflector.start();
    await until(() => names().length === 1);
    await until(() => reflector.state === 'watching');
    expect(lists()).toBe(1);
  });
});
