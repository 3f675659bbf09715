/** Two real brokers: one asks for tokens of either kind, one for certificates. */
import {
  ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { FEATURE_LEVEL_MAX } from '../../../broker/metadata/features.ts';
import { crc32 } from 'node:zlib';
import { Client, credentials, Metadata, type StatusObject, status as Status } from '@grpc/grpc-js';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { newAuthority, newCertificate } from '../../../process/certificates.ts';
import { AdminServiceService } from '../../../proto/gen/tidemark/v1/admin.ts';
import { type CommitMember, GroupServiceService } from '../../../proto/gen/tidemark/v1/groups.ts';
import {
  AckLevel,
  type FetchRequest,
  type FetchResponse,
  LogServiceService,
  type ProduceRequest,
  type ProduceResponse,
} from '../../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../../wire/batch/frame.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { DETAILS_TRAILER, errorFromStatus } from '../../../wire/grpc/errors.ts';
import { encodeBatch } from '../../../wire/records/batch.ts';
import { systemClock } from '../../../process/system-clock.ts';
import { AUTHORITY, GuardedBroker, shown } from '../guarded-broker.ts';
import type { Claims, Headers, Method, Shown, Signing, World } from './types.ts';

const ISSUER = 'https://kubernetes.default.svc';
const KID = 'first';
const NAMES = ['root', 'alice', 'bob'] as const;
const TOPICS = ['orders', 'orders2', 'secret', 'reports', 'logs-a'];
/** A call that goes on for so long was let in. */
const PATIENCE_MS = 2_000;
const MINUTES_S = 600;
/** How a transport says that there is none. */
const NO_CONNECTION = 'no connection';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

export class RealWorld implements World {
  readonly #byTokens = new GuardedBroker(NAMES);
  readonly #byCertificates = new GuardedBroker([]);
  readonly #topicIds = new Map<string, Uint8Array>();
  readonly #own: Pair;
  readonly #another: Pair;
  #client: Client | null = null;
  #inside: Client | null = null;

  private constructor(own: Pair, another: Pair) {
    [this.#own, this.#another] = [own, another];
  }

  static async open(): Promise<RealWorld> {
    const pair = () => generateKeyPair('ES256', { extractable: true });
    const world = new RealWorld(await pair(), await pair());
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const broker = this.#byTokens;
    const keys = [{ ...(await exportJWK(this.#own.publicKey)), kid: KID, alg: 'ES256' }];
    const administrators = 'token:root;system:serviceaccount:ops:root';
    await broker.start([
      ...['--auth', 'token,oidc', '--auth-administrators', administrators],
      ...['--auth-tokens-file', broker.writeTokens(NAMES), '--auth-oidc-issuer', ISSUER],
      ...['--auth-oidc-jwks', broker.file('keys.json', JSON.stringify({ keys }))],
      ...['--auth-oidc-audience', broker.clusterId],
    ]);
    this.#client = broker.bare();
    this.#inside = new Client(broker.internalAddress, credentials.createInsecure());
    const admin = broker.connect('root').admin();
    for (const name of TOPICS)
      await admin.createTopic({
        name,
        partitions: 1,
        replicationFactor: 1,
        config: { minInSyncReplicas: 1 },
      });
    for (const { name, topicId } of await admin.listTopics())
      this.#topicIds.set(name, topicIdToBytes(topicId));
    const grant = (operations: readonly ('append' | 'read' | 'group')[], resource: string) =>
      admin.grantAccess({ principal: 'token:alice', operations, resource });
    await grant(['append', 'read'], 'topic:orders');
    await grant(['append'], 'topic:logs-*');
    await grant(['read'], 'topic:reports');
    await grant(['append'], 'producer:alice-*');
    await grant(['group'], 'group:billing-*');
    // Members need the newest level.
    while ((await admin.describeCluster()).featureLevel < FEATURE_LEVEL_MAX)
      await new Promise((resolve) => setTimeout(resolve, 100));
    const queues = broker.connect('root').queues();
    await queues.create('billing-q', { topic: 'orders' });
    await queues.create('billing-s', { topic: 'secret' });
    await queues.create('payroll-q', { topic: 'secret' });
    const { authority } = this.#byCertificates;
    await this.#byCertificates.start([
      ...['--auth', 'mtls', '--tls-client-ca', this.#byCertificates.file('ca.crt', authority.cert)],
      ...['--auth-administrators', 'cert:CN=root;cert:spiffe://acme.org/ns/ops/sa/*'],
    ]);
  }

  /** What no caller may bring about. */
  get defects(): readonly unknown[] {
    return [...this.#byTokens.defects, ...this.#byCertificates.defects];
  }

  async close(): Promise<void> {
    this.#inside?.close();
    await Promise.all([this.#byTokens.stop(), this.#byCertificates.stop()]);
  }

  token(name: (typeof NAMES)[number]): string {
    return this.#byTokens.tokens[name] ?? '';
  }

  async jwt(claims: Claims, { header = {}, by = 'issuer' }: Signing = {}): Promise<string> {
    const nowS = Math.floor(Date.now() / 1_000);
    const { clusterId } = this.#byTokens;
    const filled = (text: string): string =>
      text
        .replace('%cluster', clusterId)
        .replace('%CLUSTER', clusterId.toUpperCase())
        .replace('%issuer', ISSUER);
    const { sub = 'system:serviceaccount:ops:root', aud = '%cluster', iss = '%issuer' } = claims;
    const { exp = MINUTES_S, nbf } = claims;
    const audience = typeof aud === 'string' ? filled(aud) : aud?.map(filled);
    const payload = withoutNulls({
      sub,
      aud: audience ?? null,
      iss: iss === null ? null : filled(iss),
      exp: typeof exp === 'number' ? nowS + exp : exp,
      nbf: nbf === undefined ? null : nowS + nbf,
    });
    const jwk =
      header['jwk'] === '%another' ? { jwk: await exportJWK(this.#another.publicKey) } : {};
    const protectedHeader = { alg: 'ES256', kid: KID, ...header, ...jwk };
    if (by === 'nobody') return `${encoded(protectedHeader)}.${encoded(payload)}.`;
    const unsigned = new SignJWT(payload);
    if (by === 'public-key') {
      const secret = Buffer.from(await exportSPKI(this.#own.publicKey));
      return unsigned.setProtectedHeader({ ...protectedHeader, alg: 'HS256' }).sign(secret);
    }
    const { privateKey } = by === 'another' ? this.#another : this.#own;
    return unsigned.setProtectedHeader(protectedHeader).sign(privateKey, { crit: { x: false } });
  }

  ask(method: Method, fields: object, headers: Headers | Metadata): Promise<string> {
    const metadata = headers instanceof Metadata ? headers : shown(headers);
    return answerOf(this.#open(this.#client), method, fields, metadata);
  }

  askInside(method: Method, fields: object, headers: Headers): Promise<string> {
    return answerOf(this.#open(this.#inside), method, fields, shown(headers));
  }

  askWith(
    { commonName, names = [], by = 'authority', days }: Shown,
    method: Method,
    headers: Headers = {},
  ): Promise<string> {
    const broker = this.#byCertificates;
    const foreign = newAuthority({ commonName: AUTHORITY, days: 1 });
    const signer = { ...(by === 'another' ? foreign : broker.authority), commonName: AUTHORITY };
    const terms = { commonName, names, ...(days === undefined ? {} : { days }) };
    const pair = by === 'nobody' ? undefined : newCertificate(signer, terms);
    return answerOf(broker.bare(pair), method, {}, shown(headers));
  }

  part(stream: 'produce' | 'fetch', topic: string, headers: Headers): Promise<string> {
    const client = this.#open(this.#client);
    const topicId = this.#topicIds.get(topic) ?? new Uint8Array(16);
    return stream === 'produce'
      ? producePart(client, topicId, shown(headers))
      : fetchPart(client, topicId, shown(headers));
  }

  member(
    open: Partial<ConsumeOpen>,
    headers: Headers,
    then?: (world: {
      readonly topicId: (topic: string) => Uint8Array;
    }) => ConsumeRequest['message'],
  ): Promise<string> {
    const topicId = (topic: string): Uint8Array => this.#topicIds.get(topic) ?? new Uint8Array(16);
    return memberOf(this.#open(this.#client), open, then?.({ topicId }), shown(headers));
  }

  async commit(group: string, member: CommitMember, headers: Headers): Promise<string> {
    const topic = 'orders';
    const topicId = this.#topicIds.get(topic) ?? new Uint8Array(16);
    const place = { topic, topicId, partition: 0, offset: 0, leaderEpoch: 0, generation: 0 };
    const { outcomes } = await callUnary(
      this.#open(this.#client),
      GroupServiceService.commitCursors,
      { group, cursors: [place], member },
      { deadlineMs: 10_000, metadata: shown(headers), clock: systemClock },
    );
    return outcomes[0]?.error?.code ?? 'ok';
  }

  async topics(headers: Headers): Promise<string> {
    const { topics } = await callUnary(
      this.#open(this.#client),
      AdminServiceService.listTopics,
      { names: [], includeInternal: false },
      { deadlineMs: 10_000, metadata: shown(headers), clock: systemClock },
    );
    return topics
      .map(({ name }) => name)
      .toSorted()
      .join(', ');
  }

  #open(client: Client | null): Client {
    if (client === null) throw new Error('the brokers are not started');
    return client;
  }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function withoutNulls(payload: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== null));
}

/** A call of any kind with one message: what it ends with. */
function answerOf(
  client: Client,
  { path, requestSerialize, requestDeserialize }: Method,
  fields: object,
  metadata: Metadata,
): Promise<string> {
  const message = { ...(requestDeserialize(Buffer.alloc(0)) as object), ...fields };
  const bytes = requestSerialize(message as never);
  return new Promise((resolve) => {
    const asIs = (given: Buffer): Buffer => given;
    const call = client.makeBidiStreamRequest(path, asIs, asIs, metadata, {});
    const timer = setTimeout(() => {
      call.cancel();
      resolve('goes on');
    }, PATIENCE_MS);
    call.on('data', () => {});
    call.on('error', () => {});
    call.on('status', (status: StatusObject) => {
      clearTimeout(timer);
      resolve(wordOf(status));
    });
    call.write(bytes);
    call.end();
  });
}

function wordOf(status: StatusObject): string {
  if (status.code === Status.OK) return 'ok';
  if (status.metadata.get(DETAILS_TRAILER).length > 0) return errorFromStatus(status).code;
  return status.code === Status.UNAVAILABLE ? NO_CONNECTION : (Status[status.code] ?? '');
}

function producePart(client: Client, topicId: Uint8Array, metadata: Metadata): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
  const call = client.makeBidiStreamRequest<ProduceRequest, ProduceResponse>(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
  );
  const record = { timestampMs: Date.now(), value: Buffer.from('x') };
  const frame = encodeBatch([record], { codec: 0 }, crc32);
  const batch = { batchId: 1, topicId, partition: 0, frame, condition: undefined };
  call.write({ acks: AckLevel.ACK_LEVEL_ALL, batches: [batch] });
  return new Promise<string>((resolve) => {
    call.on('data', ({ results }: ProduceResponse) => {
      for (const { error } of results) resolve(error?.code ?? 'ok');
    });
    call.on('error', () => {});
    call.on('status', (status: StatusObject) => resolve(wordOf(status)));
  }).finally(() => call.cancel());
}

function fetchPart(client: Client, topicId: Uint8Array, metadata: Metadata): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = LogServiceService.fetch;
  const call = client.makeBidiStreamRequest<FetchRequest, FetchResponse>(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
  );
  const place = { topicId, partition: 0, offset: 0, leaderEpoch: 0 };
  const subscription = { ...place, allowFollower: false, inSyncOnly: false };
  call.write({ subscribe: [subscription], unsubscribe: [], creditBytes: 1_000_000 });
  return new Promise<string>((resolve) => {
    call.on('data', ({ partitions }: FetchResponse) => {
      for (const { error } of partitions) resolve(error?.code ?? 'ok');
    });
    call.on('error', () => {});
    call.on('status', (status: StatusObject) => resolve(wordOf(status)));
  }).finally(() => call.cancel());
}

function memberOf(
  client: Client,
  open: Partial<ConsumeOpen>,
  then: ConsumeRequest['message'],
  metadata: Metadata,
): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = ConsumeServiceService.consume;
  const call = client.makeBidiStreamRequest<ConsumeRequest, ConsumeResponse>(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
  );
  const usual = ConsumeOpen.decode(new Uint8Array(0));
  const value = { ...usual, creditBytes: 1_000, ...open };
  call.write({ message: { $case: 'open', value } });
  return new Promise<string>((resolve) => {
    call.on('data', ({ message }: ConsumeResponse) => {
      if (message?.$case === 'joined' && then === undefined) resolve('ok');
      if (message?.$case === 'joined' && then !== undefined) call.write({ message: then });
      if (message?.$case !== 'acknowledged') return;
      const [outcome] = [...message.value.cursors, ...message.value.records];
      resolve(outcome?.error?.code ?? 'ok');
    });
    call.on('error', () => {});
    call.on('status', (status: StatusObject) => resolve(wordOf(status)));
  }).finally(() => call.cancel());
}
