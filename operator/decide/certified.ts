/** What certificates have in common, whoever signs them: whose there are, and how old. Pure. */
import { issuesForClients } from '../api/listeners.ts';
import { trustSecretName } from '../api/names.ts';
import { acts, type Step } from './step.ts';
import type { Observation } from './types.ts';
import type { TlsView } from './tls-views.ts';
import { replicasToRun } from './workload.ts';

/** Renewed when a third is left: a month. */
export const LEAF_DAYS = 90;
const DAY_MS = 86_400_000;

export const DOING = 'keeping certificates';
/**
 * From the change of a Secret until every pod has it and its broker has read it: a kubelet takes
 * up to two minutes.
 */
export const SPREAD_MS = 600_000;

/** Have all pods had the Secret of certificates as it is for so long? Who is not ready may not. */
export function isSpreadFor(
  { pods }: Observation,
  changedAtMs: number | null | undefined,
  spreadMs: number,
  nowMs: number,
): boolean {
  const isEverywhere = pods.every(({ isReady, isTerminating }) => isReady && !isTerminating);
  return isEverywhere && nowMs - (changedAtMs ?? Infinity) >= spreadMs;
}

/** @param days that it has where it was made here; it may count since long before these began */
export function isAged(
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
  days: number,
  nowMs: number,
): boolean {
  return nowMs >= notAfterMs - Math.min(days * DAY_MS, notAfterMs - notBeforeMs) / 3;
}

/** Brokers that run, and those that are to. */
export function certifiedIds(observation: Observation): number[] {
  const { faults, workload, pods } = observation;
  const count = faults.length > 0 ? (workload?.replicas ?? 0) : replicasToRun(observation);
  const last = Math.max(count, ...pods.map(({ brokerId }) => brokerId + 1));
  return Array.from({ length: last }, (_, id) => id);
}

/** Whom clients are to trust, in a Secret of its own; null where that is so, or not ours to say. */
export function tellClients(
  { cluster, foreign }: Observation,
  { trust }: TlsView,
  trusted: readonly string[],
): Step | null {
  const name = trustSecretName(cluster.metadata.name);
  const isForeign = foreign.some((each) => each.kind === 'Secret' && each.name === name);
  if (!issuesForClients(cluster.spec) || isForeign) return null;
  if (trust !== null && isSameSet(trusted, trust.trusted)) return null;
  const resourceVersion = trust?.resourceVersion ?? null;
  return acts(DOING, [{ kind: 'apply-trust', resourceVersion }]);
}

export function isSameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((id) => right.includes(id));
}
