/** Secrets as they are made, and as they are read again. */
import { createSecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { AuthorityChange } from '../../../../operator/decide/types.ts';
import { KubeError } from '../../../../operator/kube/kube-error.ts';
import { CertificateReader } from '../../../../operator/observe/certificates.ts';
import { newAuthority, newCertificate } from '../../../../process/certificates.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';
import { SecretStore } from '../../../fixtures/operator/secret-store.ts';

const CLUSTER_ID = '11111111-2222-4333-8444-555555555555';
const DAY_MS = 86_400_000;
const AT_MS = Date.UTC(2026, 10, 23, 12);
const CLUSTER = logCluster();

class Store extends SecretStore {
  constructor() {
    super(CLUSTER, CLUSTER_ID);
  }

  async change(change: AuthorityChange, atMs = AT_MS): Promise<void> {
    await this.perform({ kind: 'apply-authority', change, atMs, resourceVersion: null });
  }

  async issue(
    issue: readonly (number | null)[],
    keep: readonly (number | null)[] = [],
  ): Promise<void> {
    const action = { kind: 'apply-certificates', clusterId: CLUSTER_ID, issue, keep } as const;
    await this.perform({ ...action, atMs: AT_MS, resourceVersion: null });
  }
}

async function made(): Promise<Store> {
  const store = new Store();
  await store.change('make');
  await store.issue([0, 1, null]);
  return store;
}

describe('an authority', () => {
  test('signs for five years with a key on P-256, and belongs to its LogCluster', async () => {
    const store = await made();
    const certificate = new X509Certificate(store.text('logs-brokers-ca', 'ca.crt'));
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe('CN=logs 20261123T120000Z');
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    const { view } = await store.read();
    expect(view.authority).toEqual({
      resourceVersion: '1',
      current: {
        id: certificate.fingerprint256.replaceAll(':', '').toLowerCase().slice(0, 32),
        notBeforeMs: AT_MS - 3_600_000,
        notAfterMs: AT_MS + 1_825 * DAY_MS,
      },
      next: null,
      previous: [],
    });
    expect(store.objects.get('logs-brokers-ca')?.metadata['ownerReferences']).toEqual([
      expect.objectContaining({ kind: 'LogCluster', name: 'logs', controller: true }),
    ]);
  });

  test('keeps what all trust and it does not know, where it was restored from before', async () => {
    const store = await made();
    const backup = store.objects.get('logs-brokers-ca')!;
    await store.change('succeed');
    await store.issue([], [0, 1, null]);
    await store.change('promote');
    await store.issue([0, 1, null]);
    const trusted = (await store.read()).view.certificates!.trusted;
    expect(trusted).toHaveLength(2);
    store.put(backup);
    const { current: old } = (await store.read()).view.authority!;
    await store.change('keep');
    const { current, previous } = (await store.read()).view.authority!;
    expect(current).toEqual(old);
    expect(previous).toEqual(trusted.filter((id) => id !== old?.id));
  });

  test('gives way to the next one without its key being kept', async () => {
    const store = await made();
    const { current: old } = (await store.read()).view.authority!;
    await store.change('succeed', AT_MS + DAY_MS);
    const { current, next } = (await store.read()).view.authority!;
    expect([current, next?.id === old?.id]).toEqual([old, false]);
    await store.issue([], [0, 1, null]);
    expect((await store.read()).view.certificates?.trusted).toEqual([old?.id, next?.id]);
    await store.change('promote');
    const promoted = (await store.read()).view.authority!;
    expect(promoted).toMatchObject({ current: next, next: null, previous: [old?.id] });
    expect(store.files('logs-brokers-ca')).toEqual(['ca.crt', 'ca.key', 'previous.crt']);
    await store.issue([0, 1, null]);
    const { trusted, leaves } = (await store.read()).view.certificates!;
    expect(trusted).toEqual([next?.id, old?.id]);
    expect(leaves.map(({ signer }) => signer)).toEqual([next?.id, next?.id, next?.id]);
    await store.change('retire');
    await store.issue([], [0, 1, null]);
    const { view } = await store.read();
    expect(view.authority?.previous).toEqual([]);
    expect(view.certificates).toMatchObject({ trusted: [next?.id], leaves });
  });

  test('that is lost is trusted on, from what brokers have', async () => {
    const store = await made();
    const { current: old } = (await store.read()).view.authority!;
    store.objects.delete('logs-brokers-ca');
    await store.change('replace');
    const replaced = (await store.read()).view.authority!;
    expect(replaced).toMatchObject({ current: null, previous: [old?.id] });
    await store.issue([], [0, 1, null]);
    const { view, own } = await store.read();
    expect(view.certificates?.trusted).toEqual([replaced.next?.id, old?.id]);
    expect(view.certificates?.leaves.map(({ brokerId }) => brokerId)).toEqual([0, 1, null]);
    expect(own).not.toBeNull();
  });

  const stranger = newAuthority({ commonName: 'stranger' });
  const leafOf = newCertificate({ ...stranger, commonName: 'stranger' }, { commonName: 'x' });
  test.each([
    ['another key', { 'ca.key': stranger.key }],
    ['no certificate', { 'ca.crt': 'x' }],
    ['no key', { 'ca.key': '', 'ca.crt': stranger.cert }],
    ['a certificate that may not sign', { 'ca.crt': leafOf.cert, 'ca.key': leafOf.key }],
  ])('with %s is none', async (_, texts) => {
    const store = await made();
    store.tamper('logs-brokers-ca', texts);
    expect((await store.read()).view.authority?.current).toBeNull();
  });
});

describe('certificates', () => {
  test('name broker and cluster, and the host that the broker is dialled by', async () => {
    const store = await made();
    const { subject, subjectAltName, validFromDate, validToDate, ca } = new X509Certificate(
      store.text('logs-brokers-tls', 'logs-1.crt'),
    );
    expect({ subject, subjectAltName, ca }).toEqual({
      subject: 'CN=logs-1',
      subjectAltName: [
        ...['logs.shop.svc', 'logs.shop.svc.cluster.local', 'logs-1.logs-brokers.shop.svc'],
        ...['logs-1.logs-brokers.shop.svc.cluster.local', 'logs.shop', 'logs', 'localhost'],
      ]
        .map((host) => `DNS:${host}, `)
        .join('')
        .concat(`IP Address:127.0.0.1, URI:tidemark://${CLUSTER_ID}/broker/1`),
      ca: false,
    });
    expect([validFromDate.getTime(), validToDate.getTime()]).toEqual([
      AT_MS - 3_600_000,
      AT_MS + 90 * DAY_MS,
    ]);
    const own = new X509Certificate(store.text('logs-brokers-tls', 'operator.crt'));
    expect(own.subjectAltName).toBe(`URI:tidemark://${CLUSTER_ID}/operator`);
  });

  test('are read as they were made, with what the operator dials with', async () => {
    const store = await made();
    const { view, own, foreign } = await store.read();
    const signer = view.authority?.current?.id;
    const life = { notBeforeMs: AT_MS - 3_600_000, notAfterMs: AT_MS + 90 * DAY_MS };
    expect(view.certificates).toEqual({
      resourceVersion: '2',
      trusted: [signer],
      changedAtMs: AT_MS,
      leaves: [0, 1, null].map((brokerId) => ({ brokerId, signer, ...life })),
    });
    expect(foreign).toEqual([]);
    expect(() => createSecureContext(own!)).not.toThrow();
  });

  test('stay byte for byte where they are kept, and others go', async () => {
    const store = await made();
    const before = store.text('logs-brokers-tls', 'logs-1.crt');
    await store.issue([2], [1, null]);
    expect(store.text('logs-brokers-tls', 'logs-1.crt')).toBe(before);
    const files = store.files('logs-brokers-tls');
    expect(files.filter((file) => file.endsWith('.crt'))).toEqual([
      'ca.crt',
      'logs-1.crt',
      'logs-2.crt',
      'operator.crt',
    ]);
  });

  test('clients are told whom to trust, and no key', async () => {
    const store = new SecretStore(logCluster({ clientTls: { mode: 'Enabled' } }), CLUSTER_ID);
    const base = { atMs: AT_MS, resourceVersion: null };
    await store.perform({ kind: 'apply-authority', change: 'make', ...base });
    expect((await store.read()).view.trust).toBeNull();
    await store.perform({ kind: 'apply-authority', change: 'succeed', ...base });
    await store.perform({ kind: 'apply-trust', resourceVersion: null });
    const { authority, trust } = (await store.read()).view;
    expect(trust).toEqual({
      resourceVersion: '3',
      trusted: [authority?.current?.id, authority?.next?.id],
    });
    expect(store.files('logs-brokers-ca-cert')).toEqual(['ca.crt']);
    expect(store.text('logs-brokers-ca-cert', 'ca.crt')).not.toContain('KEY');
  });

  test('no key of the authority is where brokers look', async () => {
    const store = await made();
    await store.change('succeed');
    await store.issue([0]);
    const keys = ['ca.key', 'next.key'].map((file) => store.text('logs-brokers-ca', file));
    for (const file of store.files('logs-brokers-tls'))
      for (const key of keys) expect(store.text('logs-brokers-tls', file)).not.toContain(key);
  });

  test('of others are none: another broker, another cluster, another key, nonsense', async () => {
    const store = await made();
    const texts = (file: string): string => store.text('logs-brokers-tls', file);
    const authority = {
      cert: store.text('logs-brokers-ca', 'ca.crt'),
      key: store.text('logs-brokers-ca', 'ca.key'),
      commonName: 'logs 20261123T120000Z',
    };
    const named = (uri: string) => newCertificate(authority, { commonName: 'x', names: [uri] });
    const other = named('tidemark://00000000-0000-4000-8000-000000000000/broker/0');
    for (const { cert, key } of [
      { cert: texts('logs-1.crt'), key: texts('logs-1.key') },
      { cert: texts('operator.crt'), key: texts('operator.key') },
      other,
      named('https://logs-0'),
      { cert: texts('logs-0.crt'), key: texts('logs-1.key') },
      { cert: 'x', key: 'x' },
      { cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', key: other.key },
    ]) {
      const changed = await made();
      changed.tamper('logs-brokers-tls', { 'logs-0.crt': cert, 'logs-0.key': key });
      const { view } = await changed.read();
      expect(view.certificates?.leaves.map(({ brokerId }) => brokerId)).toEqual([1, null]);
    }
  });

  test('of another authority have no signer', async () => {
    const store = await made();
    const stranger = { commonName: 's', ...newAuthority({ commonName: 's' }) };
    const names = [`tidemark://${CLUSTER_ID}/broker/0`];
    const { cert, key } = newCertificate(stranger, { commonName: 'x', names });
    store.tamper('logs-brokers-tls', { 'logs-0.crt': cert, 'logs-0.key': key });
    const { leaves } = (await store.read()).view.certificates!;
    expect(leaves[0]).toMatchObject({ brokerId: 0, signer: null });
  });

  test('the operator has none where it trusts nobody, or its own is gone', async () => {
    for (const texts of [{ 'ca.crt': 'x' }, { 'operator.crt': 'x' }]) {
      const store = await made();
      store.tamper('logs-brokers-tls', texts);
      expect((await store.read()).own).toBeNull();
    }
  });

  test('are read again only where a Secret has changed', async () => {
    const store = await made();
    const reader = new CertificateReader();
    const first = await store.read(reader);
    expect(await store.read(reader)).toBe(first);
    await store.issue([0, 1, null]);
    expect(await store.read(reader)).not.toBe(first);
  });

  test('are those of somebody else once another LogCluster has the name', async () => {
    const store = await made();
    const reader = new CertificateReader();
    expect((await store.read(reader)).foreign).toEqual([]);
    const { view, secrets, foreign, own } = await store.read(reader, logCluster({}, { uid: 'x' }));
    expect(view).toMatchObject({ authority: null, certificates: null });
    expect([secrets, own, foreign.length]).toEqual([{}, null, 2]);
    // Of another cluster's id none is good.
    const { certificates } = (await store.read(reader, CLUSTER, CLUSTER_ID.replace('1', '2'))).view;
    expect(certificates?.leaves).toEqual([]);
  });

  test('in Secrets of others are not looked at', async () => {
    const store = await made();
    const secret = store.objects.get('logs-brokers-tls')!;
    store.put({ ...secret, metadata: { ...secret.metadata, ownerReferences: [] } });
    const { view, secrets, foreign, own } = await store.read();
    expect(view.certificates).toBeNull();
    expect(Object.keys(secrets)).toEqual(['authority']);
    expect(foreign.map(({ metadata }) => metadata.name)).toEqual(['logs-brokers-tls']);
    expect(own).toBeNull();
  });

  test('that may not be read are told; any other failure ends the pass', async () => {
    const failing = (status: number) => {
      const get = () => Promise.reject(new KubeError('refused', { status, reason: 'x' }));
      const { signal } = new AbortController();
      const of = { cluster: CLUSTER, clusterId: CLUSTER_ID, brokers: 3 };
      return new CertificateReader().read({ get }, of, signal);
    };
    expect((await failing(403)).view).toEqual({
      fault: 'refused',
      authority: null,
      certificates: null,
      trust: null,
      issued: null,
    });
    await expect(failing(500)).rejects.toThrow('refused');
  });
});
