/**
 * From plaintext between brokers that run to TLS, and back, a step at a time
 * (docs/security.md#tls):
 *
 * | phase     | a broker takes | it dials  |
 * | --------- | -------------- | --------- |
 * | Plaintext | plaintext      | plaintext |
 * | Allow     | both           | plaintext |
 * | Prefer    | both           | TLS       |
 * | Require   | TLS            | TLS       |
 *
 * Brokers of neighbouring phases understand each other, and no others do. So there are never more
 * than two phases at once, neighbours, among the pods and what new pods get. The next one is
 * written into the status first, then into the template, then it is rolled out as any other change;
 * whoever takes over finds in the template how far all that is. Require is not taken back. Pure.
 */
import { issuesForClients } from '../api/listeners.ts';
import type { InternalTlsStatus, LogClusterSpec, TlsPhase } from '../api/types.ts';
import type { GateName } from './events.ts';
import {
  firstRefusal,
  type Gate,
  hasCertificate,
  marksMove,
  metadataHeard,
  notPaused,
  othersCaughtUp,
  othersInService,
} from './gates.ts';
import { expectedBrokers } from './service.ts';
import { NOTHING, refuses, type Step, waits } from './step.ts';
import type { Observation, Refusal } from './types.ts';

const PHASES: readonly TlsPhase[] = ['Plaintext', 'Allow', 'Prefer', 'Require'];
/** What a step into a phase waits for. */
const GATES = {
  Plaintext: 'InternalTlsPlaintext',
  Allow: 'InternalTlsAllow',
  Prefer: 'InternalTlsPrefer',
  Require: 'InternalTlsRequire',
} as const satisfies Record<TlsPhase, GateName>;

/** Where this cluster is to come to. One that takes TLS alone stays so, whatever the spec says. */
function wantedPhase(given: TlsPhase, { internalTls }: LogClusterSpec): TlsPhase {
  return given === 'Require' || internalTls.mode === 'Enabled' ? 'Require' : 'Plaintext';
}

/** The next phase on the way there; the same where that is it. */
function nextPhase(given: TlsPhase, spec: LogClusterSpec): TlsPhase {
  const [from, to] = [PHASES.indexOf(given), PHASES.indexOf(wantedPhase(given, spec))];
  return PHASES[from + Math.sign(to - from)] ?? given;
}

function areNeighbours(left: TlsPhase, right: TlsPhase): boolean {
  return Math.abs(PHASES.indexOf(left) - PHASES.indexOf(right)) <= 1;
}

/** Clients are shown certificates that the pods of this phase do not have. */
function lacksForClients(phase: TlsPhase, spec: LogClusterSpec): boolean {
  return phase === 'Plaintext' && issuesForClients(spec);
}

/**
 * Phase of the template that is planned. The status has which step was begun; it is believed only
 * of the very next step, and where every pod that there is understands it.
 *
 * @param given phase of new pods now
 * @param pods phases of all pods
 */
export function plannedPhase(
  given: TlsPhase,
  pods: readonly TlsPhase[],
  spec: LogClusterSpec,
  status: InternalTlsStatus | undefined,
): TlsPhase {
  const next = nextPhase(given, spec);
  const isBegun =
    status?.phase === next &&
    pods.every((phase) => areNeighbours(phase, next)) &&
    !lacksForClients(next, spec);
  return isBegun ? next : given;
}

/** Does anybody have, or wait for, certificates of the operator? */
export function usesCertificates(
  { given, planned }: Observation['tlsPhases'],
  pods: readonly TlsPhase[],
): boolean {
  return [given, planned, ...pods].some((phase) => phase !== 'Plaintext');
}

/** The phase that is to be next, and what that waits for. */
export function stepToTls(
  observation: Observation,
  nowMs: number,
): { readonly phase: TlsPhase; readonly step: Step } {
  const { cluster, tlsPhases, workload } = observation;
  const { given, planned } = tlsPhases;
  const next = nextPhase(given, cluster.spec);
  if (workload === null || next === given) return { phase: planned, step: NOTHING };
  const isForward = PHASES.indexOf(next) > PHASES.indexOf(given);
  const way = isForward
    ? 'from plaintext between brokers to TLS'
    : 'back to plaintext between brokers';
  const doing = `going ${way}: phase ${next} after ${given}`;
  if (planned !== given) return { phase: planned, step: { ...NOTHING, doing } };
  const under = isForward ? underWay(observation) : leaving(observation, next);
  if (under !== null) return { phase: given, step: waits(doing, under) };
  const refusal = isForward
    ? forwardRefusal(observation, next, nowMs)
    : backRefusal(observation, next, nowMs);
  return refusal === null
    ? { phase: next, step: { ...NOTHING, doing } }
    : { phase: given, step: refuses(doing, { gate: GATES[next], message: refusal.message }) };
}

