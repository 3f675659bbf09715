import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  collectionPath,
  compareVersions,
  keyOf,
  microTime,
  nameOf,
  objectPath,
} from '../../../../operator/kube/kube-object.ts';
import { builtIn, CONFIG_MAP, STATEFUL_SET } from '../../../fixtures/kube/objects.ts';

describe('paths', () => {
  it.each([
    [collectionPath(CONFIG_MAP), '/api/v1/configmaps'],
    [collectionPath(STATEFUL_SET, 'a'), '/apis/apps/v1/namespaces/a/statefulsets'],
    [
      objectPath(STATEFUL_SET, { namespace: 'a', name: 'b' }, 'status'),
      '/apis/apps/v1/namespaces/a/statefulsets/b/status',
    ],
    [objectPath(builtIn('Node'), { name: 'n1' }), '/api/v1/nodes/n1'],
  ])('%s', (path, expected) => expect(path).toBe(expected));

  it('refuse a namespace where there is none', () => {
    expect(() => objectPath(builtIn('Node'), { namespace: 'a', name: 'n1' })).toThrow(
      'Node a/n1: has no namespace',
    );
  });
});

describe('keyOf', () => {
  it.each([{ namespace: 'a', name: 'b' }, { name: 'b' }])('is undone by nameOf: %o', (name) => {
    expect(nameOf(keyOf(name))).toEqual(name);
  });
});

describe('compareVersions', () => {
  it('orders numbers of any length as numbers', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 80n }),
        fc.bigInt({ min: 0n, max: 2n ** 80n }),
        (left, right) => {
          expect(Math.sign(compareVersions(String(left), String(right)))).toBe(
            left < right ? -1 : left > right ? 1 : 0,
          );
        },
      ),
    );
  });

  it('puts no version before every other', () => {
    expect(compareVersions('', '1')).toBeLessThan(0);
  });
});

describe('microTime', () => {
  it('has six fractional digits', () => {
    expect(microTime(Date.UTC(2026, 0, 2, 3, 4, 5, 60))).toBe('2026-01-02T03:04:05.060000Z');
  });
});
