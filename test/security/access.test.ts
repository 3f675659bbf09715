/**
 * Who may do what at a listener that asks: every method of the public services by principals with
 * no right at all and with every right, what rules let through, what becomes of calls that go on,
 * and what is told of it.
 */
import { Client, credentials, status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HEALTH_SERVICE } from '../../broker/telemetry/health.ts';
import { REFLECTION_SERVICES } from '../../broker/telemetry/reflection.ts';
import { setPrincipal } from '../../broker/messages/principal.ts';
import { TidemarkError } from '../../client/index.ts';
import { newCertificate } from '../../process/certificates.ts';
import { systemClock } from '../../process/system-clock.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import {
  FetchRequest,
  type FetchResponse,
  LogServiceService,
  ReadRequest,
} from '../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../wire/batch/frame.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';
import { AUTHORITY, GuardedBroker, shown, throwAt } from './guarded-broker.ts';

const PATIENCE_MS = 300;
const NAMES = ['root', 'alice', 'bob', 'gone'];
const METHODS = [LogServiceService, AdminServiceService].flatMap((service) =>
  Object.values(service as Record<string, { readonly path: string; requestStream: boolean }>),
);
/** Whoever is known may call them; of others' topics they say nothing. */
const FOR_ALL = ['DescribeCluster', 'ListTopics', 'CheckAccess'];

const bearer = (token: string | undefined) => shown({ authorization: `Bearer ${token ?? ''}` });

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'ok';
  } catch (error) {
    if (error instanceof TidemarkError) return error.code;
    throw error;
  }
}

