/**
 * Certificates that an issuer of cert-manager signs (`spec.internalTls.issuerRef`): what is asked
 * of it, and when brokers are given what it has issued. Pure.
 *
 * Brokers find all certificates in one Secret, whoever signs them, so that another issuer restarts
 * nobody. Whoever is shown a certificate must trust its authority by then: an authority that is new
 * is trusted by all first, and certificates of it are given out once all have had time to read
 * that. It is trusted until nobody shows one any more.
 */
import { certificatesSecretName, issuedSecretName } from '../api/names.ts';
import {
  certifiedIds,
  DOING,
  isSameSet,
  isSpreadFor,
  SPREAD_MS,
  tellClients,
} from './certified.ts';
import { counted, listed } from './service.ts';
import { acts, NOTHING, refuses, type Step } from './step.ts';
import type { Observation } from './types.ts';
import type { IssuedCertificate, IssuedView, LeafView, TlsView } from './tls-views.ts';

/** The next change of what is asked, or of the Secret that brokers read. */
export function keepIssued(
  observation: Observation,
  tls: TlsView,
  issued: IssuedView,
  nowMs: number,
): Step {
  if (issued.fault !== null)
    return refuses(DOING, { gate: 'IssuerUnavailable', message: issued.fault });
  const wanted = [...certifiedIds(observation), null];
  const unasked = wanted.filter((id) => issuedTo(issued, id)?.isCurrent !== true);
  if (unasked.length > 0)
    return acts(
      DOING,
      unasked.map((brokerId) => ({
        kind: 'apply-certificate' as const,
        brokerId,
        clusterId: observation.clusterId,
      })),
    );
  return (
    giveOut(observation, tls, issued, wanted, nowMs) ??
    tellClients(observation, tls, tls.certificates?.trusted ?? []) ??
    pending(observation, tls, issued, wanted, nowMs) ??
    NOTHING
  );
}

function issuedTo({ certificates }: IssuedView, brokerId: number | null): IssuedCertificate | null {
  return certificates.find((each) => each.brokerId === brokerId) ?? null;
}

/** A certificate that is good by now, and whose authority its issuer names. */
function goodLeaf(issued: IssuedCertificate | null, nowMs: number): LeafView | null {
  const leaf = issued?.leaf ?? null;
  return leaf?.signer != null && leaf.notAfterMs > nowMs ? leaf : null;
}

/** The Secret of certificates as it should be by now; null where it is. */
function giveOut(
  observation: Observation,
  { certificates }: TlsView,
  issued: IssuedView,
  wanted: readonly (number | null)[],
  nowMs: number,
): Step | null {
  const before = certificates?.trusted ?? [];
  const standing = (id: number | null): LeafView | undefined =>
    certificates?.leaves.find(({ brokerId }) => brokerId === id);
  const hasNone = wanted.every((id) => standing(id) === undefined);
  const isSpread = isSpreadFor(observation, certificates?.changedAtMs, SPREAD_MS, nowMs);
  const isTrusted = (leaf: LeafView): boolean =>
    leaf.signer !== null &&
    before.includes(leaf.signer) &&
    // All have known it for long where somebody shows one of it.
    (isSpread || (certificates?.leaves.some(({ signer }) => signer === leaf.signer) ?? false));
  const good = wanted.map((id) => ({ id, leaf: goodLeaf(issuedTo(issued, id), nowMs) }));
  // The first ones together: nobody shows anything yet.
  if (hasNone && good.some(({ leaf }) => leaf === null)) return null;
  const take = good.flatMap(({ id, leaf }) =>
    leaf !== null && !isSame(leaf, standing(id)) && (hasNone || isTrusted(leaf)) ? [id] : [],
  );
  const keep = wanted.filter((id) => !take.includes(id) && standing(id) !== undefined);
  const signers = [
    ...take.map((id) => issuedTo(issued, id)?.leaf?.signer),
    ...keep.map((id) => standing(id)?.signer),
  ];
  const offered = good.flatMap(({ id, leaf }) =>
    leaf === null ? [] : (issuedTo(issued, id)?.trusted ?? []),
  );
  // One that was shown a moment ago still is, by whoever has not read the new one.
  const stays = before.filter((id) => signers.includes(id) || !isSpread || take.length > 0);
  const trust = [...new Set([...(hasNone ? [] : stays), ...offered])];
  const isAsItShould =
    take.length === 0 &&
    certificates !== null &&
    keep.length === certificates.leaves.length &&
    isSameSet(trust, before);
  if (isAsItShould || trust.length === 0) return null;
  const resourceVersion = certificates?.resourceVersion ?? null;
  const action = { kind: 'apply-issued', take, keep, trust, atMs: nowMs, resourceVersion } as const;
  if (take.length === 0) return acts(DOING, [action]);
  const whose = take.map((id) => (id === null ? 'the operator' : `broker ${id}`));
  const name = certificatesSecretName(observation.cluster.metadata.name);
  const note = `New ${counted(take.length, 'certificate')} in Secret ${name}: ${listed(whose)}`;
  return acts(DOING, [action], [{ reason: 'CertificatesIssued', note }]);
}

/** By its life: an issuer makes no two at once. */
function isSame(leaf: LeafView, standing: LeafView | undefined): boolean {
  return (
    standing !== undefined &&
    leaf.signer === standing.signer &&
    leaf.notBeforeMs === standing.notBeforeMs &&
    leaf.notAfterMs === standing.notAfterMs
  );
}

/** cert-manager renews when a third is left: a sixth is half of what it has had for that. */
function isLate({ notBeforeMs, notAfterMs }: LeafView, nowMs: number): boolean {
  return nowMs >= notAfterMs - (notAfterMs - notBeforeMs) / 6;
}

/** What the issuer owes; null: nothing, or there is time. */
function pending(
  { cluster }: Observation,
  { certificates }: TlsView,
  issued: IssuedView,
  wanted: readonly (number | null)[],
  nowMs: number,
): Step | null {
  const owed = wanted.find((id) => {
    const leaf = certificates?.leaves.find(({ brokerId }) => brokerId === id);
    const good = goodLeaf(issuedTo(issued, id), nowMs);
    if (leaf === undefined) return good === null;
    return isLate(leaf, nowMs) && (good === null || isSame(good, leaf));
  });
  if (owed === undefined) return null;
  const { name, namespace } = cluster.metadata;
  const why = issuedTo(issued, owed)?.fault ?? 'it says nothing';
  const message = `waiting for cert-manager to issue Certificate ${namespace}/${issuedSecretName(name, owed)}: ${why}`;
  return refuses(DOING, { gate: 'CertificatePending', message });
}
