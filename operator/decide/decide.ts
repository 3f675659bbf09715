/**
 * `decide(observation, now) -> plan`. Pure and total: everything the operator does is decided here.
 * A plan holds at most one disruption, and what is found in the ledger goes before anything new.
 */
import type { Disruption, LogClusterStatus } from '../api/types.ts';
import { adoptionEvents, bootstrap } from './bootstrap.ts';
import { keepCertificates } from './certificates.ts';
import { departures } from './departed.ts';
import { budgetActions, evictable, withdraw } from './drain.ts';
import { labelClaims, markClaims } from './identity.ts';
import { followMin } from './min.ts';
import { beginRoll, continueRoll, healStuck } from './roll.ts';
import {
  emptiedClaims,
  isTakenBack,
  limitMoves,
  rebalance,
  recommissions,
  scaleDown,
} from './scale.ts';
import { settingsActions } from './settings.ts';
import { mutationText, nextStatus, stuckReason } from './status.ts';
import { stays } from './stay.ts';
import { NOTHING, type Step } from './step.ts';
import { stepToTls, tlsFixed } from './to-tls.ts';
import type { Action, EventNote, Observation, Outcome, Part, Plan, Refusal } from './types.ts';
import { beginReplace, continueReplace, growVolumes, urgentReplace } from './volumes.ts';
import { namesTaken, workloadActions } from './workload.ts';

/** While something is under way; changes of pods come by themselves, those of brokers do not. */
const BUSY_MS = 1_000;
/** Otherwise: how old the answer behind the disruption budget may become. */
const IDLE_MS = 5_000;
const NO_PART: Part = { actions: [], events: [] };

/** @param nowMs milliseconds since 1970, UTC */
export function decide(observation: Observation, nowMs: number): Plan {
  const { cluster, faults } = observation;
  const untouched = outcomeOf(observation, NOTHING);
  // What belongs to the cluster goes with it; nothing is to be made anew meanwhile.
  if (cluster.metadata.deletionTimestamp !== undefined) {
    return {
      parts: [],
      disruption: NO_PART,
      events: [],
      status: null,
      outcome: untouched,
      blockedBy: null,
      requeueAfterMs: BUSY_MS,
    };
  }
  if (faults.length > 0 || cluster.spec.paused === 'All')
    return conclude(observation, ...keepGoing(observation, untouched, nowMs), nowMs);
  const base = workloadActions(observation, nowMs);
  const formed = bootstrap(observation);
  if (formed.step !== null) {
    const { step, clusterId } = formed;
    const outcome = { ...outcomeOf(observation, step), clusterId };
    const budget = budgetActions(observation, evictable(observation, outcome.disruption));
    const heal = healStuck(observation, nowMs);
    const parts = [...single(base), ...single(budget), ...single(heal.actions, heal.events)];
    return conclude(observation, parts, step, outcome, nowMs);
  }
  return operate(observation, base, formed.clusterId, nowMs);
}

/**
 * What a spec that cannot be believed, or that is paused, does not stop: the budget goes on to say
 * whom others may evict, and what is lost is repaired.
 */
function keepGoing(
  observation: Observation,
  untouched: Outcome,
  nowMs: number,
): readonly [readonly Part[], Part, Outcome] {
  const { cluster, faults } = observation;
  const entry = cluster.status?.disruption;
  const isPaused = faults.length === 0 || cluster.spec.paused === 'All';
  const isRepair = entry === undefined || entry.kind === 'ReplaceVolume';
  const step =
    isPaused || !isRepair
      ? NOTHING
      : entry === undefined
        ? (beginReplace(observation, nowMs) ?? NOTHING)
        : continueReplace(observation, entry, nowMs);
  const before = entry ?? null;
  const disruption = step.disruption === undefined ? before : step.disruption;
  const { doing, waitingFor, refusal } = step;
  const refusals = refusal === null ? untouched.refusals : [refusal];
  const outcome = { ...untouched, disruption, doing, waitingFor, refusals };
  // What is held up stops nobody, whatever the ledger says: who may be evicted follows from what is
  // seen alone. An entry that nobody may finish would else keep nodes from being drained for ever.
  const underWay = step === NOTHING ? null : (disruption ?? before);
  const budget = budgetActions(observation, evictable(observation, underWay));
  const back = isPaused ? NOTHING : stays(observation, step.actions);
  return [[...single(budget), ...single(back.actions, back.events)], step, outcome];
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
  const toTls = stepToTls(observation, nowMs);
  const before = observation.cluster.status?.disruption ?? null;
  const disruption = step.disruption === undefined ? before : step.disruption;
  const speaking = [step, ...refused, heal, toTls.step, min.step, moves, growth];
  const outcome: Outcome = {
    clusterId,
    disruption,
    doing: speaking.map(({ doing }) => doing).find((doing) => doing !== null) ?? null,
    waitingFor:
      speaking.map(({ waitingFor }) => waitingFor).find((waitingFor) => waitingFor !== null) ??
      null,
    refusals: [step, ...refused, toTls.step, min.step, growth].flatMap(({ refusal }) =>
      refusal === null ? [] : [refusal],
    ),
    tlsPhase: toTls.phase,
    minInSyncReplicas: min.given,
    minInSyncReplicasPending: min.pending,
  };
  // Others may evict nobody from the moment on that the ledger holds an entry.
  const allowed = evictable(observation, disruption ?? before);
  const budget = budgetActions(observation, allowed);
  const away = withdraw(observation, allowed);
  // While pods are being added or the template changed, the objects come first.
  const isHeld = base.some(({ kind }) => kind === 'apply-workload' || kind === 'delete-claim');
  const last = isHeld && step.actions.length > 0 ? NO_PART : step;
  const back = stays(observation, last.actions);
  const gone = departures(observation);
  const parts = [
    ...single(budget),
    ...single(base),
    ...single([
      ...limitMoves(observation),
      ...recommissions(observation),
      ...growth.actions,
      ...emptiedClaims(observation).map(
        ({ name, uid }) => ({ kind: 'delete-claim', name, uid }) as const,
      ),
      ...markClaims(observation),
      ...labelClaims(observation),
    ]),
    ...single(min.step.actions, min.step.events),
    ...single(moves.actions, moves.events),
    ...single(heal.actions, heal.events),
    ...single(away.actions, away.events),
    ...single(back.actions, back.events),
    ...single(gone.actions, gone.events),
    ...single(settingsActions(observation, min.usable)),
  ];
  const plan = conclude(observation, parts, last, outcome, nowMs);
  return { ...plan, events: [...adoptionEvents(observation), ...plan.events] };
}