/** What is being done already, and ends by itself. */
function underWay(observation: Observation): string | null {
  const { cluster, template, workload, pods, tlsPhases } = observation;
  if (
    workload?.isCurrent !== true ||
    !workload.isObserved ||
    workload.templateHash !== template.hash
  )
    return 'waiting for the StatefulSet to be as it should be';
  const entry = cluster.status?.disruption;
  if (entry !== undefined)
    return `waiting for the end of ${entry.kind} of ${entry.brokerIds.join(', ')}`;
  const other = pods.find(
    ({ templateHash, tlsPhase }) => templateHash !== template.hash || tlsPhase !== tlsPhases.given,
  );
  return other === undefined
    ? null
    : `waiting for pod ${other.name} to be of the present template, which is of phase ${tlsPhases.given}`;
}

/** Every broker is there, in service, caught up, and says itself that it is in this phase. */
function forwardRefusal(observation: Observation, next: TlsPhase, nowMs: number): Refusal | null {
  const gates: readonly Gate[] = [
    notPaused,
    othersInService,
    allSaySo,
    ...(next === 'Allow' ? [allCertified] : []),
    othersCaughtUp,
    metadataHeard,
    marksMove,
  ];
  return firstRefusal(gates, observation, [], nowMs);
}

const allSaySo: Gate = (observation) => {
  const { answers, tlsPhases } = observation;
  const gate = 'InternalTlsAllow';
  const other = answers.find(({ tlsPhase }) => tlsPhase !== tlsPhases.given);
  if (other === undefined) return null;
  const { brokerId, version, tlsPhase } = other;
  const message =
    tlsPhase === null
      ? `broker ${brokerId} runs version ${version}, which does not know internal-tls-mode: give spec.image one that does`
      : `waiting for broker ${brokerId} to be in phase ${tlsPhases.given}: it says ${tlsPhase}`;
  return { gate, message };
};

/** The operator too: it asks brokers with TLS as soon as they take it. */
const allCertified: Gate = (observation, _, nowMs) => {
  const ids = [...expectedBrokers(observation), null];
  const missing = ids.find((id) => !hasCertificate(observation.tls, id, nowMs));
  return missing === undefined
    ? null
    : {
        gate: 'CertificateMissing',
        message: `waiting for a certificate of ${missing === null ? 'the operator' : `broker ${missing}`}`,
      };
};

/** A pod that would not understand the next one, and that the present roll is about to replace. */
function leaving({ pods }: Observation, next: TlsPhase): string | null {
  const far = pods.find(({ tlsPhase }) => !areNeighbours(tlsPhase, next));
  return far === undefined ? null : `waiting for ${far.name} to leave phase ${far.tlsPhase}`;
}

/** Whoever has gone a step understands who has not: nothing else is to be waited for. */
function backRefusal(observation: Observation, next: TlsPhase, nowMs: number): Refusal | null {
  const { cluster } = observation;
  if (lacksForClients(next, cluster.spec)) {
    const message =
      'clientTls.secretName is missing, must be given before certificates of the operator are taken from the brokers';
    return { gate: GATES[next], message };
  }
  return firstRefusal([notPaused], observation, [], nowMs);
}

/** Why what the spec says of TLS is not so; null where it is, or will be. */
export function tlsFixed({ cluster, tlsPhases, workload }: Observation): Refusal | null {
  const isTaken = workload !== null && tlsPhases.given === 'Require';
  if (!isTaken || cluster.spec.internalTls.mode !== 'Disabled') return null;
  const message = `spec.internalTls.mode is Disabled, must be Enabled or absent: the brokers take nothing but TLS from each other, and do not go back while they run; delete the LogCluster and make it anew to change that (its volumes are kept where spec.storage.whenDeleted is Retain)`;
  return { gate: 'InternalTlsFixed', message };
}

/**
 * That of the status.
 *
 * @param phase that brokers are to have next
 */
export function phaseStatus(
  { cluster, tlsPhases: { given }, pods }: Observation,
  phase: TlsPhase,
): Pick<InternalTlsStatus, 'mode' | 'phase'> {
  const mode = given === 'Require' ? 'Enabled' : 'Disabled';
  const isThere =
    wantedPhase(given, cluster.spec) === given && pods.every(({ tlsPhase }) => tlsPhase === given);
  return isThere ? { mode } : { mode, phase };
}