describe('a listener that asks for tokens', () => {
  const broker = new GuardedBroker(NAMES);
  let bare: Client;

  beforeAll(async () => {
    const tokens = broker.writeTokens(NAMES);
    await broker.start([
      ...['--auth', 'token', '--auth-tokens-file', tokens, '--auth-administrators', 'token:root'],
    ]);
    bare = broker.bare();
    const admin = broker.connect('root').admin();
    for (const name of ['orders', 'secret'])
      await admin.createTopic({ name, replicationFactor: 1, config: { minInSyncReplicas: 1 } });
    await admin.grantAccess({
      principal: 'token:alice',
      operations: ['append', 'read'],
      resource: 'topic:ord*',
    });
    await admin.grantAccess({
      principal: 'token:alice',
      operations: ['append'],
      resource: 'producer:alice-*',
    });
  }, 60_000);
  afterAll(async () => {
    await broker.stop();
    expect(broker.defects).toEqual([]);
  }, 60_000);

  it.each(METHODS)('judges $path', async ({ path, requestStream }) => {
    const name = path.split('/').at(-1) ?? '';
    const empty = new Uint8Array(0);
    const ask = (token: string | null) =>
      throwAt(bare, path, empty, token === null ? shown({}) : bearer(token), PATIENCE_MS);
    expect(await ask(null)).toBe(Status.UNAUTHENTICATED);
    expect(await ask('wrong')).toBe(Status.UNAUTHENTICATED);
    const ofBob = await ask(broker.tokens['bob']!);
    // A stream is let in, and each part of its messages is judged.
    if (requestStream || FOR_ALL.includes(name)) expect(ofBob).not.toBe(Status.PERMISSION_DENIED);
    else expect(ofBob).toBe(Status.PERMISSION_DENIED);
    if (name === 'PrepareStop') return;
    const ofRoot = await ask(broker.tokens['root']!);
    expect([Status.UNAUTHENTICATED, Status.PERMISSION_DENIED]).not.toContain(ofRoot);
  });

  it('serves health to everybody, and reflection to nobody', async () => {
    const options = { deadlineMs: 5_000, clock: systemClock };
    expect(await callUnary(bare, HEALTH_SERVICE.check, { service: '' }, options)).toBe(1);
    for (const { serverReflectionInfo } of Object.values(REFLECTION_SERVICES)) {
      const status = await throwAt(
        bare,
        serverReflectionInfo.path,
        new Uint8Array(0),
        bearer(broker.tokens['root']),
        PATIENCE_MS,
      );
      expect(status).toBe(Status.UNIMPLEMENTED);
    }
  });

  it('believes nobody who says to be somebody, or to hand a call on', async () => {
    const metadata = setPrincipal(bearer(broker.tokens['bob']), 'token:root');
    metadata.set('tidemark-forwarded', '1');
    const { path } = AdminServiceService.listAccess;
    expect(await throwAt(bare, path, new Uint8Array(0), metadata, 5_000)).toBe(
      Status.PERMISSION_DENIED,
    );
    for (const authorization of ['Basic cm9vdDo=', 'Bearer', `Bearer ${'a'.repeat(9_000)}`]) {
      const other = shown({ authorization });
      expect(await throwAt(bare, path, new Uint8Array(0), other, 5_000)).toBe(
        Status.UNAUTHENTICATED,
      );
    }
  });

  it('lets rules through, and says nothing of what is there to others', async () => {
    const alice = broker.connect('alice');
    const bob = broker.connect('bob');
    const send = (who: typeof alice, topic: string) =>
      codeOf(who.producer({ acks: 'all' }).send({ topic, value: 'x' }));
    expect(await send(alice, 'orders')).toBe('ok');
    expect(await send(alice, 'secret')).toBe('PERMISSION_DENIED');
    expect(await send(bob, 'orders')).toBe('PERMISSION_DENIED');
    expect(await send(bob, 'nowhere')).toBe('PERMISSION_DENIED');
    expect((await alice.admin().listTopics()).map(({ name }) => name)).toEqual(['orders']);
    expect(await bob.admin().listTopics()).toEqual([]);
    expect(await codeOf(alice.admin().createTopic({ name: 'orders-2', partitions: 1 }))).toBe(
      'PERMISSION_DENIED',
    );
    const why = await alice.admin().checkAccess({ operation: 'read', resource: 'topic:orders' });
    expect(why).toMatchObject({ allowed: true, principal: 'token:alice' });
    expect(why.rule?.resource).toBe('topic:ord*');
    const others = { operation: 'read', resource: 'topic:orders', principal: 'token:bob' } as const;
    expect(await codeOf(alice.admin().checkAccess(others))).toBe('PERMISSION_DENIED');
    expect((await broker.connect('root').admin().checkAccess(others)).allowed).toBe(false);
  });

  it('is shown another token once where one was refused', async () => {
    let asked = 0;
    const given = (): string => {
      asked += 1;
      return asked === 1 ? 'over' : broker.tokens['root']!;
    };
    expect(await broker.connectWith(given).admin().listTopics()).toHaveLength(2);
    expect(asked).toBe(2);
    let wrong = 0;
    const never = (): string => {
      wrong += 1;
      return `wrong-${wrong}`;
    };
    expect(await codeOf(broker.connectWith(never).admin().listTopics())).toBe('UNAUTHENTICATED');
  });

  it('lets nobody take the name of another producer', async () => {
    const take = (token: string, name: string) =>
      throwAt(
        bare,
        LogServiceService.initProducer.path,
        LogServiceService.initProducer.requestSerialize({ name, expected: undefined }),
        bearer(broker.tokens[token]),
        10_000,
      );
    expect(await take('alice', 'alice-1')).toBe(Status.OK);
    expect(await take('alice', 'bob-1')).toBe(Status.PERMISSION_DENIED);
    expect(await take('bob', 'alice-1')).toBe(Status.PERMISSION_DENIED);
    // An id of its own takes nothing from anybody, and is for those who may append at all.
    expect(await take('alice', '')).toBe(Status.OK);
    expect(await take('bob', '')).toBe(Status.PERMISSION_DENIED);
  });

  it('takes what goes on away when its rule goes, and nothing else', async () => {
    const root = broker.connect('root').admin();
    const rule = {
      principal: 'token:bob',
      operations: ['read'],
      resource: 'topic:secret',
    } as const;
    await root.grantAccess(rule);
    await root.grantAccess({ ...rule, resource: 'topic:orders' });
    const ids = new Map((await root.listTopics()).map(({ name, topicId }) => [name, topicId]));
    const idOf = (name: string) => topicIdToBytes(ids.get(name) ?? '');
    const read = bare.makeServerStreamRequest(
      LogServiceService.read.path,
      (request: ReadRequest) => Buffer.from(ReadRequest.encode(request).finish()),
      (bytes: Buffer) => bytes,
      { ...ReadRequest.decode(new Uint8Array(0)), topic: 'secret', follow: true },
      bearer(broker.tokens['bob']),
    );
    const readEnd = new Promise<string>((resolve) => {
      read.on('error', (error) => resolve(errorFromStatus(error as never).code));
    });
    read.on('data', () => {});
    const fetched: FetchResponse['partitions'] = [];
    const { path, responseDeserialize } = LogServiceService.fetch;
    const fetch = bare.makeBidiStreamRequest(
      path,
      (request: FetchRequest) => Buffer.from(FetchRequest.encode(request).finish()),
      responseDeserialize,
      bearer(broker.tokens['bob']),
    );
    let isFetchOver = false;
    fetch.on('data', ({ partitions }: FetchResponse) => fetched.push(...partitions));
    fetch.on('error', () => {
      isFetchOver = true;
    });
    const of = (name: string) =>
      fetched.filter(({ topicId }) => Buffer.from(topicId).equals(Buffer.from(idOf(name))));
    fetch.write({
      subscribe: ['orders', 'secret'].map((name) => ({
        topicId: idOf(name),
        partition: 0,
        offset: 0,
        leaderEpoch: 0,
        allowFollower: false,
        inSyncOnly: false,
      })),
      unsubscribe: [],
      creditBytes: 1_000_000,
    });
    await broker.until(() => of('orders').length > 0 && of('secret').length > 0);
    await root.revokeAccess({ principal: 'token:bob', resource: 'topic:secret' });
    expect(await readEnd).toBe('PERMISSION_DENIED');
    await broker.until(() => of('secret').some(({ error }) => error !== undefined));
    expect(of('secret').at(-1)?.error?.code).toBe('PERMISSION_DENIED');
    // The other subscription goes on, and sees what is appended later.
    const seen = of('orders').length;
    await broker.connect('alice').producer().send({ topic: 'orders', value: 'later' });
    await broker.until(() => of('orders').length > seen);
    expect(of('orders').every(({ error }) => error === undefined)).toBe(true);
    expect(isFetchOver).toBe(false);
    fetch.cancel();
  });

  it('ends what goes on when its token is taken back', async () => {
    const stream = bare.makeBidiStreamRequest(
      LogServiceService.produce.path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      bearer(broker.tokens['gone']),
    );
    const ended = new Promise<unknown>((resolve) => {
      stream.on('error', (error) => resolve(errorFromStatus(error as never)));
    });
    await new Promise((resolve) => stream.once('data', resolve));
    broker.writeTokens(NAMES.filter((name) => name !== 'gone'));
    // Batches may be under way: whoever hears it must not take them for refused.
    expect(await ended).toMatchObject({ code: 'UNAUTHENTICATED', effect: 'unknown' });
    expect(await codeOf(broker.connect('gone').admin().listTopics())).toBe('UNAUTHENTICATED');
  });

  it('judges what a broker hands on for somebody, at the listener of brokers', async () => {
    const inner = new Client(broker.internalAddress, credentials.createInsecure());
    const ask = (principal: string) =>
      throwAt(
        inner,
        AdminServiceService.describeQuorum.path,
        new Uint8Array(0),
        setPrincipal(shown({}), principal),
        5_000,
      );
    expect(await ask('token:bob')).toBe(Status.PERMISSION_DENIED);
    expect(await ask('token:root')).toBe(Status.OK);
    expect(await ask('')).toBe(Status.OK);
    inner.close();
  });

  it('tells who changed what and who was refused, and no secret', async () => {
    const calls = broker.told.filter(({ event }) => event === 'admin-call');
    expect(calls).toContainEqual({
      event: 'admin-call',
      fields: expect.objectContaining({
        principal: 'token:root',
        method: AdminServiceService.createTopic.path,
        resource: 'topic:orders',
        outcome: 'ok',
      }) as unknown,
    });
    expect(calls).toContainEqual({
      event: 'admin-call',
      fields: expect.objectContaining({
        principal: 'token:bob',
        method: AdminServiceService.removeBroker.path,
        outcome: 'PERMISSION_DENIED',
      }) as unknown,
    });
    const before = broker.told.filter(({ event }) => event === 'access-denied').length;
    const { path } = AdminServiceService.listAccess;
    for (let time = 0; time < 50; time += 1)
      await throwAt(bare, path, new Uint8Array(0), bearer(broker.tokens['bob']), 5_000);
    const denials = broker.told.filter(({ event }) => event === 'access-denied');
    expect(denials.length - before).toBeLessThan(3);
    expect(denials.map(({ fields }) => (fields as { principal: string }).principal)).toContain(
      'token:bob',
    );
    const text = JSON.stringify(broker.told);
    for (const token of Object.values(broker.tokens)) expect(text).not.toContain(token);
  });
});

describe('a listener that asks for certificates', () => {
  const broker = new GuardedBroker([]);
  beforeAll(async () => {
    await broker.start([
      ...['--auth', 'mtls', '--tls-client-ca', broker.file('ca.crt', broker.authority.cert)],
      ...['--auth-administrators', 'cert:CN=root;cert:spiffe://acme.org/ns/ops/sa/*'],
    ]);
  }, 60_000);
  afterAll(() => broker.stop(), 60_000);

  it.each([
    ['root', [], Status.OK],
    ['rooty', [], Status.PERMISSION_DENIED],
    ['anyone', ['spiffe://acme.org/ns/ops/sa/deploy'], Status.OK],
    ['root', ['spiffe://acme.org/ns/pay/sa/api'], Status.PERMISSION_DENIED],
    ['root', ['spiffe://acme.org/a', 'spiffe://acme.org/b'], Status.UNAUTHENTICATED],
  ])('knows %s with %j', async (commonName, names, status) => {
    const authority = { ...broker.authority, commonName: AUTHORITY };
    const client = broker.bare(newCertificate(authority, { commonName, names }));
    const { path } = AdminServiceService.listAccess;
    expect(await throwAt(client, path, new Uint8Array(0), shown({}), 5_000)).toBe(status);
  });
});
