/** Certificates of an issuer of cert-manager: the operator's own code over real certificates. */
import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { SecretAction } from '../../../../operator/act/certificates.ts';
import type { LogCluster } from '../../../../operator/api/types.ts';
import { keepCertificates } from '../../../../operator/decide/certificates.ts';
import type { Observation, PodView } from '../../../../operator/decide/types.ts';
import { KubeError } from '../../../../operator/kube/kube-error.ts';
import { CertificateReader } from '../../../../operator/observe/certificates.ts';
import { buildCertificate } from '../../../../operator/objects/issued.ts';
import {
  type Issuer,
  isSignedBy,
  newIssuer,
  secretOfCertificate,
} from '../../../fixtures/operator/fake-issuer.ts';
import {
  cluster as clusterOf,
  CLUSTER_ID,
  NOW_MS,
  observation,
  pod,
} from '../../../fixtures/operator/observations.ts';
import { SecretStore } from '../../../fixtures/operator/secret-store.ts';

const DAY_MS = 86_400_000;
const SPREAD_MS = 600_000;
const REF = { name: 'acme', kind: 'Issuer', group: 'cert-manager.io' };
const ISSUED: LogCluster = clusterOf({
  spec: { internalTls: { issuerRef: REF }, clientTls: { mode: 'Enabled' } },
});
const OWN: LogCluster = clusterOf({});
const IDS = [0, 1, 2, null];
const NAMES = ['tm-0', 'tm-1', 'tm-2', 'operator'];

/** Brokers that may have any version of their Secret of the last ten minutes. */
class World {
  nowMs = NOW_MS;
  store: SecretStore;
  cluster: LogCluster;
  issuer: Issuer = newIssuer('first', NOW_MS);
  pods: readonly PodView[] = [0, 1, 2].map((id) => pod(id, { tlsPhase: 'Require' }));
  isNew = true;
  annotations: Record<string, string> = {};
  /** What was refused last. */
  refusal = '';
  readonly events: string[] = [];
  #authority: string | undefined;
  #versions: { readonly atMs: number; readonly texts: ReadonlyMap<string, string> }[] = [];
  readonly #reader = new CertificateReader();

  constructor(cluster: LogCluster) {
    this.cluster = cluster;
    this.store = new SecretStore(cluster, CLUSTER_ID);
  }

  /** Everything that is due now. */
  async settle(): Promise<void> {
    for (let pass = 0; pass < 20; pass += 1) {
      const cluster: LogCluster = {
        ...this.cluster,
        metadata: { ...this.cluster.metadata, annotations: this.annotations },
        status:
          this.#authority === undefined
            ? {}
            : {
                clusterId: CLUSTER_ID,
                internalTls: { mode: 'Enabled', authority: this.#authority },
              },
      };
      const { view } = await this.store.read(this.#reader, cluster);
      const tlsPhases = { given: 'Require', planned: 'Require' } as const;
      const running = this.isNew ? { workload: null, pods: [] } : { pods: this.pods };
      const seen: Observation = { ...observation(), cluster, tls: view, tlsPhases, ...running };
      const step = keepCertificates(seen, this.nowMs);
      this.refusal = step.refusal === null ? '' : `${step.refusal.gate}: ${step.refusal.message}`;
      if (step.actions.length === 0) return;
      this.events.push(...step.events.map(({ note }) => note));
      for (const action of step.actions)
        if (action.kind === 'apply-certificate') this.#ask(action.brokerId);
        else await this.store.perform(action as SecretAction, cluster);
      this.#look();
    }
    throw new Error('it does not come to an end');
  }

  /** cert-manager signs what it was asked for. */
  sign(ids: readonly (number | null)[] = IDS): void {
    for (const id of ids) {
      const asked = buildCertificate(ISSUED, CLUSTER_ID, id, REF);
      this.store.put(secretOfCertificate(this.issuer, asked, this.nowMs));
      this.#ask(id);
    }
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    await this.settle();
  }

  shown(name: string): string {
    return this.store.text('tm-brokers-tls', `${name}.crt`);
  }

  get trusted(): number {
    return this.store.text('tm-brokers-tls', 'ca.crt').split('-----BEGIN').length - 1;
  }

  #ask(brokerId: number | null): void {
    this.store.putOther('Certificate', buildCertificate(ISSUED, CLUSTER_ID, brokerId, REF));
  }

  #look(): void {
    const files = ['ca.crt', ...NAMES.map((name) => `${name}.crt`)];
    const texts = new Map(files.map((file) => [file, this.store.text('tm-brokers-tls', file)]));
    if (texts.get('ca.crt') === '') return;
    const { nowMs: atMs } = this;
    // What was there when the last ten minutes began is there still.
    const from = this.#versions.findLastIndex((each) => each.atMs <= atMs - SPREAD_MS);
    this.#versions = [...this.#versions.slice(Math.max(0, from)), { atMs, texts }];
    const stranger = NAMES.find((name) =>
      this.#versions.some(({ texts: server }) =>
        this.#versions.some(({ texts: client }) => {
          const leaf = client.get(`${name}.crt`) ?? '';
          return leaf !== '' && !isLetIn(leaf, server.get('ca.crt') ?? '');
        }),
      ),
    );
    if (stranger !== undefined)
      throw new Error(`${stranger} is not let in by a broker that has read less, or more`);
    const signer = new X509Certificate(this.shown('tm-0'));
    const trusted = texts.get('ca.crt') ?? '';
    this.#authority = pems(trusted)
      .map((pem) => new X509Certificate(pem))
      .find((each) => signer.verify(each.publicKey))
      ?.fingerprint256.replaceAll(':', '')
      .toLowerCase()
      .slice(0, 32);
  }
}

