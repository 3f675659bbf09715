/**
 * Brokers that run in plaintext and come to speak TLS among each other, one restart after another
 * and under load; and the way back.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityUri } from '../../base/identity.ts';
import { brokerCertificate } from '../../local/secure.ts';
import { newCertificate } from '../../process/certificates.ts';
import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { authority, CertificateFiles } from './harness/certificates.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt } from './harness/direct.ts';
import { underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const CALL_MS = 2_000;
const BROKERS = [1, 2, 3];
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** Neither TLS nor HTTP/2, or only at first. */
const STRANGE = [
  '\u0000\u0001 neither of both',
  'GET / HTTP/1.1\r\n\r\n',
  `${PREFACE}${'\u00ff'.repeat(100)}`,
  '\u0016\u0003\u0001\u0000\u0005hello and no more than that',
  `\u0016${'\u00ff'.repeat(100)}`,
];

describe('brokers that go from plaintext to TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-to-tls-'));
  const clusterId = randomUUID();
  const own = authority('own');
  const files = new Map(BROKERS.map((id) => [id, new CertificateFiles(folder, `broker-${id}`)]));
  let cluster: TestCluster;

  beforeAll(async () => {
    for (const [id, each] of files) {
      each.write(brokerCertificate(own, clusterId, id));
      each.trust(own);
    }
    cluster = await TestCluster.start({ clusterId });
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function shown(uri: string): ChannelCredentials {
    const { cert, key } = newCertificate(own, { commonName: 'somebody', names: [uri] });
    const context = createSecureContext({ ca: own.cert, cert, key });
    return tlsChannelCredentials({ context: () => context, check: () => undefined });
  }

  function identify(brokerId: number, secure: ChannelCredentials): Promise<unknown> {
    const { internalAddress } = cluster.broker(brokerId);
    return callAt(internalAddress, QuorumServiceService.identify, {}, CALL_MS, secure);
  }

  /** Restarts all, one after another, each in order and back in every sync set before the next. */
  async function roll(mode: string | null): Promise<void> {
    for (const id of BROKERS) {
      const { cert = '', key = '', ca = '' } = files.get(id) ?? {};
      const given = ['--internal-tls-cert', cert, '--internal-tls-key', key];
      cluster.broker(id).options =
        mode === null ? [] : [...given, '--internal-tls-ca', ca, '--internal-tls-mode', mode];
      await cluster.broker(id).stop();
      await cluster.restart(id);
    }
  }

  const plaintext = credentials.createInsecure();
  const asBroker = shown(identityUri({ kind: 'broker', clusterId, brokerId: 2 }));
  const asNobody = shown('localhost');

  it('take both, dial TLS, take TLS alone, and no append fails', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ progress }) => {
      await roll('allow');
      await progress();
      for (const secure of [plaintext, asBroker])
        await expect(identify(1, secure)).resolves.toMatchObject({ brokerId: 1 });
      // What shows a certificate is judged by it.
      await expect(identify(1, asNobody)).rejects.toThrow(/names no broker or operator/);
      await roll('prefer');
      await progress();
      await expect(identify(1, plaintext)).resolves.toMatchObject({ brokerId: 1 });
      await roll('require');
      await progress();
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    for (const id of BROKERS)
      await expect(identify(id, plaintext)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await expect(identify(1, asBroker)).resolves.toMatchObject({ brokerId: 1 });
  });

  it('go back by the same steps, and no append fails', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ progress }) => {
      await roll('prefer');
      await roll('allow');
      await progress();
      // Whoever says nothing, or neither, holds up nobody.
      const port = Number(cluster.broker(1).internalAddress.split(':')[1]);
      const silent = connectSocket(port, '127.0.0.1');
      for (const text of STRANGE) {
        const strange = connectSocket(port, '127.0.0.1').resume();
        strange.on('error', () => undefined);
        strange.write(text, 'latin1');
        await cluster.wait('the stranger to be closed', () => when(strange.destroyed));
      }
      await expect(identify(1, plaintext)).resolves.toMatchObject({ brokerId: 1 });
      silent.destroy();
      await roll(null);
      await progress();
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
