/**
 * How far the log of a compacted topic shall be compacted, as its leader decides from sizes and
 * ages. What may be ordered at all, and that every replica comes to the same, is the core's affair:
 * docs/rules.md#compaction.
 *
 * A pass reads the whole log below X, so it has to be worth it: it is due when enough of what it
 * would read was never compacted. It takes sealed segments only, since each pass that seals one
 * early leaves a small file behind; a record that has waited for too long is worth that too.
 */
import type { MonotonicMs, Offset } from '../../../base/units.ts';
import type { TopicConfig } from '../../metadata/types.ts';
import type { CompactionStatus } from '../../replication/compactions.ts';
import type { LogSegment } from '../ports.ts';

/** Samples within one lag: ages are told too late by a thirty-second of it at most. */
const SAMPLES = 32;

/**
 * Which records of a log have been committed for how long, as far as this replica has seen it: no
 * producer's timestamp counts. After a start all of them are new.
 */
export class OffsetAges {
  /** Oldest first. Of those that are old enough only the newest. */
  #samples: { readonly offset: Offset; readonly atMs: MonotonicMs }[] = [];

  /** Everything below `offset` is committed. */
  note(offset: Offset, nowMs: MonotonicMs, lagMs: number): void {
    const last = this.#samples.at(-1);
    if (last === undefined || nowMs - last.atMs >= lagMs / SAMPLES)
      this.#samples.push({ offset, atMs: nowMs });
    const old = this.#samples.findLastIndex(({ atMs }) => nowMs - atMs >= lagMs);
    if (old > 0) this.#samples.splice(0, old);
    // Where the lag has become shorter.
    if (this.#samples.length > 2 * SAMPLES) this.#samples.splice(1, SAMPLES);
  }

  /** Everything below has been committed for `lagMs` or longer; 0: nothing is known to be. */
  olderThan(lagMs: number, nowMs: MonotonicMs): Offset {
    return this.#samples.findLast(({ atMs }) => nowMs - atMs >= lagMs)?.offset ?? 0;
  }
}

/** A log, as its leader sees it. */
export interface CompactionView {
  readonly config: Pick<TopicConfig, 'compactionDirtyPercent'>;
  readonly status: Pick<CompactionStatus, 'orderedTo' | 'limit'>;
  /** Oldest first; the last one is written to. */
  readonly segments: readonly LogSegment[];
  /** Below it every record is as old as `compactionLagMinMs` says. */
  readonly oldTo: Offset;
  /** Below it every record is older than `compactionLagMaxMs`; 0: none is, or it is not bounded. */
  readonly overdueTo: Offset;
  /** Where the data below an offset ends: a batch of control is no dirt. */
  readonly dataEndBelow: (offset: Offset) => Offset;
}

/** Bytes of a log that were compacted, and those that no order was given for yet. */
export interface DirtyBytes {
  readonly clean: number;
  readonly dirty: number;
}

/**
 * Bytes below `upTo`. Of a segment that is clean in part, as where another leader had others, so
 * much counts as it has offsets.
 */
export function dirtyBytes(
  { status, segments, dataEndBelow }: Pick<CompactionView, 'status' | 'segments' | 'dataEndBelow'>,
  upTo: Offset,
): DirtyBytes {
  const { orderedTo } = status;
  let [clean, dirty] = [0, 0];
  for (const { startOffset, endOffset, bytes } of segments) {
    const perOffset = bytes / Math.max(1, endOffset - startOffset);
    const share = (from: Offset, to: Offset): number =>
      Math.max(0, Math.min(endOffset, to) - Math.max(startOffset, from)) * perOffset;
    clean += share(0, orderedTo);
    dirty += share(orderedTo, upTo);
  }
  const isDirty = upTo > orderedTo && dataEndBelow(upTo) > orderedTo;
  return { clean: Math.round(clean), dirty: isDirty ? Math.round(dirty) : 0 };
}

/** X that is wanted; at or below the present one: none is. */
export function compactTo(view: CompactionView): Offset {
  const { config, status, segments, oldTo, overdueTo, dataEndBelow } = view;
  const limit = Math.min(status.limit, oldTo);
  const overdue = Math.min(limit, overdueTo);
  if (overdue > status.orderedTo && dataEndBelow(overdue) > status.orderedTo) return limit;
  const sealed = segments.slice(0, -1).findLast(({ endOffset }) => endOffset <= limit);
  const upTo = sealed?.endOffset ?? 0;
  const { clean, dirty } = dirtyBytes(view, upTo);
  const isDue = dirty > 0 && dirty * 100 >= config.compactionDirtyPercent * (clean + dirty);
  return isDue ? upTo : 0;
}
