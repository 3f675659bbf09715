/** Certificates of brokers by cert-manager, of which there is a stand-in here. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Issuer,
  newIssuer,
  secretOfCertificate,
} from '../../fixtures/operator/fake-issuer.ts';
import type { KubeObject as Certificate } from '../../../operator/api/kinds.ts';
import { when } from '../../cluster/harness/wait.ts';
import { type Kube, type KubeObject, useKube } from '../harness.ts';
import { clientPod } from '../objects.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';

const TYPE = 'certificates.cert-manager.io';
const LOOK_MS = 500;
const CERTIFICATES = 'log-brokers-tls';
const LOADED = '"tls-loaded"';

/** As cert-manager defines it, as far as the operator can tell. */
const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: TYPE },
  spec: {
    group: 'cert-manager.io',
    scope: 'Namespaced',
    names: { kind: 'Certificate', plural: 'certificates', singular: 'certificate' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ],
  },
};

/** Signs what is asked in one namespace, again and again. */
class FakeIssuer {
  readonly #kube: Kube;
  readonly #issuer: Issuer = newIssuer('fake', Date.now());
  #round = 1;
  readonly #signed = new Map<string, number>();
  #isOver = false;
  #loop: Promise<void> | undefined;

  constructor(kube: Kube) {
    this.#kube = kube;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#loop;
  }

  /** Everything anew, by the same authority. */
  renew(): void {
    this.#round += 1;
  }

  get cert(): string {
    return this.#issuer.cert;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const found = (await this.#kube.list<KubeObject>(TYPE)) as unknown as Certificate[];
      for (const each of found) await this.#sign(each);
      await sleep(LOOK_MS);
    }
  }

  async #sign(asked: Certificate): Promise<void> {
    const { name } = asked.metadata;
    if (this.#signed.get(name) === this.#round) return;
    await this.#kube.apply(secretOfCertificate(this.#issuer, asked, Date.now()));
    const condition = { type: 'Ready', status: 'True', reason: 'Ready', message: 'up to date' };
    const status = { conditions: [condition], revision: this.#round };
    const patch = JSON.stringify({ status });
    await this.#kube.kubectl(
      ...['patch', TYPE, name, '--subresource=status', '--type=merge', `--patch=${patch}`],
    );
    this.#signed.set(name, this.#round);
  }
}

describe('a LogCluster that names an issuer', () => {
  let issuer: FakeIssuer | undefined;
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await kube.installChart('tidemark');
    await kube.apply({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: { name: cluster.name },
      spec: {
        replicas: 3,
        minInSyncReplicas: 2,
        storage: { size: '1Gi' },
        internalTls: { issuerRef: { name: 'fake' } },
        clientTls: { mode: 'Enabled' },
      },
    });
    return { kube, cluster };
  });
  afterAll(async () => {
    await issuer?.stop();
    if (issuer !== undefined) await scene().kube.kubectl('delete', 'crd', TYPE, '--wait=false');
  });

  /** How often each broker has taken certificates of its listener for brokers. */
  async function loads(): Promise<number[]> {
    const { kube, cluster } = scene();
    const logs = await Promise.all(
      [0, 1, 2].map((id) => kube.kubectl('logs', cluster.podName(id), '--tail=-1')),
    );
    return logs.map((log) => log.split(LOADED).length - 1);
  }

  it('says by name that there is no cert-manager, and makes nothing', async () => {
    const { kube, cluster } = scene();
    const { conditions = [] } = await cluster.waitStatus('that to be said', (status) =>
      (status.conditions ?? []).some(({ reason }) => reason === 'IssuerUnavailable'),
    );
    expect(conditions.find(({ type }) => type === 'Ready')?.message).toContain(TYPE);
    expect(await cluster.pods()).toEqual([]);
    expect(await kube.kubectl('get', 'secrets', '-o', 'name')).not.toContain('brokers');
  });

  it('forms with what that signs, once there is one', async () => {
    const { kube, cluster } = scene();
    await kube.apply(DEFINITION);
    await kube.kubectl('wait', '--for=condition=Established', `crd/${TYPE}`, '--timeout=60s');
    issuer = new FakeIssuer(kube);
    issuer.start();
    await cluster.waitReady();
    const { data } = await kube.get<KubeObject & { data: Record<string, string> }>(
      'secret',
      CERTIFICATES,
    );
    const text = Buffer.from(data['ca.crt'] ?? '', 'base64').toString('utf8');
    expect(text.trim()).toBe(issuer.cert.trim());
    expect(await kube.kubectl('get', 'secrets', '-o', 'name')).not.toContain('log-brokers-ca\n');
    expect((await cluster.resource()).status).toMatchObject({ internalTls: { mode: 'Enabled' } });
  });

  it('takes what is renewed under load; no pod moves and no append fails', async () => {
    const { kube, cluster } = scene();
    const pods = await cluster.podUids();
    const before = await loads();
    await kube.apply({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogTopic',
      metadata: { name: 'renewed' },
      spec: { clusterName: cluster.name, partitions: 3 },
    });
    await kube.kubectl('wait', '--for=condition=Ready', 'logtopic/renewed', '--timeout=60s');
    const load = await kube.startLoad({
      topic: 'renewed',
      partitions: 3,
      server: cluster.server,
      dressed: (pod) => clientPod(pod, cluster.name),
    });
    issuer?.renew();
    await kube.wait(
      'brokers to take new certificates on both listeners',
      async (note) => {
        const now = await loads();
        note(now);
        return when(now.every((count, index) => count >= (before[index] ?? 0) + 2));
      },
      240_000,
    );
    await load.progress();
    expect(await load.stop()).toMatchObject(UNHARMED);
    expect(await cluster.podUids()).toEqual(pods);
    await cluster.waitReady();
  });

  it('grows with them', async () => {
    const { cluster } = scene();
    await cluster.scale(4);
    await cluster.waitReady();
    expect(await cluster.pods()).toHaveLength(4);
  });
});
