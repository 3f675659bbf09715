/**
 * What stands between a wish and a disruption. A gate is a named function that refuses in words;
 * all must let through. They fail closed: what is not known refuses
 * (docs/rules.md#careful-operator).
 */
import { APPROVED_ROLLOUT_ANNOTATION, certificatesSecretName } from '../api/names.ts';
import type { RolloutWindow, Weekday } from '../api/types.ts';
import {
  brokersNamed,
  catchUpFault,
  counted,
  deafVoters,
  expectedBrokers,
  harmOf,
  leadershipFault,
  listed,
  serviceFault,
  stalledPartitions,
  unawareLeaders,
  verdictOn,
} from './service.ts';
import { timeText } from './step.ts';
import type { Observation, Refusal } from './types.ts';

/** @param brokerIds that are to be stopped */
export type Gate = (
  observation: Observation,
  brokerIds: readonly number[],
  nowMs: number,
) => Refusal | null;

/** First refusal of these gates, in their order. */
export function firstRefusal(
  gates: readonly Gate[],
  observation: Observation,
  brokerIds: readonly number[],
  nowMs: number,
): Refusal | null {
  for (const gate of gates) {
    const refusal = gate(observation, brokerIds, nowMs);
    if (refusal !== null) return refusal;
  }
  return null;
}

export const notPaused: Gate = ({ cluster }) =>
  cluster.spec.paused === undefined
    ? null
    : {
        gate: 'Paused',
        message: `spec.paused is ${cluster.spec.paused}, must be absent to stop a broker`,
      };

export const controllerKnown: Gate = ({ metadata }) =>
  metadata === null
    ? { gate: 'ControllerUnknown', message: 'waiting for a broker to answer as controller' }
    : null;

/** Brokers other than those to be stopped. */
export const othersInService: Gate = (observation, brokerIds) => {
  const fault = othersOf(observation, brokerIds)
    .map((id) => ({ id, why: serviceFault(observation, id) }))
    .find(({ why }) => why !== null);
  return fault === undefined
    ? null
    : {
        gate: 'BrokerOutOfService',
        message: `waiting for broker ${fault.id} to be in service: ${fault.why}`,
      };
};

export const othersCaughtUp: Gate = (observation, brokerIds) => {
  const fault = othersOf(observation, brokerIds)
    .map((id) => ({ id, why: catchUpFault(observation, id) }))
    .find(({ why }) => why !== null);
  return fault === undefined
    ? null
    : { gate: 'ReplicasBehind', message: `waiting for broker ${fault.id} ${fault.why}` };
};

/**
 * Whoever is stopped next must be able to hand over, and above all the controller: so every voter
 * hears the one there is, and every leader leads by the newest metadata. A stop in the middle of
 * that is two faults at once.
 */
export const metadataHeard: Gate = (observation) => {
  const [deaf] = deafVoters(observation);
  if (deaf !== undefined)
    return {
      gate: 'MetadataBehind',
      message: `waiting for broker ${deaf} to hear broker ${observation.metadata?.controller}, the controller`,
    };
  const unaware = unawareLeaders(observation);
  return unaware.length === 0
    ? null
    : {
        gate: 'MetadataBehind',
        message: `waiting for the leader of ${counted(unaware.length, 'partition')} to lead by the newest metadata: ${listed(unaware)}`,
      };
};

/** A stop takes a follower away: not while records wait for those that are there. */
export const marksMove: Gate = (observation) => {
  const stalled = stalledPartitions(observation);
  return stalled.length === 0
    ? null
    : {
        gate: 'AppendsStalled',
        message: `waiting for the followers of ${counted(stalled.length, 'partition')}, where records are not committed: ${listed(stalled)}`,
      };
};

/**
 * One by one would follow each other faster than leaders come home, and the last ones would lead
 * everything.
 */
export const leadersHome: Gate = (observation, brokerIds) => {
  const fault = othersOf(observation, brokerIds)
    .map((id) => ({ id, why: leadershipFault(observation, id) }))
    .find(({ why }) => why !== null);
  return fault === undefined
    ? null
    : { gate: 'LeadersAway', message: `waiting for broker ${fault.id} ${fault.why}` };
};

