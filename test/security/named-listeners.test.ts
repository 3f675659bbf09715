/**
 * What a broker with named listeners serves at each: clients of one are let in by its certificate
 * authority, its tokens and its audience, and by nobody else's; no listener for clients has
 * anything of what brokers call; and each tells of its own addresses alone.
 */
import { createSecureContext } from 'node:tls';
import { Client, credentials, type Metadata, status as Status } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrokerError } from '../../base/errors.ts';
import { setPrincipal } from '../../broker/messages/principal.ts';
import { REFLECTION_SERVICES } from '../../broker/telemetry/reflection.ts';
import { connect, TidemarkError } from '../../client/index.ts';
import { newAuthority, newCertificate } from '../../process/certificates.ts';
import { systemClock } from '../../process/system-clock.ts';
import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { ReplicationServiceService } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { AckLevel, AppendRecord, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { GuardedBroker, shown, throwAt } from './guarded-broker.ts';

const PATIENCE_MS = 300;
const ISSUER = 'https://issuer.test';
const LISTENERS = ['client', 'outside', 'second', 'mine', 'partners', 'open'] as const;
type Listener = (typeof LISTENERS)[number];
const INTERNAL = [QuorumServiceService, ReplicationServiceService].flatMap((service) =>
  Object.values(service as Record<string, { readonly path: string }>).map(({ path }) => path),
);

describe('a broker with named listeners', () => {
  const broker = new GuardedBroker(['root', 'alice']);
  const ours = { ...newAuthority({ commonName: 'ours', days: 1 }), commonName: 'ours' };
  const theirs = { ...newAuthority({ commonName: 'theirs', days: 1 }), commonName: 'theirs' };
  const clients: Partial<Record<Listener, Client>> = {};
  let tokenFor: (audience: string) => Promise<string>;

  function clientOf(listener: Listener, by?: { readonly cert: string; readonly key: string }) {
    const address = listener === 'client' ? broker.address : broker.addresses.get(listener)!;
    if (listener === 'open') return new Client(address, credentials.createInsecure());
    const context = createSecureContext({ ca: broker.authority.cert, ...by });
    return new Client(address, tlsChannelCredentials({ context: () => context }));
  }

  async function ask(client: Client, metadata: Metadata) {
    const options = { deadlineMs: 5_000, clock: systemClock, metadata };
    return callUnary(client, AdminServiceService.describeCluster, {}, options);
  }

  async function codeOf(client: Client, metadata: Metadata): Promise<string> {
    try {
      await ask(client, metadata);
      return 'ok';
    } catch (error) {
      if (error instanceof BrokerError) return error.code;
      throw error;
    }
  }

  const bearer = (token: string): Metadata => shown({ authorization: `Bearer ${token}` });

  beforeAll(async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const keys = [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }];
    const jwks = broker.file('keys.json', JSON.stringify({ keys }));
    tokenFor = (audience) =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(ISSUER)
        .setSubject('pod')
        .setAudience(audience)
        .setExpirationTime('1h')
        .sign(privateKey);
    const own = newCertificate(
      { ...broker.authority, commonName: 'guarded test' },
      { commonName: 'b', names: ['127.0.0.1'] },
    );
    const tls = {
      'tls-cert': broker.file('outside.crt', own.cert),
      'tls-key': broker.file('outside.key', own.key),
    };
    const oidc = { 'auth-oidc-issuer': ISSUER, 'auth-oidc-jwks': jwks };
    await broker.start(
      [
        ...['--auth', 'token', '--auth-tokens-file', broker.writeTokens(['root'])],
        ...['--auth-administrators', 'token:root', '--cluster-id', broker.clusterId],
      ],
      {
        outside: { auth: 'oidc', 'auth-oidc-audience': 'outside', ...oidc, ...tls },
        second: { auth: 'oidc', 'auth-oidc-audience': 'second', ...oidc, ...tls },
        mine: { auth: 'mtls', 'tls-client-ca': broker.file('ours.crt', ours.cert), ...tls },
        partners: {
          ...{ auth: 'mtls', 'tls-client-ca': broker.file('theirs.crt', theirs.cert) },
          ...{ 'auth-reflection': 'yes', ...tls },
        },
        open: { auth: 'none', advertise: 'b1.example.org:443' },
      },
    );
    const [mine, partners] = [ours, theirs].map((authority) =>
      newCertificate(authority, { commonName: 'somebody' }),
    );
    const certificates: Partial<Record<Listener, typeof mine | undefined>> = { mine, partners };
    for (const listener of LISTENERS)
      clients[listener] = clientOf(listener, certificates[listener]);
  }, 60_000);
  afterAll(async () => {
    for (const client of Object.values(clients)) client.close();
    await broker.stop();
    expect(broker.defects).toEqual([]);
  }, 60_000);

  it.each(LISTENERS)('has nothing of what brokers call at %s', async (listener) => {
    const statuses = await Promise.all(
      INTERNAL.map((path) =>
        throwAt(clients[listener]!, path, new Uint8Array(0), shown({}), PATIENCE_MS),
      ),
    );
    expect(statuses).toEqual(INTERNAL.map(() => Status.UNIMPLEMENTED));
  });

  it.each([
    { audience: 'outside', lets: ['outside'] },
    { audience: 'second', lets: ['second'] },
    { audience: 'other', lets: [] },
  ])('takes a token for $audience at $lets', async ({ audience, lets }) => {
    const token = await tokenFor(audience);
    for (const listener of ['client', 'outside', 'second'] as const)
      expect([listener, await codeOf(clients[listener]!, bearer(token))]).toEqual([
        listener,
        lets.includes(listener) ? 'ok' : 'UNAUTHENTICATED',
      ]);
  });

  it('takes the tokens of a file at the listener that has the file', async () => {
    const token = bearer(broker.tokens['root']!);
    expect(await codeOf(clients.client!, token)).toBe('ok');
    for (const listener of ['outside', 'second'] as const)
      expect(await codeOf(clients[listener]!, token)).toBe('UNAUTHENTICATED');
  });

  it('takes certificates of an authority at the listener that trusts it', async () => {
    for (const listener of ['mine', 'partners'] as const) {
      expect(await codeOf(clients[listener]!, shown({}))).toBe('ok');
      for (const authority of [listener === 'mine' ? theirs : ours, null]) {
        const by = authority && newCertificate(authority, { commonName: 'somebody' });
        const client = clientOf(listener, by ?? undefined);
        // Whoever is not trusted does not get as far as a call.
        expect(await codeOf(client, shown({}))).toBe('UNREACHABLE');
        client.close();
      }
    }
  });

  it('tells each client of the addresses of its own listener, and of no other', async () => {
    const hosts = async (listener: Listener, metadata: Metadata) => {
      const { brokers } = await ask(clients[listener]!, metadata);
      return brokers.map(({ host, port, unreachable, listeners }) => ({
        ...{ at: `${host}:${port}`, unreachable, listeners },
      }));
    };
    const outside = bearer(await tokenFor('outside'));
    const at = broker.addresses.get('outside');
    await broker.until(async () => (await hosts('outside', outside))[0]?.at === at);
    expect(await hosts('outside', outside)).toEqual([{ at, unreachable: '', listeners: [] }]);
    expect(await hosts('open', shown({}))).toEqual([
      { at: 'b1.example.org:443', unreachable: '', listeners: [] },
    ]);
    expect(await hosts('client', bearer(broker.tokens['root']!))).toEqual([
      { at: broker.address, unreachable: '', listeners: [] },
    ]);
    // The operator is told of all.
    const internal = new Client(broker.internalAddress, credentials.createInsecure());
    const { brokers } = await ask(internal, shown({}));
    internal.close();
    expect(brokers[0]?.listeners.map(({ listener }) => listener)).toEqual([
      ...['mine', 'open', 'outside', 'partners', 'second'],
    ]);
  });

  it('serves reflection where nobody is asked, or where an option says so', async () => {
    const path = Object.values(REFLECTION_SERVICES).flatMap((service) =>
      Object.values(service as Record<string, { readonly path: string }>),
    )[0]!.path;
    const status = (listener: Listener) =>
      throwAt(clients[listener]!, path, new Uint8Array(0), shown({}), PATIENCE_MS);
    expect(await status('client')).toBe(Status.UNIMPLEMENTED);
    expect(await status('outside')).toBe(Status.UNIMPLEMENTED);
    expect(await status('partners')).not.toBe(Status.UNIMPLEMENTED);
    expect(await status('open')).not.toBe(Status.UNIMPLEMENTED);
  });

  it('says by which listener whoever was refused, or changed something, came', async () => {
    const listenersOf = (wanted: string) =>
      broker.told.flatMap(({ event, fields }) =>
        event === wanted ? [(fields as { readonly listener: string }).listener] : [],
      );
    await broker.connect('root').admin().setClusterSettings({ moveBytesPerSecond: 65_536 });
    expect(listenersOf('admin-call')).toContain('client');
    expect(new Set(listenersOf('access-denied'))).toContain('outside');
  });

  it('believes nobody who says who it is at a listener that asks nobody', async () => {
    const program = connect({ servers: broker.addresses.get('open')! });
    const admin = program.admin();
    await admin.setQuota({ principal: 'token:alice', adminCallsPerSecond: 1 });
    const asAlice = setPrincipal(shown({}), 'token:alice');
    const options = { deadlineMs: 5_000, clock: systemClock, metadata: asAlice };
    // Were it alice, the third of them would be over its quota.
    for (let time = 0; time < 5; time += 1)
      await callUnary(clients.open!, AdminServiceService.listQuotas, {}, options);
    await program.close();
  });

  it('serves plain calls through one listener, wherever that says that brokers stand', async () => {
    await using program = connect({ servers: broker.addresses.get('open')! });
    const config = { minInSyncReplicas: 1 };
    await program.admin().createTopic({ name: 'through', replicationFactor: 1, config });
    const record = { ...AppendRecord.decode(new Uint8Array(0)), value: Buffer.from('x') };
    const options = { deadlineMs: 5_000, clock: systemClock };
    const request = {
      topic: 'through',
      records: [record],
      acks: AckLevel.ACK_LEVEL_ALL,
      condition: undefined,
    };
    const { results } = await callUnary(clients.open!, LogServiceService.append, request, options);
    expect(results.map(({ error }) => error)).toEqual([undefined]);
  });

  it('refuses with an error of the table', async () => {
    await using program = connect({
      servers: broker.addresses.get('outside')!,
      tls: { ca: broker.authority.cert },
      token: broker.tokens['root']!,
    });
    await expect(program.admin().describeCluster()).rejects.toThrow(TidemarkError);
  });
});
