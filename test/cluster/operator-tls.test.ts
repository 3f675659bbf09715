/**
 * Real brokers with the certificates that the operator decides on and issues, laid out as a kubelet
 * lays them out: they form, take renewed certificates and another authority under load, and so do
 * their clients; the operator's own connections reach them and nobody in their place.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createSecureContext } from 'node:tls';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  certificatesSecretName,
  NEW_AUTHORITY_ANNOTATION,
  trustSecretName,
} from '../../operator/api/names.ts';
import { keepCertificates } from '../../operator/decide/certificates.ts';
import { leafFiles, leafName, TRUST_FILE } from '../../operator/objects/secret-files.ts';
import { BrokerAdmin, type PeerTls } from '../../operator/observe/broker-admin.ts';
import { tlsArguments } from '../../local/secure.ts';
import { systemClock } from '../../process/system-clock.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { CLUSTER_ID, observation } from '../fixtures/operator/observations.ts';
import { SecretStore } from '../fixtures/operator/secret-store.ts';
import { TestCluster } from './harness/cluster.ts';
import { underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const NAME = 'tm';
const CERTIFICATES = certificatesSecretName(NAME);
const TRUST = trustSecretName(NAME);
const SPEC = { clientTls: { mode: 'Enabled' } };
const BROKERS = [1, 2, 3];
/** Ids begin at 0 on Kubernetes: one certificate is nobody's. */
const REPLICAS = 4;
const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

/** A directory as a kubelet makes one of a Secret: all files change at once. */
class MountedSecret {
  readonly folder: string;
  #version = 0;

  constructor(parent: string, name: string) {
    this.folder = join(parent, name);
    mkdirSync(this.folder);
  }

