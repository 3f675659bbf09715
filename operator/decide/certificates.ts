/**
 * TLS between brokers: when an authority is made, gives way to the next one and is trusted no more;
 * whose certificates are issued anew. Pure. One change a pass, each from what the Secrets hold by
 * now; none of them restarts a broker.
 *
 * Whoever is shown a certificate must trust its authority by then. So another authority is first
 * trusted by all, signs only when they have had time to read that, and the one before is trusted
 * until nobody shows a certificate of it any more. An authority that is lost is never made anew
 * unasked: brokers would fall apart into those that have read of it and those that have not.
 */
import {
  NEW_AUTHORITY_ANNOTATION,
  authoritySecretName,
  certificatesSecretName,
} from '../api/names.ts';
import { isIssued } from '../api/clients.ts';
import type { InternalTlsStatus, TlsPhase } from '../api/types.ts';
import { counted, listed } from './service.ts';
import { acts, NOTHING, refuses, type Step, timeText } from './step.ts';
import { phaseStatus, usesCertificates } from './to-tls.ts';
import type {
  AuthorityChange,
  AuthorityView,
  CertificatesView,
  LeafView,
  Observation,
  SignerView,
  TlsView,
} from './types.ts';
import { isForeign, replicasToRun } from './workload.ts';

/** Both are renewed when a third is left: a year and a half, and a month. */
export const AUTHORITY_DAYS = 1_825;
export const LEAF_DAYS = 90;
const DAY_MS = 86_400_000;

const DOING = 'keeping certificates';
/**
 * From the change of a Secret until every pod has it and its broker has read it: a kubelet takes
 * up to two minutes.
 */
const SPREAD_MS = 600_000;
/** The same where nobody is in a hurry: a node may be away for days, and come back as it was. */
const SPREAD_MS_UNASKED = 604_800_000;

/** The next change of the Secrets, if one is due. */
export function keepCertificates(observation: Observation, nowMs: number): Step {
  const { tls, cluster, faults, workload } = observation;
  const isHeld = faults.length > 0 || cluster.spec.paused === 'All';
  // Nothing is begun then, and what runs is kept running.
  const isBegun = workload !== null && isInUse(observation);
  if (tls === null || (isHeld && !isBegun) || isForeign(observation, 'Secret')) return NOTHING;
  if (tls.fault !== null) {
    const message = `the Secrets of certificates cannot be read: ${tls.fault}`;
    return refuses(DOING, { gate: 'CertificatesUnreadable', message });
  }
  const { authority, certificates } = tls;
  const signer = authority?.current ?? null;
  const isReplaced = authority?.next != null && signer === null;
  const isLost = (signer === null && !isReplaced) || !isTrusted(observation, tls);
  if (isLost && (signer === null || isInUse(observation)))
    return replaceLost(observation, tls, nowMs);
  return (
    issueDue(observation, tls, nowMs) ??
    tellClients(observation, tls) ??
    followOn(observation, authority, certificates, nowMs)
  );
}

/**
 * That of the status: the authority is the one that the brokers trust, also when it is lost.
 *
 * @param phase that brokers are to have next
 */
export function internalTlsStatus(
  observation: Observation,
  phase: TlsPhase,
): InternalTlsStatus | undefined {
  const { tls, workload, cluster } = observation;
  const before = cluster.status?.internalTls;
  if (workload === null) return before;
  const way = phaseStatus(observation, phase);
  if (tls === null) return way;
  const { authority, certificates } = tls;
  const current = authority?.current;
  const isKnown = current != null && certificates?.trusted.includes(current.id) === true;
  const id = isKnown ? current.id : before?.authority;
  return { ...way, ...(id === undefined ? {} : { authority: id }) };
}

/** Does any broker have certificates, or is to? Else none is cut off, whoever signs. */
function isInUse({ tlsPhases, pods }: Observation): boolean {
  return usesCertificates(
    tlsPhases,
    pods.map(({ tlsPhase }) => tlsPhase),
  );
}

