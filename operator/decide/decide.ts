/**
 * `decide(observation, now) -> plan`. Pure and total: everything the operator does is decided here. A plan holds at most one disruption, and what is found in the
 * ledger goes before anything new.
 */
import type { Disruption } from '../api/types.ts';
import { adoptionEvents, bootstrap } from './bootstrap.ts';
import { budgetActions, evictable } from './drain.ts';
import { markClaims } from './identity.ts';
import { followMin } from './min.ts';
import { beginRoll, continueRoll, healStuck } from './roll.ts';
import { isTakenBack, limitMoves, rebalance, recommissions, scaleDown } from './scale.ts';
import { settingsActions } from './settings.ts';
import { nextStatus, type Outcome } from './status.ts';
import { stays } from './stay.ts';
import { NOTHING, type Step } from './step.ts';
import { topicActions } from './topics.ts';
import type { Action, EventNote, Observation, Plan } from './types.ts';
import { beginReplace, continueReplace, growVolumes } from './volumes.ts';
import { workloadActions } from './workload.ts';

/** While something is under way; changes of pods come by themselves, those of brokers do not. */
const BUSY_MS = 1_000;
/** Otherwise: how old the answer behind the disruption budget may become. */
const IDLE_MS = 5_000;

/** @param nowMs milliseconds since 1970, UTC */
export function decide(observation: Observation, nowMs: number): Plan {
  const { cluster, faults } = observation;
  // What belongs to the cluster goes with it; nothing is to be made anew meanwhile.
  if (cluster.metadata.deletionTimestamp !== undefined) {
    return {
      actions: topicActions(observation, nowMs),
      events: [],
      blockedBy: null,
      requeueAfterMs: BUSY_MS,
    };
  }
  const untouched = outcomeOf(observation, NOTHING);
  if (faults.length > 0 || cluster.spec.paused === 'All')
    return conclude(observation, [], [], untouched, nowMs);
  const base = workloadActions(observation);
  const formed = bootstrap(observation);
  if (formed.step !== null) {
    const { step, clusterId } = formed;
    const outcome = { ...outcomeOf(observation, step), clusterId };
    const budget = budgetActions(observation, evictable(observation, outcome.disruption));
    const heal = healStuck(observation, nowMs);
    return conclude(
      observation,
      [...base, ...budget, ...heal.actions, ...step.actions],
      [...heal.events, ...step.events],
      outcome,
      nowMs,
    );
  }
  return operate(observation, base, formed.clusterId, nowMs);
}

/** Work on a cluster that is formed. */
function operate(
  observation: Observation,
  base: readonly Action[],
  clusterId: string | undefined,
  nowMs: number,
): Plan {
  const { step, refused } = disrupt(observation, nowMs);
  const heal = healStuck(observation, nowMs);
  const min = followMin(observation);
  const moves = rebalance(observation, nowMs);
  const growth = growVolumes(observation);
  const steps = [heal, step, min.step, moves].filter((each) => each !== NOTHING);
  const live = [
    ...limitMoves(observation),
    ...recommissions(observation),
    ...growth.actions,
    ...markClaims(observation),
    ...topicActions(observation, nowMs),
  ];
  const before = observation.cluster.status?.disruption ?? null;
  const disruption = step.disruption === undefined ? before : step.disruption;
  const speaking = [step, ...refused, heal, min.step, moves, growth];
  const outcome: Outcome = {
    clusterId,
    disruption,
    doing: speaking.map(({ doing }) => doing).find((doing) => doing !== null) ?? null,
    waitingFor:
      speaking.map(({ waitingFor }) => waitingFor).find((waitingFor) => waitingFor !== null) ??
      null,
    refusals: [step, ...refused, min.step, growth].flatMap(({ refusal }) =>
      refusal === null ? [] : [refusal],
    ),
    minInSyncReplicas: min.given,
    minInSyncReplicasPending: min.pending,
  };
  // Others may evict nobody from the moment on that the ledger holds an entry.
  const budget = budgetActions(observation, evictable(observation, disruption ?? before));
  const actions = [
    ...base,
    ...budget,
    ...live,
    ...min.step.actions,
    ...moves.actions,
    ...heal.actions,
  ];
  // While pods are being added or the template changed, the objects come first.
  const last = base.length === 0 ? step.actions : [];
  const events = steps.flatMap((each) =>
    each === step && last.length === 0 && each.actions.length > 0 ? [] : each.events,
  );
  const back = stays(observation, last);
  const set = settingsActions(observation, [min.given, ...min.pending]);
  const told = [...adoptionEvents(observation), ...events, ...back.events];
  const all = [...actions, ...back.actions, ...set, ...last];
  return conclude(observation, all, told, outcome, nowMs);
}

/** The one disruption: what the ledger says, else the first that is wanted and permitted. */
function disrupt(
  observation: Observation,
  nowMs: number,
): { readonly step: Step; readonly refused: readonly Step[] } {
  const entry = observation.cluster.status?.disruption;
  if (entry !== undefined) return { step: continued(observation, entry, nowMs), refused: [] };
  const refused: Step[] = [];
  for (const begin of [scaleDown, beginReplace, beginRoll]) {
    const step = begin(observation, nowMs);
    if (step !== null && step.refusal === null) return { step, refused };
    if (step !== null) refused.push(step);
  }
  return { step: NOTHING, refused };
}

function continued(observation: Observation, entry: Disruption, nowMs: number): Step {
  switch (entry.kind) {
    case 'Roll':
      return continueRoll(observation, entry, nowMs);
    case 'ScaleDown':
      return isTakenBack(observation, entry)
        ? { ...NOTHING, disruption: null }
        : (scaleDown(observation, nowMs) ?? NOTHING);
    case 'ReplaceVolume':
      return continueReplace(observation, entry, nowMs);
    case 'Drain':
    case 'Resize':
      // Neither stops a broker of its own here: nothing is left to do.
      return { ...NOTHING, disruption: null };
  }
}

function outcomeOf({ cluster }: Observation, { doing, waitingFor, refusal }: Step): Outcome {
  const {
    clusterId,
    disruption = null,
    minInSyncReplicas,
    minInSyncReplicasPending = [],
  } = cluster.status ?? {};
  return {
    clusterId,
    disruption,
    doing,
    waitingFor,
    refusals: refusal === null ? [] : [refusal],
    minInSyncReplicas,
    minInSyncReplicasPending,
  };
}

function conclude(
  observation: Observation,
  actions: readonly Action[],
  events: readonly EventNote[],
  outcome: Outcome,
  nowMs: number,
): Plan {
  const status = nextStatus(observation, outcome, nowMs);
  const refusals = refusalEvents(observation, outcome);
  const isBusy =
    actions.length > 0 ||
    outcome.doing !== null ||
    outcome.disruption !== null ||
    outcome.clusterId === undefined;
  return {
    actions: status === null ? actions : [...actions, { kind: 'write-status', status }],
    events: [...events, ...refusals],
    blockedBy: outcome.refusals[0]?.gate ?? null,
    requeueAfterMs: isBusy ? BUSY_MS : IDLE_MS,
  };
}

/** A refusal is told once, when it is new. */
function refusalEvents({ cluster }: Observation, { refusals }: Outcome): EventNote[] {
  const [refusal] = refusals;
  const ready = cluster.status?.conditions?.find(({ type }) => type === 'Ready');
  if (refusal === undefined || ready?.reason === refusal.gate) return [];
  return [{ type: 'Warning', reason: refusal.gate, action: 'Refuse', note: refusal.message }];
}
