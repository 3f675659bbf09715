/**
 * Conditions by Kubernetes' conventions: `lastTransitionTime` moves only where `status` does. Pure.
 */
import { MESSAGE_LENGTH_MAX } from '../api/status.ts';
import type { Condition } from '../api/types.ts';
import { shortened } from './service.ts';
import { timeText } from './step.ts';

export type ConditionNow = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** `now` in its order, with what stays from `before`. */
export function withConditions(
  before: readonly Condition[],
  generation: number,
  nowMs: number,
  now: readonly ConditionNow[],
): Condition[] {
  return now.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    return {
      type: condition.type,
      status: condition.status,
      observedGeneration: generation,
      lastTransitionTime:
        old?.status === condition.status ? old.lastTransitionTime : timeText(nowMs),
      reason: condition.reason,
      message: shortened(condition.message, MESSAGE_LENGTH_MAX),
    };
  });
}

/** Whether two statuses say the same: an API server answers with their fields in its own order. */
export function isSameStatus(left: object, right: object): boolean {
  return canonical(left) === canonical(right);
}

function canonical(value: object): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}