export const harmless: Gate = (observation, brokerIds) => {
  const verdict = verdictOn(observation, brokerIds);
  if (verdict === undefined) {
    return {
      gate: 'VerdictUnknown',
      message: `waiting for the controller to say whether ${brokersNamed(brokerIds)} may stop`,
    };
  }
  const harm = harmOf(observation, verdict);
  return harm === null
    ? null
    : { gate: 'WouldHarm', message: `waiting until ${brokersNamed(brokerIds)} may stop: ${harm}` };
};

/** A pod finds its certificate when it starts, or never starts. */
export const certified: Gate = (observation, brokerIds, nowMs) => {
  const missing = brokerIds.find((id) => !isCertified(observation, id, nowMs));
  return missing === undefined
    ? null
    : {
        gate: 'CertificateMissing',
        message: `waiting for a certificate of broker ${missing} in Secret ${certificatesSecretName(observation.cluster.metadata.name)}`,
      };
};

/** Would the pod of this broker find what it needs to speak with others? */
export function isCertified(
  { tls, tlsPhases }: Pick<Observation, 'tls' | 'tlsPhases'>,
  brokerId: number,
  nowMs: number,
): boolean {
  if (tlsPhases.given === 'Plaintext' && tlsPhases.planned === 'Plaintext') return true;
  return hasCertificate(tls, brokerId, nowMs);
}

/**
 * Is there a good certificate, of an authority that all trust?
 *
 * @param brokerId null: the operator
 */
export function hasCertificate(
  tls: Observation['tls'],
  brokerId: number | null,
  nowMs: number,
): boolean {
  const { leaves = [], trusted = [] } = tls?.certificates ?? {};
  return leaves.some(
    (leaf) =>
      leaf.brokerId === brokerId &&
      leaf.notAfterMs > nowMs &&
      leaf.signer !== null &&
      trusted.includes(leaf.signer),
  );
}

/** `rollout.policy`. */
export const rolloutPermitted: Gate = ({ cluster, template }, _, nowMs) => {
  const { policy, window } = cluster.spec.rollout;
  if (policy === 'Manual') {
    const approved = cluster.metadata.annotations?.[APPROVED_ROLLOUT_ANNOTATION];
    if (approved === template.hash) return null;
    const message = `rollout.policy is Manual: annotation ${APPROVED_ROLLOUT_ANNOTATION} is ${approved ?? 'absent'}, must be ${template.hash}`;
    return { gate: 'ApprovalMissing', message };
  }
  if (policy === 'Automatic' || (window !== undefined && isWithin(window, nowMs))) return null;
  const opensMs = window === undefined ? undefined : nextOpening(window, nowMs);
  const opening = opensMs === undefined ? 'none is given' : `it opens ${timeText(opensMs)}`;
  return { gate: 'OutsideWindow', message: `waiting for the rollout window: ${opening}` };
};

const WEEKDAYS: readonly Weekday[] = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;
/** 1970-01-01 was a Thursday. */
const EPOCH_WEEKDAY = 4;

/**
 * Whether `nowMs`, since 1970 in UTC, lies in the window; one that begins before midnight may end
 * after it.
 */
export function isWithin(window: RolloutWindow, nowMs: number): boolean {
  return openings(window, nowMs).some(
    (opensMs) => opensMs <= nowMs && nowMs < opensMs + window.durationMinutes * MINUTE_MS,
  );
}

/** When the window opens next after `nowMs`, in the same units. */
export function nextOpening(window: RolloutWindow, nowMs: number): number | undefined {
  return openings(window, nowMs).find((opensMs) => opensMs > nowMs);
}

/**
 * When it opens from yesterday to this day in a week, in order: every weekday is among the days
 * that are still to come.
 */
function openings({ start, days }: RolloutWindow, nowMs: number): number[] {
  const [hours = 0, minutes = 0] = start.split(':').map(Number);
  const yesterday = Math.floor(nowMs / DAY_MS) - 1;
  return Array.from({ length: WEEKDAYS.length + 2 }, (_, index) => yesterday + index)
    .filter((day) => {
      const weekday = WEEKDAYS[(day + EPOCH_WEEKDAY) % WEEKDAYS.length] ?? 'Sun';
      return days === undefined || days.includes(weekday);
    })
    .map((day) => day * DAY_MS + (hours * 60 + minutes) * MINUTE_MS);
}

function othersOf(observation: Observation, brokerIds: readonly number[]): number[] {
  return expectedBrokers(observation).filter((id) => !brokerIds.includes(id));
}
