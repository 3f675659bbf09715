import { describe, expect, it } from 'vitest';
import { type CacheChange, isAtLeast, ObjectCache } from '../../../../operator/kube/cache.ts';
import type { KubeObject } from '../../../../operator/kube/kube-object.ts';
import { CONFIG_MAP, object, POD } from '../../../fixtures/kube/objects.ts';

const ALL = { type: CONFIG_MAP };

function at(
  name: string,
  resourceVersion: string,
  metadata: Partial<KubeObject['metadata']> = {},
): KubeObject {
  return object(CONFIG_MAP, name, {
    metadata: { uid: `uid-${name}`, resourceVersion, ...metadata },
  });
}

function recorded() {
  const errors: unknown[] = [];
  const changes: string[] = [];
  const cache = new ObjectCache((error) => errors.push(error));
  cache.subscribe((change: CacheChange) =>
    changes.push(
      `${change.kind} ${change.object.metadata.name}@${change.object.metadata.resourceVersion}`,
    ),
  );
  return { cache, changes, errors };
}

describe('ObjectCache', () => {
  it('tells an object that was seen to go from one that is missing', () => {
    const { cache } = recorded();
    const gone: string[] = [];
    cache.subscribe((change) => {
      if (change.kind === 'deleted')
        gone.push(`${change.object.metadata.name} ${change.isSeen ? 'seen' : 'missing'}`);
    });
    cache.replace(ALL, [at('a', '1'), at('b', '2')], '2');
    cache.remove(ALL, at('a', '3'));
    cache.replace(ALL, [], '4');
    expect(gone).toEqual(['a seen', 'b missing']);
  });

  it('finds by name, by namespace and by owner', () => {
    const { cache } = recorded();
    const ownerReferences = [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'uid-x' }];
    cache.replace(
      ALL,
      [at('a', '1', { ownerReferences }), at('b', '2', { namespace: 'other' })],
      '2',
    );
    cache.upsert(
      { type: POD },
      object(POD, 'a', { metadata: { uid: 'p', resourceVersion: '3', ownerReferences } }),
    );
    expect(
      cache.get(CONFIG_MAP, { namespace: 'default', name: 'a' })?.metadata.resourceVersion,
    ).toBe('1');
    expect(cache.get(CONFIG_MAP, { namespace: 'default', name: 'b' })).toBeUndefined();
    expect(cache.list(CONFIG_MAP)).toHaveLength(2);
    expect(cache.list(CONFIG_MAP, 'other').map(({ metadata }) => metadata.name)).toEqual(['b']);
    expect(cache.ownedBy('uid-x', CONFIG_MAP).map(({ kind }) => kind)).toEqual(['ConfigMap']);
    cache.upsert(ALL, at('a', '4'));
    expect(cache.ownedBy('uid-x', CONFIG_MAP)).toEqual([]);
    expect(cache.ownedBy('uid-x', POD)).toHaveLength(1);
    cache.remove({ type: POD }, object(POD, 'a'));
    expect(cache.ownedBy('uid-x', POD)).toEqual([]);
  });

  it('tells a relist as the differences, deletions among them', () => {
    const { cache, changes } = recorded();
    cache.replace(ALL, [at('a', '1'), at('b', '2'), at('c', '3')], '3');
    changes.length = 0;
    cache.replace(ALL, [at('a', '1'), at('b', '5'), at('d', '6')], '6');
    expect(changes).toEqual(['deleted c@3', 'modified b@5', 'added d@6']);
  });

  it('relists one namespace without touching another', () => {
    const { cache, changes } = recorded();
    cache.replace(
      { type: CONFIG_MAP, namespace: 'other' },
      [at('b', '2', { namespace: 'other' })],
      '2',
    );
    changes.length = 0;
    cache.replace({ type: CONFIG_MAP, namespace: 'default' }, [at('a', '3')], '3');
    cache.replace({ type: CONFIG_MAP, namespace: 'default' }, [], '4');
    expect(changes).toEqual(['added a@3', 'deleted a@3']);
  });

  it('tells an object made again under its name as deleted and added', () => {
    const { cache, changes } = recorded();
    cache.upsert(ALL, at('a', '1'));
    cache.upsert(ALL, at('a', '9', { uid: 'new' }));
    expect(changes).toEqual(['added a@1', 'deleted a@1', 'added a@9']);
  });

  it('says nothing about an object that it holds already', () => {
    const { cache, changes } = recorded();
    cache.upsert(ALL, at('a', '1'));
    cache.upsert(ALL, at('a', '1'));
    cache.remove(ALL, at('b', '2'));
    expect(changes).toEqual(['added a@1']);
  });

  it('gives out objects that cannot be changed, to their depths', () => {
    const { cache } = recorded();
    cache.upsert(ALL, object(CONFIG_MAP, 'a', { data: { list: [{ x: 1 }] } }));
    const [cached] = cache.list(CONFIG_MAP);
    expect(() => ((cached?.['data'] as { list: { x: number }[] }).list[0]!.x = 2)).toThrow(
      TypeError,
    );
    expect(() => Object.assign(cached!.metadata, { name: 'b' })).toThrow(TypeError);
  });

  it('goes on when a listener throws, and reports it', () => {
    const { cache, errors } = recorded();
    const seen: string[] = [];
    const bad = new Error('bad listener');
    cache.subscribe(() => {
      throw bad;
    });
    const unsubscribe = cache.subscribe(({ object: { metadata } }) => seen.push(metadata.name));
    cache.upsert(ALL, at('a', '1'));
    unsubscribe();
    cache.upsert(ALL, at('b', '2'));
    expect(seen).toEqual(['a']);
    expect(errors).toEqual([bad, bad]);
  });

  it('knows how far it has seen, by namespace', () => {
    const { cache } = recorded();
    expect(cache.observedVersion(CONFIG_MAP, 'default')).toBe('');
    cache.replace({ type: CONFIG_MAP, namespace: 'default' }, [], '5');
    cache.advance({ type: CONFIG_MAP, namespace: 'default' }, '8');
    expect(cache.observedVersion(CONFIG_MAP, 'default')).toBe('8');
    expect(cache.observedVersion(CONFIG_MAP, 'other')).toBe('');
    cache.replace(ALL, [], '9');
    expect(cache.observedVersion(CONFIG_MAP, 'other')).toBe('9');
  });
});

describe('isAtLeast', () => {
  it.each([
    [undefined, '1', false],
    [at('a', '9'), '10', false],
    [at('a', '10'), '10', true],
    [at('a', '11'), '10', true],
  ])('%o is as new as %s: %s', (cached, version, expected) =>
    expect(isAtLeast(cached, version)).toBe(expected),
  );
});