  update(texts: Readonly<Record<string, string>>): void {
    this.#version += 1;
    const version = `..v${this.#version}`;
    mkdirSync(join(this.folder, version));
    for (const [file, text] of Object.entries(texts))
      writeFileSync(join(this.folder, version, file), text);
    symlinkSync(version, join(this.folder, '..new'));
    renameSync(join(this.folder, '..new'), join(this.folder, '..data'));
    if (this.#version > 1) return;
    for (const file of Object.keys(texts))
      symlinkSync(join('..data', file), join(this.folder, file));
  }
}

describe('brokers with certificates of the operator', () => {
  const parent = mkdtempSync(join(tmpdir(), 'tidemark-operator-tls-'));
  const mounts = new Map(BROKERS.map((id) => [id, new MountedSecret(parent, `pod-${id}`)]));
  const { cluster: resource } = observation({ spec: SPEC });
  const store = new SecretStore(resource, CLUSTER_ID);
  const startMs = Date.now();
  let authority = '';
  let cluster: TestCluster;
  const admin = new BrokerAdmin(systemClock);

  /** What the operator does by this time, one pass after another, and the kubelets after it. */
  async function passes(nowMs: number, annotations: Record<string, string> = {}): Promise<void> {
    for (;;) {
      const { view } = await store.read();
      const isNew = authority === '' && view.certificates === null;
      const seen = observation({
        replicas: REPLICAS,
        spec: SPEC,
        annotations,
        status: isNew ? {} : { clusterId: CLUSTER_ID, internalTls: { mode: 'Enabled', authority } },
        change: ({ workload, pods }) => ({
          tls: view,
          workload: isNew ? null : workload,
          pods: isNew ? [] : pods,
        }),
      });
      const { actions, refusal } = keepCertificates(seen, nowMs);
      expect(refusal).toBeNull();
      if (actions.length === 0) break;
      for (const action of actions)
        if (
          action.kind === 'apply-authority' ||
          action.kind === 'apply-certificates' ||
          action.kind === 'apply-trust'
        )
          await store.perform(action);
    }
    authority = (await store.read()).view.authority?.current?.id ?? '';
    const files = store.files(CERTIFICATES);
    const texts = Object.fromEntries(files.map((file) => [file, store.text(CERTIFICATES, file)]));
    for (const mount of mounts.values()) mount.update(texts);
  }

  function argsOf(brokerId: number): string[] {
    const folder = mounts.get(brokerId)?.folder ?? '';
    const { cert, key } = leafFiles(leafName(NAME, brokerId));
    const ca = join(folder, TRUST_FILE);
    return tlsArguments({ cert: join(folder, cert), key: join(folder, key), ca });
  }

  beforeAll(async () => {
    await passes(startMs - 61 * DAY_MS);
    // Clients trust what their Secret says whenever they connect, and look at names.
    const context = () => createSecureContext({ ca: store.text(TRUST, TRUST_FILE) });
    const credentials = tlsChannelCredentials({ context });
    cluster = await TestCluster.start({ clusterId: CLUSTER_ID, argsOf, credentials });
  });
  afterAll(async () => {
    admin.close();
    await cluster.close();
    rmSync(parent, { recursive: true, force: true });
  });

  async function ask(tls: PeerTls | null): Promise<unknown> {
    const { internalAddress } = cluster.broker(1);
    admin.dialWith(internalAddress, tls);
    const options = { timeoutMs: 3_000, signal: new AbortController().signal };
    return admin.call(
      internalAddress,
      AdminServiceService.describeBroker,
      { brokerId: undefined },
      options,
    );
  }

  async function asOperator(brokerId = 1): Promise<PeerTls> {
    const { own } = await store.read();
    if (own === null) throw new Error('the operator has no certificate');
    return { clusterId: CLUSTER_ID, brokerId, material: own };
  }

  const loads = (): number[] =>
    cluster.brokers.map((broker) => broker.logTail(10_000).split('"tls-loaded"').length - 1);

  async function untilLoaded(change: () => Promise<void>): Promise<void> {
    const before = loads();
    await change();
    await cluster.wait('changed files to be in use', (note) => {
      const now = loads();
      note(now);
      // On one listener, where authorities alone have changed.
      return when(now.every((count, index) => count > (before[index] ?? 0)));
    });
  }

  it('form, and answer the operator', async () => {
    await expect(ask(await asOperator())).resolves.toMatchObject({ brokerId: 1 });
  });

  it('are not taken for one another, and take nobody in plaintext', async () => {
    await expect(ask(await asOperator(2))).rejects.toThrow(/must be of broker 2/);
    await expect(ask(null)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    const stranger = new SecretStore(resource, CLUSTER_ID);
    const base = { atMs: startMs, resourceVersion: null };
    await stranger.perform({ kind: 'apply-authority', change: 'make', ...base });
    await stranger.perform({
      ...base,
      kind: 'apply-certificates',
      clusterId: CLUSTER_ID,
      issue: [null],
      keep: [],
    });
    const { own } = await stranger.read();
    await expect(ask({ clusterId: CLUSTER_ID, brokerId: 1, material: own! })).rejects.toMatchObject(
      { code: 'UNREACHABLE' },
    );
    await expect(ask(await asOperator())).resolves.toMatchObject({ brokerId: 1 });
  });

  it('take renewed certificates and another authority, and no append fails', async () => {
    const first = authority;
    const asked = { [NEW_AUTHORITY_ANNOTATION]: first };
    /** Connections begin anew, with what is there now. */
    async function reconnect(brokerId: number): Promise<void> {
      await cluster.broker(brokerId).kill();
      await cluster.restart(brokerId);
    }
    const { verdict } = await underLoad(cluster, {}, async ({ progress }) => {
      // Two thirds are over.
      await untilLoaded(() => passes(startMs - 40 * MINUTE_MS));
      await reconnect(1);
      await progress();
      // Another is trusted as well, signs, and is trusted alone.
      await untilLoaded(() => passes(startMs - 39 * MINUTE_MS, asked));
      await reconnect(2);
      await progress();
      expect(authority).toBe(first);
      await untilLoaded(() => passes(startMs - 28 * MINUTE_MS, asked));
      expect(authority).not.toBe(first);
      await reconnect(3);
      await progress();
      await untilLoaded(() => passes(startMs - 17 * MINUTE_MS, asked));
      await reconnect(1);
      await progress();
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    const { view } = await store.read();
    expect(view.certificates?.trusted).toEqual([authority]);
    await expect(ask(await asOperator())).resolves.toMatchObject({ brokerId: 1 });
  });

  it('take those that were issued anew after their Secret was deleted', async () => {
    store.objects.delete(CERTIFICATES);
    await untilLoaded(() => passes(startMs));
    await cluster.broker(2).kill();
    await cluster.restart(2);
    await expect(ask(await asOperator())).resolves.toMatchObject({ brokerId: 1 });
  });
});
