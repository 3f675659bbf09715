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
import type { InternalTlsStatus, TlsPhase } from '../api/types.ts';
import {
  certifiedIds,
  DOING,
  isAged,
  isSameSet,
  isSpreadFor,
  LEAF_DAYS,
  SPREAD_MS,
  tellClients,
} from './certified.ts';
import { keepIssued } from './issued.ts';
import { counted, listed } from './service.ts';
import { acts, NOTHING, refuses, type Step, timeText } from './step.ts';
import { phaseStatus, usesCertificates } from './to-tls.ts';
import type { AuthorityChange, Observation } from './types.ts';
import type {
  AuthorityView,
  CertificatesView,
  LeafView,
  SignerView,
  TlsView,
} from './tls-views.ts';

/** Renewed when a third is left: a year and a half. */
export const AUTHORITY_DAYS = 1_825;
/** The same where nobody is in a hurry: a node may be away for days, and come back as it was. */
const SPREAD_MS_UNASKED = 604_800_000;

/** The next change of the Secrets, if one is due. */
export function keepCertificates(observation: Observation, nowMs: number): Step {
  const { tls, cluster, faults, workload } = observation;
  const isHeld = faults.length > 0 || cluster.spec.paused === 'All';
  // Nothing is begun then, and what runs is kept running.
  const isBegun = workload !== null && isInUse(observation);
  if (tls === null || (isHeld && !isBegun) || isTaken(observation)) return NOTHING;
  if (tls.fault !== null) {
    const message = `the Secrets of certificates cannot be read: ${tls.fault}`;
    return refuses(DOING, { gate: 'CertificatesUnreadable', message });
  }
  if (tls.issued !== null) return keepIssued(observation, tls, tls.issued, nowMs);
  const { authority, certificates } = tls;
  const signer = authority?.current ?? null;
  const isReplaced = authority?.next != null && signer === null;
  const isLost = (signer === null && !isReplaced) || !isTrusted(observation, tls);
  if (isLost && (signer === null || isInUse(observation)))
    return replaceLost(observation, tls, nowMs);
  return (
    keepUnknown(tls, nowMs) ??
    issueDue(observation, tls, nowMs) ??
    tellClients(observation, tls, authoritiesOf(authority)) ??
    followOn(observation, authority, certificates, nowMs)
  );
}

/** Without these two there is nothing to keep; clients are told, or not, by a third. */
function isTaken({ foreign, cluster: { metadata } }: Observation): boolean {
  const needed = [authoritySecretName(metadata.name), certificatesSecretName(metadata.name)];
  return foreign.some(({ kind, name }) => kind === 'Secret' && needed.includes(name));
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
  const { authority, certificates, issued } = tls;
  const signer =
    issued === null
      ? authority?.current?.id
      : certificates?.leaves.find(({ brokerId }) => brokerId !== null)?.signer;
  const isKnown = signer != null && certificates?.trusted.includes(signer) === true;
  const id = isKnown ? signer : before?.authority;
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

/**
 * An authority that signed what brokers show, and that the Secret does not know: somebody restored
 * it from before. It is to be trusted until nobody shows a certificate of it; null where all are
 * known.
 */
function keepUnknown({ authority, certificates }: TlsView, nowMs: number): Step | null {
  const known = authoritiesOf(authority);
  const { trusted = [], leaves = [] } = certificates ?? {};
  const unknown = trusted.filter(
    (id) => !known.includes(id) && leaves.some(({ signer }) => signer === id),
  );
  if (unknown.length === 0) return null;
  const note = `Certificate authority ${listed(unknown)}, of before the Secret was restored, is trusted until its certificates are replaced`;
  return changes(authority, 'keep', note, nowMs);
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
 * A third of its time is left, another authority signs by now, or it lacks a host by which clients
 * dial its broker. When it began says nothing: one
 * that begins in the future is seen so by a clock that is behind, and what that would issue is over
 * for everybody else.
 */
function isDue(leaf: LeafView, { id }: SignerView, nowMs: number): boolean {
  return leaf.signer !== id || (leaf.missing ?? []).length > 0 || isAged(leaf, LEAF_DAYS, nowMs);
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
    return isSpreadFor(observation, certificates?.changedAtMs, spreadMs, nowMs);
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