/** Does whoever has certificates trust what is to sign? Else it is somebody else's. */
function isTrusted({ cluster }: Observation, { authority, certificates }: TlsView): boolean {
  if (authority === null) return false;
  const { current, next, previous } = authority;
  const known = [current?.id, next?.id, ...previous];
  const recorded = cluster.status?.internalTls?.authority;
  const trusted = certificates?.trusted ?? [];
  const asked = cluster.metadata.annotations?.[NEW_AUTHORITY_ANNOTATION];
  if (trusted.length === 0)
    return recorded === undefined || known.includes(recorded) || asked === recorded;
  return current === null
    ? previous.some((id) => trusted.includes(id))
    : trusted.includes(current.id);
}

/** The first authority, or another one in place of one that is lost where a person asks for it. */
function replaceLost(observation: Observation, tls: TlsView, nowMs: number): Step {
  const { cluster, workload, pods } = observation;
  const { authority, certificates } = tls;
  const recorded = cluster.status?.internalTls?.authority;
  const trusted = certificates?.trusted ?? [];
  const change = (kind: AuthorityChange, note: string): Step =>
    changes(authority, kind, note, nowMs);
  const hasNone = recorded === undefined && trusted.length === 0 && certificates === null;
  const isFirst = hasNone && workload === null && pods.length === 0;
  if (isFirst || !isInUse(observation))
    return change('make', 'A certificate authority for the brokers is made');
  const id = recorded ?? trusted[0] ?? 'unknown';
  if (cluster.metadata.annotations?.[NEW_AUTHORITY_ANNOTATION] === id)
    return trusted.length === 0
      ? change('make', `A certificate authority is made in place of ${id}, which is lost`)
      : change('replace', `A certificate authority is to take the place of ${id}, which is lost`);
  const { name, namespace } = cluster.metadata;
  const secret = `Secret ${namespace}/${authoritySecretName(name)}`;
  const what =
    authority === null
      ? 'is gone'
      : authority.current === null
        ? 'holds no authority with its key'
        : `holds another one, ${authority.current.id}`;
  const ends = certificates?.leaves.map(({ notAfterMs }) => notAfterMs) ?? [];
  const until =
    ends.length === 0
      ? 'there are no certificates'
      : `the certificates that there are end ${timeText(Math.min(...ends))}`;
  const message = `${secret} ${what}, and certificate authority ${id} with it; ${until}, and none is issued. Restore the Secret from a backup, or ask for another authority with annotation ${NEW_AUTHORITY_ANNOTATION}: ${id}`;
  return refuses(DOING, { gate: 'CertificateAuthorityLost', message });
}

/** Certificates and trust as they should be by now; null where they are. */
function issueDue(
  observation: Observation,
  { authority, certificates }: TlsView,
  nowMs: number,
): Step | null {
  const { cluster, clusterId } = observation;
  const signer = authority?.current ?? null;
  const wanted = [...certifiedIds(observation), null];
  const leaves = certificates?.leaves ?? [];
  const standing = (id: number | null): LeafView | undefined =>
    leaves.find(({ brokerId }) => brokerId === id);
  const issue = wanted.filter((id) => {
    const leaf = standing(id);
    return signer !== null && (leaf === undefined || isDue(leaf, signer, nowMs));
  });
  const keep = wanted.filter((id) => !issue.includes(id) && standing(id) !== undefined);
  const trust = authoritiesOf(authority);
  const isSame =
    certificates !== null &&
    issue.length === 0 &&
    leaves.length === keep.length &&
    isSameSet(trust, certificates.trusted) &&
    isDated(certificates, signer, nowMs);
  // Without a signer there is nobody to issue any, and without any there is nobody to tell.
  if (isSame || (signer === null && certificates === null)) return null;
  const action = {
    kind: 'apply-certificates',
    clusterId,
    issue,
    keep,
    atMs: nowMs,
    resourceVersion: certificates?.resourceVersion ?? null,
  } as const;
  if (issue.length === 0) return acts(DOING, [action]);
  const whose = issue.map((id) => (id === null ? 'the operator' : `broker ${id}`));
  const note = `New ${counted(issue.length, 'certificate')} in Secret ${certificatesSecretName(cluster.metadata.name)}: ${listed(whose)}`;
  return acts(DOING, [action], [{ reason: 'CertificatesIssued', note }]);
}

