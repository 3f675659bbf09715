import { describe, expect, it } from 'vitest';
import {
  principalOfCertificate,
  principalOfSubject,
  principalOfToken,
} from '../../../../broker/access/principals.ts';

describe('principalOfCertificate()', () => {
  it.each([
    { name: 'a subject', subject: 'O=Acme\nCN=alice', san: '', is: 'cert:O=Acme,CN=alice' },
    {
      name: 'a subject beside other names',
      subject: 'CN=alice',
      san: 'DNS:alice, URI:https://alice',
      is: 'cert:CN=alice',
    },
    {
      name: 'a SPIFFE URI before the subject',
      subject: 'CN=alice',
      san: 'DNS:alice, URI:spiffe://acme.org/ns/pay/sa/api',
      is: 'cert:spiffe://acme.org/ns/pay/sa/api',
    },
    {
      name: 'two SPIFFE URIs',
      subject: 'CN=alice',
      san: 'URI:spiffe://a/b, URI:spiffe://a/c',
      is: null,
    },
    { name: 'a SPIFFE URI of another form', subject: 'CN=a', san: 'URI:spiffe://A/b?c', is: null },
    {
      name: 'a SPIFFE URI within a name',
      subject: 'CN=a',
      san: 'DNS:"x, URI:spiffe://a/b, y"',
      is: 'cert:CN=a',
    },
    { name: 'nobody', subject: '', san: '', is: null },
    { name: 'a subject that is too long', subject: `CN=${'a'.repeat(600)}`, san: '', is: null },
    { name: 'an escape sequence', subject: 'CN=\u001b[2J', san: '', is: null },
  ])('reads $name', ({ subject, san, is }) => {
    expect(principalOfCertificate({ subject, subjectAltName: san })).toBe(is);
  });
});

describe('principalOfSubject()', () => {
  it.each([
    ['kubernetes', 'system:serviceaccount:pay:api', 'system:serviceaccount:pay:api'],
    // Of another issuer it is a text like any other, and nobody's account.
    ['acme', 'system:serviceaccount:pay:api', 'oidc:acme/system:serviceaccount:pay:api'],
    [
      'kubernetes',
      'system:serviceaccount:pay:api:x',
      'oidc:kubernetes/system:serviceaccount:pay:api:x',
    ],
    ['kubernetes', 'system:admin', 'oidc:kubernetes/system:admin'],
    ['acme', 'alice', 'oidc:acme/alice'],
    ['acme', '', null],
    ['acme', 'a\nb', null],
    ['acme', 'a'.repeat(600), null],
  ])('of %s, %s is %s', (alias, subject, principal) => {
    expect(principalOfSubject(alias, subject)).toBe(principal);
  });
});

describe('principalOfToken()', () => {
  it('is its name', () => expect(principalOfToken('ops')).toBe('token:ops'));
});
