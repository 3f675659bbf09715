/**
 * Carries out a plan: each part by itself, so that what is refused stops nothing else; the one
 * disruption last, and only where the objects that it relies on were applied.
 */
import { BrokerError } from '../../base/errors.ts';
import type { Action, EventNote, Part, Plan } from '../decide/types.ts';
import { KubeError } from '../kube/kube-error.ts';
import { OutdatedError } from './outdated.ts';
import type { Attempts } from './attempts.ts';
import { reasonOf } from '../../base/reason.ts';

export interface CarryOutOptions {
  readonly perform: (action: Action) => Promise<void>;
  /** True where the whole pass must end: leadership is lost, its time is over. */
  readonly isOver: () => boolean;
  readonly monotonicMs: () => number;
  readonly attempts: Attempts;
  readonly onError: (action: Action, error: unknown) => void;
}

export interface CarriedOut {
  /** Of parts that were carried out. */
  readonly events: readonly EventNote[];
  /** Something was done: the next pass is to see it. */
  readonly hasActed: boolean;
}

/** Rejects where nothing can be done at all, as when the API server does not answer. */
export async function carryOut(
  { parts, disruption }: Plan,
  options: CarryOutOptions,
): Promise<CarriedOut> {
  const { attempts } = options;
  attempts.keep([...parts, disruption]);
  const done: Part[] = [];
  let canDisrupt = true;
  for (const part of parts) {
    if (await carryOutPart(part, options)) done.push(part);
    else if (part.actions.some(isReliedOn)) canDisrupt = false;
  }
  if (canDisrupt && (await carryOutPart(disruption, options))) done.push(disruption);
  return {
    events: done.flatMap(({ events }) => events),
    hasActed: done.some(({ actions }) => actions.length > 0),
  };
}

/** A stop without its budget would let others stop a second broker. */
function isReliedOn({ kind }: Action): boolean {
  return kind === 'apply-budget' || kind === 'apply-workload';
}

/** False where it failed, or its time has not come. */
async function carryOutPart(part: Part, options: CarryOutOptions): Promise<boolean> {
  const { perform, isOver, monotonicMs, attempts, onError } = options;
  if (!attempts.isDue(part, monotonicMs())) return false;
  for (const action of part.actions) {
    try {
      await perform(action);
    } catch (error) {
      if (isOver() || isUnreachable(error)) throw error;
      onError(action, error);
      const isOutdated =
        error instanceof OutdatedError || (error instanceof KubeError && error.status === 409);
      const message = isOutdated ? null : `${labelOf(action)}: ${reasonOf(error)}`;
      attempts.failed(part, monotonicMs(), message, isRefusal(error));
      return false;
    }
  }
  attempts.succeeded(part);
  return true;
}

/** The API server said no, and would say it again. */
export function isRefusal(error: unknown): boolean {
  return error instanceof KubeError
    ? error.status !== 0 && !error.isTransient
    : error instanceof BrokerError && error.retry === 'no';
}

/** No call would get anywhere now. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 0 || error.status === 429);
}

/** `apply-budget`, `grow-claim data-orders-1`. */
function labelOf(action: Action): string {
  return 'name' in action ? `${action.kind} ${action.name}` : action.kind;
}
