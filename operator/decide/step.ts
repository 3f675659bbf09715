/** One part's share of a plan. Pure. */
import type { Disruption, DisruptionKind } from '../api/types.ts';
import { podOf, registeredBroker } from './service.ts';
import type { Action, EventNote, Observation, Refusal } from './types.ts';

export interface Step {
  readonly actions: readonly Action[];
  readonly events: readonly EventNote[];
  /** The ledger's entry after this step; undefined: as it was. */
  readonly disruption?: Disruption | null;
  /** What is being done, in words. */
  readonly doing: string | null;
  /** What it waits for, in words. */
  readonly waitingFor: string | null;
  /** Why it is not done. */
  readonly refusal: Refusal | null;
}

export const NOTHING: Step = {
  actions: [],
  events: [],
  doing: null,
  waitingFor: null,
  refusal: null,
};

export function waits(doing: string, waitingFor: string): Step {
  return { ...NOTHING, doing, waitingFor };
}

export function refuses(doing: string, refusal: Refusal): Step {
  return { ...NOTHING, doing, waitingFor: refusal.message, refusal };
}

export function acts(
  doing: string,
  actions: readonly Action[],
  events: readonly EventNote[] = [],
): Step {
  return { ...NOTHING, doing, actions, events };
}

/**
 * Writes the entry down, and does nothing yet: whoever takes over after a crash must find it before
 * anything has happened.
 *
 * @param phase how far it is
 */
export function begins(
  observation: Observation,
  kind: DisruptionKind,
  brokerIds: readonly number[],
  {
    doing,
    phase,
    nowMs,
  }: { readonly doing: string; readonly phase: string; readonly nowMs: number },
): Step {
  const disruption: Disruption = {
    kind,
    brokerIds,
    podUids: brokerIds.map((id) => podOf(observation, id)?.uid ?? ''),
    brokerEpochs: brokerIds.map((id) => registeredBroker(observation, id)?.brokerEpoch ?? 0),
    templateHash: observation.template.hash,
    startedAt: timeText(nowMs),
    phase,
  };
  return { ...NOTHING, disruption, doing };
}

const DAY_SECONDS = 86_400;
/** Days of 400 years, after which the calendar repeats itself. */
const ERA_DAYS = 146_097;
/** Days from 0000-03-01, where an era begins, to 1970-01-01. */
const EPOCH_DAYS = 719_468;

/**
 * RFC 3339 in whole seconds, without a clock's help. The calendar is the Gregorian one, counted
 * from March so that a leap day ends its year.
 */
export function timeText(nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000);
  const days = Math.floor(seconds / DAY_SECONDS) + EPOCH_DAYS;
  const era = Math.floor(days / ERA_DAYS);
  const dayOfEra = days - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const ofDay = seconds - Math.floor(seconds / DAY_SECONDS) * DAY_SECONDS;
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const time = [Math.floor(ofDay / 3600), Math.floor(ofDay / 60) % 60, ofDay % 60].map((part) =>
    pad(part),
  );
  return `${pad(year, 4)}-${pad(month)}-${pad(day)}T${time.join(':')}Z`;
}
