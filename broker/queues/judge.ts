/** What an acknowledgement does, by what is committed and leased now. Changes nothing. */
import { BrokerError } from '../../base/errors.ts';
import { isOffset, QUEUE_REASON_LENGTH_MAX } from '../../base/limits.ts';
import type { Offset, WallMs } from '../../base/units.ts';
import { DUE_STEP_MS } from './runs.ts';
import type { Acknowledgement, DeathCause, QueueConfig } from './types.ts';
import type { Entry } from './window.ts';

/** What an acknowledgement asks for. */
export type Ruling =
  | { readonly kind: 'accept' | 'extend' | 'settled' }
  | { readonly kind: 'release'; readonly deliveries: number; readonly dueMs: WallMs }
  | { readonly kind: 'die'; readonly cause: DeathCause; readonly reason: string }
  | { readonly kind: 'refuse'; readonly error: BrokerError };

export interface JudgeParts {
  readonly config: QueueConfig;
  readonly memberId: string;
  /** Null: the clock is not trusted. */
  readonly wallMs: WallMs | null;
  /** Below it every record was handed out, or is final. */
  readonly touchedTo: Offset;
  /** How many more records may be dying. */
  readonly dyingRoom: number;
}

/** @param entry of its offset, if there is one */
export function judge(
  acknowledgement: Acknowledgement,
  entry: Entry | undefined,
  parts: JudgeParts,
): Ruling {
  const { offset, epoch, delivery, verdict } = acknowledgement;
  if (entry?.isOpen !== true) {
    if (offset >= parts.touchedTo) return lost(acknowledgement, 'was not delivered by this owner');
    // There is nothing to go on with.
    return verdict.kind === 'extend'
      ? lost(acknowledgement, 'has its final fate')
      : { kind: 'settled' };
  }
  if (entry.epoch !== epoch) return lost(acknowledgement, 'is another record by now');
  if (entry.deliveries !== delivery)
    return lost(acknowledgement, `is at delivery ${String(entry.deliveries)}`);
  const { kind } = entry.change ?? entry;
  if (kind !== 'leased')
    return isRepeated(verdict, entry)
      ? { kind: 'settled' }
      : lost(acknowledgement, `is not leased, but ${kind}`);
  if (entry.holder !== null && entry.holder !== parts.memberId)
    return lost(acknowledgement, 'is with another member');
  return carriedOut(acknowledgement, parts);
}

/** What it asks for is so already. */
function isRepeated(verdict: Acknowledgement['verdict'], entry: Entry): boolean {
  const { kind, dueMs } = entry.change ?? entry;
  switch (verdict.kind) {
    case 'accept':
      return kind === 'final';
    case 'reject':
      return kind === 'dying' || kind === 'parked';
    case 'release':
      // A lease that ended without a word has no delay; a release at the last delivery is death.
      if (kind === 'waiting') return verdict.delayMs === 0 || dueMs > 0 || entry.wasDelayed;
      return kind === 'dying' || kind === 'parked';
    case 'extend':
    case 'unsent':
      return false;
  }
}

function carriedOut({ delivery, verdict }: Acknowledgement, parts: JudgeParts): Ruling {
  const { config, wallMs } = parts;
  switch (verdict.kind) {
    case 'accept':
    case 'extend':
      return { kind: verdict.kind };
    case 'unsent':
      return { kind: 'release', deliveries: delivery - 1, dueMs: 0 };
    case 'reject':
      if (!config.hasDeadLetters)
        return invalid('verdict is reject, must be another: the queue has no dead-letter topic');
      return dies({ kind: 'die', cause: 'rejected', reason: verdict.reason }, parts);
    case 'release': {
      if (config.deliveriesMax > 0 && delivery >= config.deliveriesMax) {
        // Where there is no room it waits for it, and is not delivered.
        const death = { kind: 'die', cause: 'deliveries', reason: '' } as const;
        return parts.dyingRoom > 0 ? death : { kind: 'release', deliveries: delivery, dueMs: 0 };
      }
      const delayMs = Math.max(verdict.delayMs, config.delayMsMin);
      if (delayMs === 0) return { kind: 'release', deliveries: delivery, dueMs: 0 };
      if (wallMs === null)
        return refuse(
          new BrokerError(
            'BROKER_NOT_READY',
            'Cannot delay the record: the clock of the broker is not trusted yet',
          ),
        );
      return {
        kind: 'release',
        deliveries: delivery,
        dueMs: Math.ceil((wallMs + delayMs) / DUE_STEP_MS) * DUE_STEP_MS,
      };
    }
  }
}

function dies(death: Ruling, { dyingRoom }: JudgeParts): Ruling {
  if (dyingRoom > 0) return death;
  return refuse(
    new BrokerError('OVERLOADED', 'As many records of the queue are dying as may be at a time'),
  );
}

function refuse(error: BrokerError): Ruling {
  return { kind: 'refuse', error };
}

function invalid(message: string): Ruling {
  return refuse(new BrokerError('INVALID_ARGUMENT', message));
}

function lost({ offset, delivery }: Acknowledgement, why: string): Ruling {
  return refuse(
    new BrokerError(
      'LEASE_LOST',
      `The lease of delivery ${String(delivery)} is over: record ${String(offset)} ${why}`,
    ),
  );
}

/** What is wrong with an acknowledgement as such; null: nothing. */
export function acknowledgementFault(
  { offset, epoch, delivery, verdict }: Acknowledgement,
  { delayMsMax }: QueueConfig,
): BrokerError | null {
  const fault =
    !isOffset(offset) || offset < 0
      ? `offset is ${String(offset)}, must be an offset`
      : !isCount(epoch)
        ? `epoch is ${String(epoch)}, must be 0 or greater`
        : !isCount(delivery) || delivery < 1
          ? `delivery is ${String(delivery)}, must be 1 or greater`
          : verdictFault(verdict, delayMsMax);
  return fault === null ? null : new BrokerError('INVALID_ARGUMENT', fault);
}

function verdictFault(verdict: Acknowledgement['verdict'], delayMsMax: number): string | null {
  if (verdict.kind === 'release') {
    const { delayMs } = verdict;
    return isCount(delayMs) && delayMs <= delayMsMax
      ? null
      : `delay_ms is ${String(delayMs)}, must be 0 to ${String(delayMsMax)}`;
  }
  if (verdict.kind !== 'reject' || verdict.reason.length <= QUEUE_REASON_LENGTH_MAX) return null;
  return `reason has ${String(verdict.reason.length)} characters, must have at most ${String(QUEUE_REASON_LENGTH_MAX)}`;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