function pems(text: string): string[] {
  return text.split(/(?=-----BEGIN)/).filter((pem) => pem.trim() !== '');
}

function isLetIn(leaf: string, trusted: string): boolean {
  const certificate = new X509Certificate(leaf);
  return pems(trusted).some((pem) => certificate.verify(new X509Certificate(pem).publicKey));
}

async function formed(): Promise<World> {
  const world = new World(ISSUED);
  await world.settle();
  world.sign();
  await world.settle();
  world.isNew = false;
  await world.settle();
  return world;
}

describe('certificates of an issuer', () => {
  test('are asked for, by name, and waited for', async () => {
    const world = new World(ISSUED);
    await world.settle();
    expect(world.refusal).toBe(
      'CertificatePending: waiting for cert-manager to issue Certificate default/tm-brokers-tls-0: it says nothing',
    );
    world.sign([0, 1, 2]);
    await world.settle();
    expect(world.refusal).toContain('Certificate default/tm-brokers-tls-operator');
    expect(world.store.files('tm-brokers-tls')).toEqual([]);
  });

  test('are asked for with the names that brokers and clients go by', () => {
    const { spec, metadata } = buildCertificate(ISSUED, CLUSTER_ID, 1, REF);
    expect(metadata).toMatchObject({
      name: 'tm-brokers-tls-1',
      ownerReferences: [{ kind: 'LogCluster', controller: true }],
    });
    expect(spec).toMatchObject({
      secretName: 'tm-brokers-tls-1',
      uris: [`tidemark://${CLUSTER_ID}/broker/1`],
      ipAddresses: ['127.0.0.1'],
      usages: ['digital signature', 'server auth', 'client auth'],
      issuerRef: REF,
    });
    expect(spec['dnsNames']).toContain('tm-1.tm-brokers.default.svc');
    expect(spec['dnsNames']).not.toContain('127.0.0.1');
    const operator = buildCertificate(ISSUED, CLUSTER_ID, null, REF).spec;
    expect(operator['uris']).toEqual([`tidemark://${CLUSTER_ID}/operator`]);
    expect(operator['dnsNames']).toBeUndefined();
  });

  test('come into the Secret that brokers read, and clients are told whom to trust', async () => {
    const world = await formed();
    expect(world.refusal).toBe('');
    for (const name of NAMES) expect(isSignedBy(world.issuer, world.shown(name))).toBe(true);
    expect(world.trusted).toBe(1);
    expect(world.store.text('tm-brokers-ca-cert', 'ca.crt')).toBe(
      world.store.text('tm-brokers-tls', 'ca.crt'),
    );
    expect(world.store.files('tm-brokers-ca')).toEqual([]);
    const { view, own } = await world.store.read(new CertificateReader(), ISSUED);
    expect(view.certificates?.leaves.map(({ brokerId }) => brokerId)).toEqual([0, 1, 2, null]);
    expect(own).not.toBeNull();
  });

  test('are renewed at once by the same authority', async () => {
    const world = await formed();
    world.nowMs += 60 * DAY_MS;
    const before = NAMES.map((name) => world.shown(name));
    world.sign([1]);
    await world.settle();
    expect(NAMES.map((name) => world.shown(name) !== before[NAMES.indexOf(name)])).toEqual([
      false,
      true,
      false,
      false,
    ]);
    expect(world.refusal).toBe('');
    expect(world.events.at(-1)).toBe('New 1 certificate in Secret tm-brokers-tls: broker 1');
    await world.pass(20 * DAY_MS);
    expect(world.refusal).toContain('Certificate default/tm-brokers-tls-0');
  });

  test('of another authority are shown once all trust it, and the one before is retired', async () => {
    const world = await formed();
    await world.pass(DAY_MS);
    const before = world.issuer;
    world.issuer = newIssuer('second', world.nowMs);
    world.sign();
    await world.settle();
    expect(world.trusted).toBe(2);
    expect(isSignedBy(before, world.shown('tm-0'))).toBe(true);
    // A broker that is not ready may not have read it.
    world.pods = world.pods.map((each) => ({ ...each, isReady: each.brokerId !== 2 }));
    await world.pass(2 * SPREAD_MS);
    expect(isSignedBy(before, world.shown('tm-0'))).toBe(true);
    world.pods = world.pods.map((each) => ({ ...each, isReady: true }));
    await world.settle();
    for (const name of NAMES) expect(isSignedBy(world.issuer, world.shown(name))).toBe(true);
    expect(world.trusted).toBe(2);
    await world.pass(SPREAD_MS);
    expect(world.trusted).toBe(1);
  });

  test('take the place of those of the operator, and give it back where that is asked', async () => {
    const world = new World(OWN);
    await world.settle();
    world.isNew = false;
    await world.pass(DAY_MS);
    world.cluster = ISSUED;
    await world.settle();
    world.sign();
    await world.settle();
    expect(world.trusted).toBe(2);
    await world.pass(SPREAD_MS);
    expect(isSignedBy(world.issuer, world.shown('tm-0'))).toBe(true);
    await world.pass(SPREAD_MS);
    expect(world.trusted).toBe(1);
    world.cluster = OWN;
    await world.settle();
    expect(world.refusal).toContain('CertificateAuthorityLost');
    const [, id = ''] = /new-certificate-authority: ([0-9a-f]+)/.exec(world.refusal) ?? [];
    world.annotations = { 'tidemark.dev/new-certificate-authority': id };
    await world.settle();
    expect(world.trusted).toBe(2);
    await world.pass(SPREAD_MS);
    expect(isSignedBy(world.issuer, world.shown('tm-0'))).toBe(false);
    await world.pass(SPREAD_MS);
    expect(world.trusted).toBe(1);
  });

  test('are not believed that name another, have no key of theirs, or no authority', async () => {
    const world = await formed();
    const good = world.shown('tm-0');
    world.sign([0]);
    world.store.tamper('tm-brokers-tls-0', { 'tls.crt': world.shown('tm-1') });
    await world.settle();
    world.sign([0]);
    world.store.tamper('tm-brokers-tls-0', { 'ca.crt': '-' });
    await world.pass(80 * DAY_MS);
    expect(world.refusal).toContain('Secret tm-brokers-tls-0 has no ca.crt');
    expect(world.shown('tm-0')).toBe(good);
    const { annotations: _, ...metadata } = world.store.objects.get('tm-brokers-tls-0')!.metadata;
    world.sign([0]);
    world.store.put({ ...world.store.objects.get('tm-brokers-tls-0')!, metadata });
    await world.settle();
    expect(world.shown('tm-0')).toBe(good);
  });

  test.each([
    [404, 'this cluster has no certificates.cert-manager.io (cert-manager.io/v1)'],
    [403, 'the operator may not read certificates.cert-manager.io (chart value rbac.certManager)'],
  ])('cannot be asked for: %i', async (status, message) => {
    const world = await formed();
    const get = (type: { kind: string }, { name }: { name: string }) =>
      type.kind === 'Certificate'
        ? Promise.reject(new KubeError('refused', { status, reason: 'x' }))
        : Promise.resolve(world.store.objects.get(name));
    const of = { cluster: ISSUED, clusterId: CLUSTER_ID, brokers: 3 };
    const seen = await new CertificateReader().read({ get }, of, new AbortController().signal);
    const tlsPhases = { given: 'Require', planned: 'Require' } as const;
    const step = keepCertificates(
      { ...observation(), cluster: ISSUED, tls: seen.view, tlsPhases, pods: world.pods },
      NOW_MS,
    );
    expect(step.actions).toEqual([]);
    expect(step.refusal?.gate).toBe('IssuerUnavailable');
    expect(step.refusal?.message).toContain(message);
    // What brokers have goes on.
    expect(seen.own).not.toBeNull();
  });
});
