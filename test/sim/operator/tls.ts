/**
 * TLS of simulated brokers, with the real certificates of the operator: what a kubelet has put into
 * each pod's directory, later than the API server has it, and who would let whom in.
 */
import { X509Certificate } from 'node:crypto';
import { identityUri, readIdentity } from '../../../base/identity.ts';
import type { TlsPhase } from '../../../operator/api/types.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { tlsPhaseOf } from '../../../operator/objects/pod.ts';
import { textOf } from '../../../operator/kube/secret-texts.ts';
import type { PeerTls } from '../../../operator/observe/broker-admin.ts';
import type { ObjectStore } from '../../fixtures/kube/object-store.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import type { Brokers } from './brokers.ts';
import { NAMESPACE } from './process.ts';
import { between, type Random, type SimulatedTime } from './time.ts';

const SECRET = builtIn('Secret');
/** Until a kubelet has a changed Secret in its pods: as long as a real one may take. */
const SPREAD_MS = [1_000, 120_000] as const;

/** What a broker has read. */
interface Files {
  readonly cert: string;
  readonly ca: string;
}

export interface TlsOptions {
  readonly time: SimulatedTime;
  /** A stream of its own. */
  readonly random: Random;
  readonly store: ObjectStore;
  readonly brokers: Brokers;
  readonly fault: (text: string) => void;
}

export class Tls {
  readonly #options: TlsOptions;
  /** By uid of the pod. */
  readonly #files = new Map<string, Files>();
  /** The same. */
  readonly #phases = new Map<string, TlsPhase>();
  /** Brokers that start now are of a build that knows no steps to TLS. */
  isOldBuild = false;
  readonly #under = new Set<string>();
  readonly #verified = new Map<string, boolean>();

  constructor(options: TlsOptions) {
    this.#options = options;
    this.#loop();
  }

  /** False where its pod cannot start: what it would mount is not there. */
  start(pod: KubeObject): boolean {
    const { uid = '' } = pod.metadata;
    const phase = tlsPhaseOf(pod);
    const files = phase === 'Plaintext' ? null : this.#mounted(pod);
    if (phase !== 'Plaintext' && (files === null || files.cert === '')) return false;
    if (files !== null) this.#files.set(uid, files);
    this.#phases.set(uid, phase);
    const value = phase === 'Plaintext' ? '' : phase.toLowerCase();
    const options = this.isOldBuild ? [] : [{ name: 'internal-tls-mode', value }];
    this.#options.brokers.options.set(uid, options);
    return true;
  }

  /** Would this broker, and whoever dials it so, let each other in? */
  isLetIn(pod: KubeObject, peer: PeerTls | null): boolean {
    const phase = tlsPhaseOf(pod);
    if (peer === null) return phase !== 'Require';
    const files = this.#files.get(pod.metadata.uid ?? '');
    if (files === undefined) return false;
    const { clusterId, brokerId, material } = peer;
    return (
      this.#trusts(files.ca, material.cert) &&
      this.#trusts(material.ca, files.cert) &&
      nameOf(files.cert) === identityUri({ kind: 'broker', clusterId, brokerId }) &&
      nameOf(material.cert) === identityUri({ kind: 'operator', clusterId })
    );
  }

  /** Ids of authorities that a broker trusts by now. */
  trusted(podUid: string): number {
    return certificatesIn(this.#files.get(podUid)?.ca ?? '').length;
  }

  /** Fingerprint of the certificate that a broker shows. */
  shown(podUid: string): string | undefined {
    return this.certificate(podUid)?.fingerprint256;
  }

  /** That certificate. */
  certificate(podUid: string): X509Certificate | undefined {
    const files = this.#files.get(podUid);
    return files === undefined ? undefined : new X509Certificate(files.cert);
  }

  #mounted(pod: KubeObject): Files | null {
    const name = secretOf(pod);
    const secret = this.#options.store
      .list(SECRET, NAMESPACE)
      .find(({ metadata }) => metadata.name === name);
    return secret === undefined
      ? null
      : { cert: textOf(secret, `${pod.metadata.name}.crt`), ca: textOf(secret, 'ca.crt') };
  }

  /** Kubelets look again and again; what is gone stays as it was in pods that run. */
  #loop(): void {
    const { time, random, store, brokers } = this.#options;
    for (const pod of store.list(builtIn('Pod'), NAMESPACE)) {
      const { uid = '' } = pod.metadata;
      const known = this.#files.get(uid);
      const found = known === undefined ? null : this.#mounted(pod);
      const isNew = found !== null && (found.cert !== known?.cert || found.ca !== known.ca);
      if (!isNew || this.#under.has(uid) || brokers.processes.get(uid)?.isCut === true) continue;
      this.#under.add(uid);
      time.after(between(random, ...SPREAD_MS), () => {
        this.#under.delete(uid);
        const late = this.#mounted(pod);
        if (late !== null && late.cert !== '') this.#files.set(uid, late);
      });
    }
    this.#check();
    time.after(1_000, () => this.#loop());
  }

  /** All that live let each other in, at any time: neither certificates nor steps may part them. */
  #check(): void {
    const { brokers, fault } = this.#options;
    const live = [...brokers.processes.values()].filter(
      ({ isUp, podUid }) => isUp && this.#phases.has(podUid),
    );
    for (const one of live)
      for (const other of live)
        if (!this.#letsIn(one.podUid, other.podUid))
          fault(`broker ${one.brokerId} does not let broker ${other.brokerId} in`);
  }

  /** By what each takes and how it dials: docs/security.md#tls. */
  #letsIn(server: string, client: string): boolean {
    const takes = this.#phases.get(server);
    const isDialledInPlaintext = ['Plaintext', 'Allow'].includes(this.#phases.get(client) ?? '');
    if (isDialledInPlaintext) return takes !== 'Require';
    const [theirs, ours] = [this.#files.get(server), this.#files.get(client)];
    return (
      theirs !== undefined &&
      ours !== undefined &&
      takes !== 'Plaintext' &&
      this.#trusts(theirs.ca, ours.cert) &&
      this.#trusts(ours.ca, theirs.cert)
    );
  }

  /** A certificate is of one of these authorities, and none of both is too old or too young. */
  #trusts(ca: string, cert: string): boolean {
    const at = this.#options.time.wallMs;
    const leaf = new X509Certificate(cert);
    return certificatesIn(ca).some(
      (authority) => isValid(authority, at) && isValid(leaf, at) && this.#isSigned(leaf, authority),
    );
  }

  #isSigned(leaf: X509Certificate, authority: X509Certificate): boolean {
    const key = `${leaf.fingerprint256} ${authority.fingerprint256}`;
    const known = this.#verified.get(key);
    const isSigned = known ?? (leaf.checkIssued(authority) && leaf.verify(authority.publicKey));
    this.#verified.set(key, isSigned);
    return isSigned;
  }
}

function secretOf(pod: KubeObject): string | undefined {
  const { volumes = [] } = pod['spec'] as {
    readonly volumes?: readonly { readonly secret?: { readonly secretName: string } }[];
  };
  return volumes.find(({ secret }) => secret !== undefined)?.secret?.secretName;
}

function certificatesIn(text: string): X509Certificate[] {
  const each = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return each.map((one) => new X509Certificate(one));
}

function isValid({ validFromDate, validToDate }: X509Certificate, atMs: number): boolean {
  return validFromDate.getTime() <= atMs && atMs < validToDate.getTime();
}

function nameOf(cert: string): string {
  const identity = readIdentity(new X509Certificate(cert).subjectAltName ?? '');
  return identity === null ? '' : identityUri(identity);
}
