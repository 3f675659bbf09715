/**
 * Brokers with TLS on both listeners: who is let in, whom a certificate lets speak for whom, and
 * certificates and authorities that are replaced while records flow.
 */
import { brokerCertificate } from '../../local/secure.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityUri } from '../../base/identity.ts';
import { newCertificate } from '../../process/certificates.ts';
import { connect } from '../../client/index.ts';
import { exchangeToMessage } from '../../broker/messages/raft-codec.ts';
import {
  DecideRequest,
  ExchangeRequest,
  QuorumServiceService,
  Register,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import {
  ReplicaHello,
  ReplicateRequest,
  ReplicationServiceService,
} from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { AdminServiceService, RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { type Authority, authority, CertificateFiles } from './harness/certificates.ts';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt, dial } from './harness/direct.ts';
import { underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const CALL_MS = 2_000;
const NOTHING = new Uint8Array(0);
const BROKERS = [1, 2, 3];

function trusting(options: SecureContextOptions): ChannelCredentials {
  const context = createSecureContext(options);
  // Whom it dials by which name is not what these tests are about.
  return tlsChannelCredentials({ context: () => context, check: () => undefined });
}

describe('brokers with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-tls-'));
  const clusterId = randomUUID();
  const [first, second, stranger] = ['first', 'second', 'stranger'].map(authority) as [
    Authority,
    Authority,
    Authority,
  ];
  const files = new Map(BROKERS.map((id) => [id, new CertificateFiles(folder, `broker-${id}`)]));
  let cluster: TestCluster;

  beforeAll(async () => {
    for (const [id, each] of files) {
      each.write(brokerCertificate(first, clusterId, id));
      each.trust(first);
    }
    cluster = await TestCluster.start({
      clusterId,
      credentials: trusting({ ca: [first.cert, second.cert] }),
      argsOf: (id) => files.get(id)?.args ?? [],
    });
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Whoever holds such a certificate, as a client of brokers. */
  function shown(uri: string, signer = first): ChannelCredentials {
    const { cert, key } = newCertificate(signer, { commonName: 'somebody', names: [uri] });
    return trusting({ ca: first.cert, cert, key });
  }

  const asBroker = (brokerId: number): ChannelCredentials =>
    shown(identityUri({ kind: 'broker', clusterId, brokerId }));
  const asOperator = (): ChannelCredentials => shown(identityUri({ kind: 'operator', clusterId }));

  function identify(secure: ChannelCredentials): Promise<unknown> {
    const { internalAddress } = cluster.broker(1);
    return callAt(internalAddress, QuorumServiceService.identify, {}, CALL_MS, secure);
  }

  /** How a stream ends whose first message is this. */
  function stream(
    secure: ChannelCredentials,
    { path }: { readonly path: string },
    bytes: Uint8Array,
  ): Promise<string> {
    const client = dial(cluster.broker(1).internalAddress, secure);
    const asIs = (given: Buffer): Buffer => given;
    return new Promise<string>((resolve) => {
      const call = client.makeBidiStreamRequest(path, asIs, asIs);
      call.on('data', () => undefined);
      call.on('error', () => undefined);
      call.on('status', ({ details }) => resolve(details));
      call.write(Buffer.from(bytes));
    }).finally(() => client.close());
  }

  it('let clients in that trust their authority, and say why others cannot come in', async () => {
    await expect(cluster.describe()).resolves.toMatchObject({ clusterId });
    const { servers } = cluster;
    const foreign = trusting({ ca: stranger.cert });
    for (const [given, reason] of [
      [{}, /without TLS\?/],
      [{ credentials: foreign }, /certificate/],
    ] as const) {
      await using outside = connect({ servers, ...given });
      await expect(outside.admin().describeCluster()).rejects.toThrow(reason);
    }
  });

  it('are reached by library and command with the files of their authority', async () => {
    const { servers } = cluster;
    await using inside = connect({ servers, tls: { ca: first.cert } });
    await expect(inside.admin().describeCluster()).resolves.toMatchObject({ clusterId });
    await using misnamed = connect({ servers, tls: { ca: first.cert, serverName: 'elsewhere' } });
    await expect(misnamed.admin().describeCluster()).rejects.toThrow(/elsewhere/);
    const { ca = '' } = files.get(1) ?? {};
    const args = ['cluster', 'describe', '--server', servers.join(), '--tls-ca', ca];
    const { code, stdout } = await tidemark(args).result;
    expect({ code, isShown: stdout.includes(clusterId) }).toEqual({ code: 0, isShown: true });
  });

  it('let nobody in at their own listener but brokers and the operator of the cluster', async () => {
    await expect(identify(asBroker(2))).resolves.toMatchObject({ brokerId: 1, clusterId });
    await expect(identify(asOperator())).resolves.toMatchObject({ brokerId: 1 });
    const other = identityUri({ kind: 'broker', clusterId: randomUUID(), brokerId: 2 });
    await expect(identify(shown(other))).rejects.toThrow(/The certificate is of cluster "/);
    await expect(identify(shown('localhost'))).rejects.toThrow(/names no broker or operator/);
    const bare = trusting({ ca: first.cert });
    for (const secure of [shown(other, stranger), bare, credentials.createInsecure()])
      await expect(identify(secure)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('let a broker speak for itself alone', async () => {
    const from = { brokerId: 3, directoryId: randomUUID() };
    const registration = {
      ...Register.decode(NOTHING),
      ...{ clusterId, ...from, restartClass: RestartClass.RESTART_CLASS_NEW },
      ...{ host: 'elsewhere', port: 1, featureLevelMax: 1 },
    };
    const decide = callAt(
      cluster.broker(1).internalAddress,
      QuorumServiceService.decide,
      { ...DecideRequest.decode(NOTHING), request: { $case: 'register', value: registration } },
      CALL_MS,
      asBroker(2),
    );
    const refusal = /cannot speak for broker 3/;
    expect(JSON.stringify(await decide)).toMatch(refusal);
    const exchange = exchangeToMessage({
      from,
      to: { brokerId: 1, directoryId: randomUUID() },
      message: {
        kind: 'follow',
        ...{ term: 1, incarnation: 1, toIncarnation: 0, lastIndex: 1, lastTerm: 1 },
      },
    });
    const { exchange: raft } = QuorumServiceService;
    const bytes = ExchangeRequest.encode(exchange).finish();
    expect(await stream(asBroker(2), raft, bytes)).toMatch(refusal);
    const hello = { ...ReplicaHello.decode(NOTHING), clusterId, brokerId: 3 };
    const replicate = ReplicateRequest.encode({ ...ReplicateRequest.decode(NOTHING), hello });
    expect(
      await stream(asBroker(2), ReplicationServiceService.replicate, replicate.finish()),
    ).toMatch(refusal);
  });

  it('let the operator administer, and neither decide nor append', async () => {
    const at = cluster.broker(1).internalAddress;
    const { describeCluster } = AdminServiceService;
    await expect(callAt(at, describeCluster, {}, CALL_MS, asOperator())).resolves.toBeDefined();
    for (const path of [
      '/tidemark.internal.v1.QuorumService/Exchange',
      '/tidemark.v1.LogService/Produce',
    ])
      expect(await stream(asOperator(), { path }, NOTHING)).toMatch(/The operator may not call/);
  });

  it('take new certificates and another authority while records flow', async () => {
    const loads = (): number[] =>
      cluster.brokers.map((broker) => broker.logTail(10_000).split('"tls-loaded"').length - 1);
    /** Files that so many listeners of each broker read are others, and in use. */
    async function change(listeners: number, write: () => void): Promise<void> {
      const before = loads();
      write();
      await cluster.wait('changed files to be in use', (note) => {
        const now = loads();
        note(now);
        return when(now.every((count, index) => count >= (before[index] ?? 0) + listeners));
      });
    }
    /** Connections begin anew, with what is there now. */
    async function reconnect(brokerId: number): Promise<void> {
      await cluster.broker(brokerId).kill();
      await cluster.restart(brokerId);
    }
    const { verdict } = await underLoad(cluster, {}, async ({ progress }) => {
      // Both authorities first, then certificates of the new one, then the new one alone.
      await change(1, () => files.forEach((each) => each.trust(first, second)));
      await change(2, () =>
        files.forEach((each, id) => each.write(brokerCertificate(second, clusterId, id))),
      );
      await progress();
      await reconnect(1);
      await progress();
      await change(1, () => files.forEach((each) => each.trust(second)));
      await reconnect(2);
      await progress();
    });
    await expect(identify(asBroker(2))).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('keep what they have where changed files do not fit together', async () => {
    const broken = files.get(3);
    broken?.write({ ...brokerCertificate(second, clusterId, 3), key: 'no key' });
    await cluster.wait('the files to be refused', () =>
      when(cluster.broker(3).logTail(10_000).includes('"tls-refused"')),
    );
    await expect(cluster.describe()).resolves.toMatchObject({ clusterId });
    broken?.write(brokerCertificate(second, clusterId, 3));
  });

  it('do not start with the certificate of another', async () => {
    const impostor = cluster.broker(2);
    await impostor.stop();
    impostor.options = files.get(3)?.args ?? [];
    impostor.start();
    await cluster.wait('it to end', () => when(!impostor.isRunning));
    expect(impostor.logTail(20)).toContain(`must name tidemark://${clusterId}/broker/2`);
    impostor.options = [];
    await cluster.restart(2);
  });
});
