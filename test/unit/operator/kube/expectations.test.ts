import { beforeEach, describe, expect, it } from 'vitest';
import { ObjectCache } from '../../../../operator/kube/cache.ts';
import { Expectations } from '../../../../operator/kube/expectations.ts';
import type { KubeObject } from '../../../../operator/kube/kube-object.ts';
import { CONFIG_MAP, object, POD } from '../../../fixtures/kube/objects.ts';

const SCOPE = { type: CONFIG_MAP };
const KEY = 'default/owner';

let cache: ObjectCache;
let expectations: Expectations;
beforeEach(() => {
  cache = new ObjectCache((error) => {
    throw error;
  });
  expectations = new Expectations(cache);
});

function at(
  name: string,
  resourceVersion: string,
  metadata: Partial<KubeObject['metadata']> = {},
): KubeObject {
  return object(CONFIG_MAP, name, {
    metadata: { uid: `uid-${name}`, resourceVersion, ...metadata },
  });
}

describe('Expectations', () => {
  it('has none before a write', () => expect(expectations.pending(KEY)).toEqual([]));

  it('holds a pass back until the cache shows the write', () => {
    cache.replace(SCOPE, [at('a', '9')], '9');
    expectations.expectWrite(KEY, CONFIG_MAP, at('a', '10'));
    expect(expectations.pending(KEY)).toEqual(['ConfigMap default/a at version 10']);
    cache.upsert(SCOPE, at('a', '10'));
    expect(expectations.pending(KEY)).toEqual([]);
  });

  it('is content with a later write', () => {
    expectations.expectWrite(KEY, CONFIG_MAP, at('a', '10'));
    cache.upsert(SCOPE, at('a', '100'));
    expect(expectations.pending(KEY)).toEqual([]);
  });

  it('waits for an object that was made, until it is seen', () => {
    cache.replace(SCOPE, [], '9');
    expectations.expectWrite(KEY, CONFIG_MAP, at('new', '10'));
    expect(expectations.pending(KEY)).toHaveLength(1);
    cache.upsert(SCOPE, at('new', '10'));
    expect(expectations.pending(KEY)).toEqual([]);
  });

  it('does not wait for ever for what somebody deleted meanwhile', () => {
    cache.replace(SCOPE, [], '9');
    expectations.expectWrite(KEY, CONFIG_MAP, at('a', '10'));
    cache.advance(SCOPE, '11');
    expect(expectations.pending(KEY)).toEqual([]);
  });

  it('waits for a deletion, or its mark, or a successor', () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      cache.upsert(SCOPE, at(name, '1'));
      expectations.expectDeletion(KEY, CONFIG_MAP, at(name, '1').metadata, `uid-${name}`);
    }
    cache.remove(SCOPE, at('a', '2'));
    cache.upsert(SCOPE, at('b', '3', { deletionTimestamp: '2026-01-01T00:00:00Z' }));
    cache.upsert(SCOPE, at('c', '4', { uid: 'another' }));
    expect(expectations.pending(KEY)).toEqual(['deletion of ConfigMap default/d']);
  });

  it('keeps the keys and the kinds apart', () => {
    cache.replace(SCOPE, [], '99');
    expectations.expectWrite(
      KEY,
      POD,
      object(POD, 'a', { metadata: { uid: 'p', resourceVersion: '10' } }),
    );
    expect(expectations.pending('default/other')).toEqual([]);
    expect(expectations.pending(KEY)).toEqual(['Pod default/a at version 10']);
    expectations.forget(KEY);
    expect(expectations.pending(KEY)).toEqual([]);
  });

  it('asks for the last of several writes to one object', () => {
    expectations.expectWrite(KEY, CONFIG_MAP, at('a', '10'));
    expectations.expectWrite(KEY, CONFIG_MAP, at('a', '12'));
    cache.upsert(SCOPE, at('a', '10'));
    expect(expectations.pending(KEY)).toEqual(['ConfigMap default/a at version 12']);
  });
});
