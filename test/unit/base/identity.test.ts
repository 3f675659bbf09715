import { describe, expect, it } from 'vitest';
import { type Identity, identityUri, readIdentity } from '../../../base/identity.ts';

const CLUSTER = '0b9e2f3a-0000-4000-8000-00000000abcd';
const OPERATOR: Identity = { kind: 'operator', clusterId: CLUSTER };
const BROKER: Identity = { kind: 'broker', clusterId: CLUSTER, brokerId: 7 };

describe('readIdentity()', () => {
  it.each([OPERATOR, BROKER, { ...BROKER, brokerId: 0 }])('finds $kind', (identity) => {
    const uri = identityUri(identity);
    expect(readIdentity(`URI:${uri}`)).toEqual(identity);
    expect(
      readIdentity(`DNS:localhost, IP Address:127.0.0.1, URI:${uri}, URI:spiffe://x/y`),
    ).toEqual(identity);
  });

  const uri = identityUri(BROKER);
  it.each([
    { name: 'no name', names: '' },
    { name: 'another kind of name', names: `DNS:${uri}` },
    { name: 'two', names: `URI:${uri}, URI:${identityUri(OPERATOR)}` },
    { name: 'the same twice', names: `URI:${uri}, URI:${uri}` },
    { name: 'one inside a quoted name', names: `DNS:"a, URI:${uri}"` },
    { name: 'the middle of a quoted name', names: `DNS:"a, URI:${uri}, b"` },
    { name: 'a quoted name with a quote in it', names: `DNS:"a\\", URI:${uri}, b"` },
    { name: 'something behind it', names: `URI:${uri}/x` },
    { name: 'another scheme', names: `URI:https://${CLUSTER}/broker/7` },
    { name: 'no UUID', names: 'URI:tidemark://c/broker/7' },
    { name: 'a leading zero', names: `URI:tidemark://${CLUSTER}/broker/07` },
    { name: 'a number that no broker has', names: `URI:tidemark://${CLUSTER}/broker/65536` },
    { name: 'no number', names: `URI:tidemark://${CLUSTER}/broker/` },
  ])('finds nobody in $name', ({ names }) => {
    expect(readIdentity(names)).toBeNull();
  });
});
