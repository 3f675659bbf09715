/**
 * Three brokers that know their callers by an issuer's tokens: what is handed on between them is
 * done for whoever asked, and judged again; the issuer changes its key; a record of who did what
 * stands in the log, and no token.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityUri } from '../../base/identity.ts';
import { setPrincipal } from '../../broker/messages/principal.ts';
import { connect } from '../../client/index.ts';
import { newCertificate } from '../../process/certificates.ts';
import { brokerCertificate } from '../../local/secure.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { AckLevel, AppendRecord, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';
import { systemClock } from '../../process/system-clock.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { authority, CertificateFiles } from './harness/certificates.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt, dial } from './harness/direct.ts';
import { when } from './harness/wait.ts';

const BROKERS = [1, 2, 3];
const CALL_MS = 10_000;
/** More than a broker writes here. */
const LOG_LINES = 10_000;
const ISSUER = 'https://kubernetes.default.svc';
const ALICE = 'system:serviceaccount:pay:api';
const BOB = 'system:serviceaccount:other:api';
const ROOT = 'system:serviceaccount:ops:root';
/** An administrator by the options of the first broker alone, and nobody to the others. */
const CAROL = 'system:serviceaccount:ops:carol';
/** By so much a token is believed after its end. */
const LEEWAY_S = 60;
/** What is left of it to a stream here. */
const LEFT_S = 8;
const NOTHING = new Uint8Array(0);

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

