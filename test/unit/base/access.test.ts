import { describe, expect, it } from 'vitest';
import {
  type AccessRule,
  placeKey,
  principalFault,
  principalPatternFault,
  readResource,
  resourceText,
  ruleFaults,
  sortedOperations,
} from '../../../base/access.ts';

const RULE: AccessRule = {
  principal: 'cert:CN=a',
  operations: ['append'],
  kind: 'topic',
  name: 'orders',
};

describe('ruleFaults()', () => {
  it.each<Partial<AccessRule>>([
    {},
    { principal: '*' },
    { principal: 'system:serviceaccount:team-a:*' },
    { principal: 'anonymous' },
    { name: '*' },
    { name: 'a'.repeat(249) },
    { name: `${'a'.repeat(249)}*` },
    { kind: 'cluster', name: '', operations: ['administer'] },
    { kind: 'producer', name: 'billing ü' },
  ])('has nothing against %j', (change) => {
    expect(ruleFaults({ ...RULE, ...change })).toEqual([]);
  });

  it.each<[Partial<AccessRule>, string]>([
    [{ principal: '' }, 'must begin with one of'],
    [{ principal: 'alice' }, 'must begin with one of'],
    [{ principal: 'cert:' }, 'must begin with one of'],
    [{ principal: `cert:${'a'.repeat(600)}` }, 'must have 512 or fewer'],
    [{ principal: 'cert:a\nb' }, 'characters that can be printed'],
    [{ principal: 'cert:\ud800' }, 'characters that can be printed'],
    [{ name: '' }, 'must be 1 to 249 characters'],
    [{ name: 'a'.repeat(251) }, 'must be 1 to 249 characters'],
    [{ name: 'a\u001b' }, 'must be 1 to 249 characters'],
    [{ kind: 'cluster', operations: ['administer'] }, 'must be empty for the cluster'],
    [{ operations: [] }, 'must be one or more'],
    [{ operations: ['administer'] }, "operation is 'administer', must be one of append"],
  ])('refuses %j', (change, reason) => {
    expect(ruleFaults({ ...RULE, ...change }).join()).toContain(reason);
  });
});

describe('principals', () => {
  it('of a caller are never all of them', () => {
    expect(principalPatternFault('*')).toBeNull();
    expect(principalFault('*')).not.toBeNull();
  });
});

describe('placeKey()', () => {
  it('tells places apart whose texts run into each other', () => {
    const keys = [
      { principal: 'cert:a', kind: 'topic', name: 'b' },
      { principal: 'cert:a","topic', kind: 'topic', name: 'b' },
      { principal: 'cert:a', kind: 'group', name: 'b' },
    ] as const;
    expect(new Set(keys.map(placeKey)).size).toBe(3);
  });
});

describe('resources', () => {
  it.each(['topic:orders', 'topic:a:b', 'producer:x*', 'group:g', 'cluster'])('%s', (text) => {
    const resource = readResource(text);
    expect(resource === null ? null : resourceText(resource)).toBe(text);
  });

  it.each(['', 'orders', 'cluster:', 'topic', 'queue:x'])('are not "%s"', (text) => {
    expect(readResource(text)).toBeNull();
  });
});

describe('sortedOperations()', () => {
  it('has each once, in one order', () => {
    expect(sortedOperations(['delete', 'append', 'delete'])).toEqual(['append', 'delete']);
  });
});