/** Whom clients are to trust, in a Secret of its own; null where that is so. */
function tellClients({ cluster }: Observation, { authority, trust }: TlsView): Step | null {
  if (!isIssued(cluster.spec.clientTls)) return null;
  if (trust !== null && isSameSet(authoritiesOf(authority), trust.trusted)) return null;
  const resourceVersion = trust?.resourceVersion ?? null;
  return acts(DOING, [{ kind: 'apply-trust', resourceVersion }]);
}

function isSameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((id) => right.includes(id));
}

/** Brokers that run, and those that are to. */
function certifiedIds(observation: Observation): number[] {
  const { faults, workload, pods } = observation;
  const count = faults.length > 0 ? (workload?.replicas ?? 0) : replicasToRun(observation);
  const last = Math.max(count, ...pods.map(({ brokerId }) => brokerId + 1));
  return Array.from({ length: last }, (_, id) => id);
}

/**
 * Is it known how long all have had it? Else they are given the time anew. A time that is still to
 * come was written by a clock that was ahead, unless the present one is behind.
 */
function isDated(
  { changedAtMs }: CertificatesView,
  signer: SignerView | null,
  nowMs: number,
): boolean {
  const isBehind = signer !== null && signer.notBeforeMs > nowMs;
  return isBehind || (changedAtMs !== null && changedAtMs <= nowMs);
}

/**
 * A third of its time is left, or another authority signs by now. When it began says nothing: one
 * that begins in the future is seen so by a clock that is behind, and what that would issue is over
 * for everybody else.
 */
function isDue(leaf: LeafView, { id }: SignerView, nowMs: number): boolean {
  return leaf.signer !== id || isAged(leaf, LEAF_DAYS, nowMs);
}

/** @param days that it has where it was made here; it may count since long before these began */
function isAged(
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
  days: number,
  nowMs: number,
): boolean {
  return nowMs >= notAfterMs - Math.min(days * DAY_MS, notAfterMs - notBeforeMs) / 3;
}

function authoritiesOf(authority: AuthorityView | null): string[] {
  const { current, next, previous = [] } = authority ?? {};
  const ids = [current?.id, next?.id, ...previous].filter((id) => id !== undefined);
  return [...new Set(ids)];
}

/** From one authority to the next. All certificates, and whom all trust, are as they should be. */
function followOn(
  observation: Observation,
  authority: AuthorityView | null,
  certificates: CertificatesView | null,
  nowMs: number,
): Step {
  const { annotations = {} } = observation.cluster.metadata;
  const { current = null, next = null, previous = [] } = authority ?? {};
  const asked = annotations[NEW_AUTHORITY_ANNOTATION];
  const change = (kind: AuthorityChange, note: string): Step =>
    changes(authority, kind, note, nowMs);
  const isSpread = (isHurried: boolean): boolean => {
    const spreadMs = isHurried ? SPREAD_MS : SPREAD_MS_UNASKED;
    const changedAtMs = certificates?.changedAtMs ?? Infinity;
    const isEverywhere = observation.pods.every(
      ({ isReady, isTerminating }) => isReady && !isTerminating,
    );
    return isEverywhere && nowMs - changedAtMs >= spreadMs;
  };
  if (next !== null) {
    // Whoever has lost the one before, or has it no more, waits for this one.
    const isHurried = current === null || asked === current.id || current.notAfterMs <= nowMs;
    return certificates === null || isSpread(isHurried)
      ? change('promote', `Certificate authority ${next.id} signs from now on`)
      : NOTHING;
  }
  if (previous.length > 0) {
    const isAsked = asked !== undefined && previous.includes(asked);
    return isSpread(isAsked)
      ? change('retire', `Certificate authority ${listed(previous)} is trusted no more`)
      : NOTHING;
  }
  if (current === null || (asked !== current.id && !isAged(current, AUTHORITY_DAYS, nowMs)))
    return NOTHING;
  const why = asked === current.id ? 'as asked' : 'which is old';
  return change('succeed', `A certificate authority is to take the place of ${current.id}, ${why}`);
}

function changes(
  authority: AuthorityView | null,
  change: AuthorityChange,
  note: string,
  nowMs: number,
): Step {
  const resourceVersion = authority?.resourceVersion ?? null;
  return acts(
    DOING,
    [{ kind: 'apply-authority', change, atMs: nowMs, resourceVersion }],
    [{ reason: 'CertificateAuthorityChanged', note }],
  );
}