describe('brokers that know their callers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-access-'));
  const clusterId = randomUUID();
  const signer = authority('access');
  const files = new Map(BROKERS.map((id) => [id, new CertificateFiles(folder, `broker-${id}`)]));
  const tokens: string[] = [];
  let served = '';
  let issuer: Server;
  let pair: Pair;
  let kid = 'first';
  let cluster: TestCluster;

  async function newKey(name: string): Promise<void> {
    [pair, kid] = [await generateKeyPair('ES256'), name];
    served = JSON.stringify({
      keys: [{ ...(await exportJWK(pair.publicKey)), kid, alg: 'ES256' }],
    });
  }

  async function tokenOf(subject: string, endS?: number): Promise<string> {
    const jwt = new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid }).setSubject(subject);
    const terms = jwt
      .setIssuer(ISSUER)
      .setAudience(clusterId)
      .setExpirationTime(endS ?? '10m');
    const token = await terms.sign(pair.privateKey);
    tokens.push(token);
    return token;
  }

  /** Shows a token to whoever has a certificate of the authority. */
  function showing(token: string): ChannelCredentials {
    const context = createSecureContext({ ca: signer.cert });
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    const shown = credentials.createFromMetadataGenerator((_, answer) => answer(null, metadata));
    return tlsChannelCredentials({ context: () => context }).compose(shown);
  }

  beforeAll(async () => {
    await newKey('first');
    issuer = createServer((_, response) => response.end(served));
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    const { port } = issuer.address() as AddressInfo;
    for (const [id, each] of files) {
      each.write(brokerCertificate(signer, clusterId, id));
      each.trust(signer);
    }
    cluster = await TestCluster.start({
      clusterId,
      credentials: showing(await tokenOf(ROOT)),
      argsOf: (id) => [
        ...(files.get(id)?.args ?? []),
        // The audience is the cluster's id. Keys come from this machine, in plaintext.
        ...['--auth', 'oidc', '--auth-oidc-issuer', ISSUER],
        ...['--auth-administrators', id === BROKERS[0] ? `${ROOT};${CAROL}` : ROOT],
        ...['--auth-oidc-jwks', `http://127.0.0.1:${port}/keys`, '--auth-plaintext', 'yes'],
      ],
    });
    await cluster.createTopic({ partitions: 3, replicationFactor: 3 });
  });
  afterAll(async () => {
    await cluster.close();
    issuer.closeAllConnections();
    issuer.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Records to every partition, by one broker: most are handed on. */
  function appendAt(
    address: string,
    topic: string,
    token: string,
  ): Promise<(string | undefined)[]> {
    const records = [0, 1, 2].map((partition) => ({
      ...AppendRecord.decode(NOTHING),
      partition,
      value: Buffer.from('x'),
    }));
    const request = { topic, records, acks: AckLevel.ACK_LEVEL_ALL, condition: undefined };
    return callAt(address, LogServiceService.append, request, CALL_MS, showing(token)).then(
      ({ results }) => results.map(({ error }) => error?.code),
      (error: unknown) => [(error as { code: string }).code],
    );
  }

  /** The same by each broker. */
  async function appendBy(topic: string, token: string): Promise<(string | undefined)[]> {
    const calls = cluster.brokers.map(({ address }) => appendAt(address, topic, token));
    return (await Promise.all(calls)).flat();
  }

  it('hand on what callers ask, and refuse what they may not', async () => {
    const [topic] = await cluster.admin.listTopics();
    const { name } = topic!;
    const [alice, bob] = [await tokenOf(ALICE), await tokenOf(BOB)];
    expect(await appendBy(name, alice)).toEqual(BROKERS.map(() => 'PERMISSION_DENIED'));
    await cluster.admin.grantAccess({
      principal: 'system:serviceaccount:pay:*',
      operations: ['append', 'read'],
      resource: `topic:${name}`,
    });
    await cluster.wait('the rule to be known everywhere', async () =>
      when((await appendBy(name, alice)).every((code) => code === undefined)),
    );
    expect(await appendBy(name, bob)).toEqual(BROKERS.map(() => 'PERMISSION_DENIED'));
    for (const { address } of cluster.brokers) {
      const start = { point: { $case: 'latest', value: true } } as const;
      const { offsets } = await callAt(
        address,
        LogServiceService.listOffsets,
        { topic: name, partitions: [], start },
        CALL_MS,
        showing(alice),
      );
      expect(offsets.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
      expect(await countOf(address, name, alice)).toBeGreaterThanOrEqual(9);
    }
    // What the controller decides is asked of a broker that is none.
    const reader = connect({ servers: cluster.servers, credentials: showing(alice) });
    const refused = reader.admin().deleteTopic(name);
    await expect(refused).rejects.toMatchObject({ code: 'PERMISSION_DENIED', effect: 'none' });
    await reader.close();
  });

  /** Records that a plain Read at this broker gives, most of them from others. */
  function countOf(address: string, topic: string, token: string): Promise<number> {
    const client = dial(address, showing(token));
    const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
    const request = { topic, partitions: [], start: undefined, cursors: [], maxRecords: 0 };
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
      ...request,
      follow: false,
    });
    return new Promise<number>((resolve, reject) => {
      let count = 0;
      call.on('data', ({ records }: { records: readonly unknown[] }) => {
        count += records.length;
      });
      call.on('error', reject);
      call.on('end', () => resolve(count));
    }).finally(() => client.close());
  }

  it('believe brokers alone whom they speak for', async () => {
    const secure = (uri: string) => {
      const { cert, key } = newCertificate(signer, { commonName: 'x', names: [uri] });
      const context = createSecureContext({ ca: signer.cert, cert, key });
      return tlsChannelCredentials({ context: () => context, check: () => undefined });
    };
    const ask = async (uri: string, principal: string): Promise<string> => {
      const client = dial(cluster.broker(1).internalAddress, secure(uri));
      const metadata = setPrincipal(new Metadata(), principal);
      const options = { deadlineMs: CALL_MS, metadata, clock: systemClock };
      try {
        await callUnary(client, AdminServiceService.listAccess, {}, options);
        return 'ok';
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        client.close();
      }
    };
    const operator = identityUri({ kind: 'operator', clusterId });
    const broker = identityUri({ kind: 'broker', clusterId, brokerId: 2 });
    expect(await ask(operator, '')).toBe('ok');
    expect(await ask(operator, ROOT)).toBe('REFUSED');
    expect(await ask(broker, ROOT)).toBe('ok');
    expect(await ask(broker, ALICE)).toBe('PERMISSION_DENIED');
  });

  it('are judged by the leader, whatever the broker says that hands a call on', async () => {
    const [{ name, partitions } = { name: '', partitions: [] }] = await cluster.admin.listTopics();
    const carol = await tokenOf(CAROL);
    const { address } = cluster.broker(1);
    const own = partitions.filter(({ leader }) => leader === 1).length;
    expect(own).toBeLessThan(partitions.length);
    const fates = await appendAt(address, name, carol);
    // To the first broker she may do everything. What it leads, it does.
    expect(fates).toEqual(
      partitions.map(({ leader }) => (leader === 1 ? undefined : 'PERMISSION_DENIED')),
    );
    await expect(countOf(address, name, carol)).rejects.toSatisfy(
      (error) => errorFromStatus(error as never).code === 'PERMISSION_DENIED',
    );
    const { offsets } = await callAt(
      address,
      LogServiceService.listOffsets,
      { topic: name, partitions: [], start: { point: { $case: 'latest', value: true } } },
      CALL_MS,
      showing(carol),
    );
    const denied = offsets.filter(({ error }) => error?.code === 'PERMISSION_DENIED');
    expect(denied).toHaveLength(partitions.length - own);
  });

  it('end a stream with the token by which it was let in', async () => {
    const endS = Math.floor(Date.now() / 1_000) - LEEWAY_S + LEFT_S;
    const client = dial(cluster.broker(2).address, showing(await tokenOf(ALICE, endS)));
    const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const ended = new Promise<unknown>((resolve) => {
      call.on('error', (error) => resolve(errorFromStatus(error as never)));
    });
    // It was let in: a stream says its window.
    await new Promise((resolve) => call.once('data', resolve));
    expect(await ended).toMatchObject({ code: 'UNAUTHENTICATED', effect: 'unknown' });
    client.close();
  });

  it('follow their issuer to another key', async () => {
    const [{ name } = { name: '' }] = await cluster.admin.listTopics();
    await newKey('second');
    const alice = await tokenOf(ALICE);
    await cluster.wait('the new key to be known everywhere', async () =>
      when((await appendBy(name, alice)).every((code) => code === undefined)),
    );
  });

  it('tell who was refused, and no token', () => {
    const logs = cluster.logs(LOG_LINES);
    expect(logs).toContain('"access-denied"');
    expect(logs).toContain(`"principal":"${ALICE}"`);
    expect(logs).toMatch(/"admin-call"|"msg":"admin-call"/);
    for (const token of tokens) expect(logs).not.toContain(token.split('.')[2]);
  });
});
