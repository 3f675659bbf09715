import { describe, expect, it } from 'vitest';
import {
  addressesFault,
  areSame,
  hostFault,
  listenerNameFault,
  ordered,
} from '../../../base/listeners.ts';
import { LISTENERS_MAX } from '../../../base/limits.ts';

const A = { listener: 'a', host: 'h', port: 1 };

describe('listenerNameFault', () => {
  it.each(['a', 'outside', 'a-1', 'a2b', 'abcdefghijkl'])('takes %s', (name) => {
    expect(listenerNameFault('name', name)).toBeNull();
  });

  it.each([
    ...['', 'A', '1a', '-a', 'a-', 'a--b', 'a_b', 'a.b', 'abcdefghijklm', 'a b', 'a\n'],
    ...['client', 'internal'],
  ])('refuses "%s"', (name) => {
    expect(listenerNameFault('name', name)).toContain(`name is "${name}", must`);
  });
});

describe('hostFault', () => {
  it.each(['a', 'b-1.example.org', '192.0.2.1', '::1', '2001:db8::1', '::ffff:192.0.2.1', 'a_b.c'])(
    'takes %s',
    (host) => expect(hostFault(host)).toBeNull(),
  );

  it.each(['', ' ', 'a b', 'a/b', 'a:b', '-a', 'a\nb', '[::1]', 'a'.repeat(254)])(
    'refuses "%s"',
    (host) => expect(hostFault(host)).toContain('must be a host name or an address'),
  );
});

describe('addresses', () => {
  it.each([
    {
      name: 'too many',
      given: Array.from({ length: LISTENERS_MAX + 1 }, () => A),
      told: 'at most',
    },
    { name: 'a name twice', given: [A, A], told: 'stands twice' },
    { name: 'a bad name', given: [{ ...A, listener: 'client' }], told: 'must not be' },
    { name: 'a bad host', given: [{ ...A, host: 'a b' }], told: 'host is "a b"' },
    { name: 'no port', given: [{ ...A, port: 0 }], told: 'is 0, must be 1 to 65535' },
    { name: 'half a port', given: [{ ...A, port: 1.5 }], told: 'is 1.5, must be' },
  ])('are refused: $name', ({ given, told }) => {
    expect(addressesFault(given)).toContain(told);
  });

  it('are the same where each is', () => {
    const b = { ...A, listener: 'b' };
    expect(ordered([b, A])).toEqual([A, b]);
    expect(areSame([A, b], [A, { ...b }])).toBe(true);
    for (const other of [[], [A], [A, { ...b, port: 2 }], [A, { ...b, host: 'i' }], [b, A]])
      expect(areSame([A, b], other)).toBe(false);
  });
});
