import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Authenticator } from '../../../../broker/doors/authenticator.ts';
import { SigningKeys } from '../../../../broker/doors/signing-keys.ts';

const ISSUER = 'https://kubernetes.default.svc';
const CLUSTER = 'c1';
const SUBJECT = 'system:serviceaccount:pay:api';
const NOW_S = 1_800_000_000;

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
interface Terms {
  readonly sub?: string;
  readonly aud?: string;
  readonly iss?: string;
  readonly exp?: number;
  readonly kid?: string;
}

let one: Pair;
let two: Pair;
beforeAll(async () => {
  [one, two] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
});

function sign(pair: Pair, terms: Terms = {}): Promise<string> {
  const { sub = SUBJECT, aud = CLUSTER, iss = ISSUER, exp = NOW_S + 600, kid = '1' } = terms;
  const jwt = new SignJWT({ sub }).setProtectedHeader({ alg: 'ES256', kid });
  return jwt.setAudience(aud).setIssuer(iss).setExpirationTime(exp).sign(pair.privateKey);
}

async function keySet(...pairs: readonly (readonly [Pair, string])[]): Promise<string> {
  const keys = pairs.map(async ([{ publicKey }, kid]) => ({
    ...(await exportJWK(publicKey)),
    kid,
    alg: 'ES256',
  }));
  return JSON.stringify({ keys: await Promise.all(keys) });
}

const call = (authorization?: string) => {
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  return { metadata };
};

describe('Authenticator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-auth-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let nowS: number;
  let asked: (string | undefined)[];
  let served: string;
  let server: Server;
  let source: string;
  const refused: string[] = [];
  const opened: SigningKeys[] = [];

  beforeEach(async () => {
    nowS = NOW_S;
    asked = [];
    served = await keySet([one, '1']);
    server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      response.statusCode = served === '' ? 503 : 200;
      response.end(served);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    source = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  });
  afterEach(async () => {
    for (const keys of opened.splice(0)) keys.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  async function authenticator(name: string, from = source): Promise<Authenticator> {
    const keys = await SigningKeys.open({
      source: from,
      caFile: '',
      bearerFile: '',
      storeFile: join(folder, name, 'keys.json'),
      onRefused: (reason) => refused.push(reason),
      nowMs: () => nowS * 1_000,
    });
    opened.push(keys);
    return new Authenticator({
      mtls: false,
      tokens: null,
      oidc: { issuer: ISSUER, alias: 'kubernetes', audience: () => CLUSTER, keys },
      wallMs: () => nowS * 1_000,
    });
  }

  const known = async (of: Authenticator, token: string) =>
    of.authenticate(call(`Bearer ${token}`));

  it('knows the account of a pod until its token ends', async () => {
    const auth = await authenticator('pod');
    const token = await sign(one);
    expect(await known(auth, token)).toMatchObject({
      principal: SUBJECT,
      untilMs: (NOW_S + 660) * 1_000,
    });
    nowS += 659;
    expect((await known(auth, token)).principal).toBe(SUBJECT);
    nowS += 2;
    await expect(known(auth, token)).rejects.toThrow('the token is over');
  });

  it.each<[string, Terms, string]>([
    ['another audience', { aud: 'c2' }, 'not for "c1"'],
    ['another issuer', { iss: 'https://other' }, 'not of the issuer'],
    ['a key that nobody has', { kid: '9' }, 'key of the token is not known'],
    ['no subject', { sub: '' }, 'cannot be a principal'],
    ['a subject that is no text', { sub: [SUBJECT] as unknown as string }, 'cannot be a principal'],
    ['a subject of no letters', { sub: 'a\u001b' }, 'cannot be a principal'],
  ])('refuses %s', async (_, terms, reason) => {
    const auth = await authenticator('refuses');
    await expect(known(auth, await sign(one, terms))).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining(reason) as string,
    });
  });

  it('refuses what another key has signed, or none, and tells nothing of it', async () => {
    const auth = await authenticator('forged');
    const forged = await sign(two);
    const [, body = ''] = forged.split('.');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
    for (const token of [forged, none, 'nonsense', `${forged}x`]) {
      const error: unknown = await known(auth, token).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'UNAUTHENTICATED' });
      expect(String(error)).not.toContain(token);
    }
  });

  it('follows a rotation, and asks for no more than it must', async () => {
    const auth = await authenticator('rotation');
    served = await keySet([two, '2']);
    const token = await sign(two, { kid: '2' });
    // Right after it has asked it does not ask again, whoever comes.
    await expect(known(auth, token)).rejects.toThrow('key of the token is not known');
    expect(asked).toHaveLength(1);
    nowS += 6;
    expect((await known(auth, token)).principal).toBe(SUBJECT);
    expect(asked).toHaveLength(2);
    // The key that was taken out counts no more, once what it signed is looked at again.
    await expect(known(auth, await sign(one))).rejects.toThrow('key of the token is not known');
  });

  it('keeps the last good keys on disk, and over nonsense', async () => {
    await authenticator('kept');
    served = '';
    const again = await authenticator('kept');
    expect((await known(again, await sign(one))).principal).toBe(SUBJECT);
    expect(refused.at(-1)).toContain('it answers with status 503');
    expect(readFileSync(join(folder, 'kept', 'keys.json'), 'utf8')).toContain('ES256');
    served = '{"keys":[{"kty":"oct","k":"AAAA"}]}';
    await authenticator('other');
    expect(refused.at(-1)).toContain('must all be public keys');
  });

  it('reads keys of a file again when a token names another', async () => {
    const file = join(folder, 'keys-file');
    writeFileSync(file, await keySet([one, '1']));
    const auth = await authenticator('file', file);
    writeFileSync(file, await keySet([one, '1'], [two, '2']));
    expect((await known(auth, await sign(two, { kid: '2' }))).principal).toBe(SUBJECT);
    await expect(authenticator('gone', join(folder, 'nothing'))).rejects.toThrow('ENOENT');
  });

  it('knows static tokens by their hash, as long as they are there', () => {
    const digest = createHash('sha256').update('long-and-random').digest('hex');
    const names = new Map([[digest, 'ops']]);
    const parts = { mtls: false, tokens: () => names, oidc: null, wallMs: () => 0 };
    const auth = new Authenticator(parts);
    const who = auth.authenticate(call('Bearer long-and-random'));
    expect(who).toMatchObject({ principal: 'token:ops', untilMs: null });
    expect(() => auth.authenticate(call(`Bearer ${digest}`))).toThrow('the token is not known');
    expect(() => auth.authenticate(call())).toThrow('nothing was shown');
    names.delete(digest);
    expect('stands' in who && who.stands()).toBe(false);
  });
});