/** Each action by itself: none waits for another. */
function single(actions: readonly Action[], events: readonly EventNote[] = []): Part[] {
  if (actions.length === 0) return events.length === 0 ? [] : [{ actions, events }];
  return actions.map((action, index) => ({
    actions: [action],
    events:
      events.length === actions.length ? events.slice(index, index + 1) : index === 0 ? events : [],
  }));
}

/** The one disruption: what the ledger says, else the first that is wanted and permitted. */
function disrupt(
  observation: Observation,
  nowMs: number,
): { readonly step: Step; readonly refused: readonly Step[] } {
  const entry = observation.cluster.status?.disruption;
  if (entry !== undefined) {
    const urgent = urgentReplace(observation, entry, nowMs);
    return { step: urgent ?? continued(observation, entry, nowMs), refused: [] };
  }
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

function outcomeOf(
  { cluster, tlsPhases }: Observation,
  { doing, waitingFor, refusal }: Step,
): Outcome {
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
    tlsPhase: tlsPhases.planned,
    minInSyncReplicas,
    minInSyncReplicasPending,
  };
}

function conclude(
  observation: Observation,
  given: readonly Part[],
  { actions, events }: Part,
  before: Outcome,
  nowMs: number,
): Plan {
  const tls = keepCertificates(observation, nowMs);
  const parts = [...single(tls.actions, tls.events), ...given];
  const own = [namesTaken(observation), tls.refusal, tlsFixed(observation)];
  const outcome = {
    ...before,
    refusals: [...own.filter((refusal) => refusal !== null), ...before.refusals],
  };
  const isBusy =
    parts.length + actions.length > 0 ||
    outcome.doing !== null ||
    outcome.disruption !== null ||
    outcome.clusterId === undefined;
  return {
    parts,
    disruption: { actions, events },
    events: [
      ...refusalEvents(observation, outcome),
      ...mutationEvents(observation),
      ...stuckEvents(observation),
    ],
    status: nextStatus(observation, outcome, nowMs),
    outcome,
    blockedBy: outcome.refusals[0]?.gate ?? null,
    requeueAfterMs: isBusy ? BUSY_MS : IDLE_MS,
  };
}

/**
 * The status where parts of the plan have failed: what was to be done is said all the same, and
 * why it is not.
 */
export function statusAfter(
  observation: Observation,
  { outcome, status }: Plan,
  failures: readonly Refusal[],
  nowMs: number,
): LogClusterStatus | null {
  if (failures.length === 0) return status;
  const refusals = [...failures, ...outcome.refusals];
  const waitingFor = outcome.waitingFor ?? failures[0]?.message ?? null;
  return nextStatus(observation, { ...outcome, refusals, waitingFor }, nowMs);
}

/** A refusal is told once, when it is new. */
function refusalEvents({ cluster }: Observation, { refusals }: Outcome): EventNote[] {
  const [refusal] = refusals;
  const { conditions = [] } = cluster.status ?? {};
  if (refusal === undefined || conditions.some(({ reason }) => reason === refusal.gate)) return [];
  return [{ reason: refusal.gate, note: refusal.message }];
}

/** Told once, when Degraded is so for this reason. */
function stuckEvents(observation: Observation): EventNote[] {
  const reason = stuckReason(observation);
  const { conditions = [] } = observation.cluster.status ?? {};
  const isTold = conditions.some((each) => each.type === 'Degraded' && each.reason === reason);
  const isDegraded = observation.cluster.status?.clusterId !== undefined;
  if (reason === null || isTold || !isDegraded) return [];
  const pod = observation.pods.find(({ stuck }) => stuck !== null);
  if (pod === undefined) return [];
  return [{ reason, note: `Pod ${pod.name} does not run: ${pod.stuck}`, brokerId: pod.brokerId }];
}

/** Told once, when the condition is new. */
function mutationEvents({ cluster, mutated }: Observation): EventNote[] {
  const { conditions = [] } = cluster.status ?? {};
  const isTold = conditions.some(({ type }) => type === 'TemplateMutated');
  if (mutated.length === 0 || isTold) return [];
  return [{ reason: 'TemplateMutated', note: mutationText(mutated) }];
}
