/**
 * Dead letters of one owner: each dying record is appended to its target exactly once, whatever
 * fails (docs/rules.md#queues). That a record dies, and to where, is committed before anything is
 * appended; a frame of letters expects the end of the target up to which it is known that none of
 * them is there. So a frame that arrives late is refused by the one that came before it, and after
 * any doubt the target is searched from where it ended when it was chosen.
 */
import { QUEUE_DYING_MAX, QUEUE_LETTERS_AT_ONCE } from '../../base/limits.ts';
import type { MonotonicMs, Offset } from '../../base/units.ts';
import type { DyingValue } from './records.ts';
import type { Letter, LetterPosition, LetterResult, LetterTarget, LetterTask } from './types.ts';
import type { Entry } from './window.ts';

/** Pause after the first failure; it doubles. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;

/** A record that is on its way. */
export interface Dying {
  readonly entry: Entry;
  /** As it is committed. */
  value: DyingValue;
  readonly sinceMs: MonotonicMs;
  /** Its target exists no more, or was cut. Another is chosen. */
  isAstray: boolean;
  /** Its bytes are gone. */
  isUnreadable: boolean;
  /** What became of it, to be committed; null: nothing yet. */
  end: 'buried' | 'missing' | null;
}

/** A target that is to be committed. */
interface Choice {
  readonly offsets: readonly Offset[];
  readonly target: LetterTarget;
}

export class Deaths {
  readonly #dying = new Map<Offset, Dying>();
  #task: { readonly task: LetterTask; readonly offsets: readonly Offset[] } | null = null;
  #nextTaskId = 1;
  #choice: Choice | null = null;
  /** The target that letters are appended to now, and how far it is known. */
  #at: { readonly target: LetterTarget; searchedTo: LetterPosition; mustSearch: boolean } | null =
    null;
  #retryAtMs: MonotonicMs = 0;
  #retryMs = RETRY_MS_MIN;

  get count(): number {
    return this.#dying.size;
  }

  /** How many more may be on their way. */
  get room(): number {
    return QUEUE_DYING_MAX - this.#dying.size;
  }

  /** Since when the oldest is on its way; null: none is. */
  get oldestMs(): MonotonicMs | null {
    let oldest: MonotonicMs | null = null;
    for (const { sinceMs } of this.#dying.values())
      if (oldest === null || sinceMs < oldest) oldest = sinceMs;
    return oldest;
  }

  /** That it dies is committed. */
  add(entry: Entry, value: DyingValue, nowMs: MonotonicMs): void {
    const { offset } = entry;
    this.#dying.set(offset, {
      entry,
      value,
      sinceMs: nowMs,
      isAstray: false,
      isUnreadable: false,
      end: null,
    });
  }

  /** All of them, for a snapshot. */
  values(): ReadonlyMap<Offset, Dying> {
    return this.#dying;
  }

  /** What is at or above the offset is forgotten. */
  cut(offset: Offset): void {
    for (const each of [...this.#dying.keys()]) if (each >= offset) this.#dying.delete(each);
    // Another record may die there.
    const below = (offsets: readonly Offset[]): Offset[] => offsets.filter((each) => each < offset);
    if (this.#task !== null) this.#task = { ...this.#task, offsets: below(this.#task.offsets) };
    if (this.#choice !== null)
      this.#choice = { ...this.#choice, offsets: below(this.#choice.offsets) };
    if (this.#choice?.offsets.length === 0) this.#choice = null;
  }

  /** Those whose end is to be committed. */
  ended(): Dying[] {
    return [...this.#dying.values()].filter(({ end }) => end !== null);
  }

  /** Those whose target is to be committed, with it. */
  chosen(): { readonly offset: Offset; readonly value: DyingValue }[] {
    if (this.#choice === null) return [];
    const { offsets, target } = this.#choice;
    return offsets.flatMap((offset) => {
      const found = this.#dying.get(offset);
      return found === undefined ? [] : [{ offset, value: { ...found.value, target } }];
    });
  }

  /** A batch with what {@link ended} and {@link chosen} told is committed. */
  committed(ended: readonly Offset[], chosen: readonly { readonly value: DyingValue }[]): void {
    for (const offset of ended) this.#dying.delete(offset);
    // A cut may have ended the choice, and another may be there by now.
    if (this.#choice === null || chosen[0]?.value.target !== this.#choice.target) return;
    for (const { offset, value } of this.chosen())
      Object.assign(this.#dying.get(offset)!, { value, isAstray: false });
    this.#choice = null;
  }

  /** What is to be done now; null: nothing, or something is under way. */
  next(nowMs: MonotonicMs): LetterTask | null {
    if (this.#task !== null || this.#choice !== null || nowMs < this.#retryAtMs) return null;
    const open = [...this.#dying.values()].filter(({ end }) => end === null);
    const targeted = open.find((dying) => targetOf(dying) !== null);
    if (targeted !== undefined) return this.#bury(open, targetOf(targeted)!);
    const offsets = open.slice(0, QUEUE_LETTERS_AT_ONCE).map(({ entry }) => entry.offset);
    if (offsets.length === 0) return null;
    return this.#begin({ kind: 'locate', taskId: this.#nextTaskId++ }, offsets);
  }

  #bury(open: readonly Dying[], target: LetterTarget): LetterTask {
    if (this.#at === null || !isSame(this.#at.target, target))
      this.#at = { target, searchedTo: positionOf(target), mustSearch: false };
    const { searchedTo, mustSearch } = this.#at;
    const group = open.filter((dying) => isSame(targetOf(dying), target));
    const readable = group.filter(({ isUnreadable }) => !isUnreadable);
    const taskId = this.#nextTaskId++;
    const isSearch = mustSearch || readable.length === 0;
    const letters = (isSearch ? group : readable.slice(0, QUEUE_LETTERS_AT_ONCE)).map(letterOf);
    const offsets = letters.map(({ offset }) => offset);
    return this.#begin(
      isSearch
        ? { kind: 'search', taskId, target, from: searchedTo, letters }
        : { kind: 'append', taskId, target, end: searchedTo, letters },
      offsets,
    );
  }

  #begin(task: LetterTask, offsets: readonly Offset[]): LetterTask {
    this.#task = { task, offsets };
    return task;
  }

  /** What became of a task. One that is not under way is ignored. */
  take(taskId: number, result: LetterResult, nowMs: MonotonicMs): void {
    if (this.#task?.task.taskId !== taskId) return;
    const { task, offsets } = this.#task;
    this.#task = null;
    if (result.kind === 'failed') {
      if (this.#at !== null) this.#at.mustSearch = true;
      this.#retryAtMs = nowMs + this.#retryMs;
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
      return;
    }
    this.#retryMs = RETRY_MS_MIN;
    if (result.kind === 'located') {
      if (task.kind === 'locate' && offsets.length > 0)
        this.#choice = { offsets, target: result.target };
    } else if (task.kind !== 'locate' && this.#at !== null) this.#learn(task, offsets, result);
  }

  #learn(
    task: LetterTask & { readonly kind: 'append' | 'search' },
    offsets: readonly Offset[],
    result: Exclude<LetterResult, { readonly kind: 'located' | 'failed' }>,
  ): void {
    const at = this.#at!;
    const own = (of: readonly Offset[]): Dying[] =>
      of
        .filter((offset) => offsets.includes(offset))
        .flatMap((offset) => this.#dying.get(offset) ?? []);
    switch (result.kind) {
      case 'appended':
        for (const dying of own(result.offsets)) dying.end = 'buried';
        at.mustSearch = true;
        return;
      case 'missing':
        // One that failed before, here or at an earlier owner, may have appended it.
        for (const dying of own(result.offsets)) dying.isUnreadable = true;
        at.mustSearch = true;
        return;
      case 'taken':
        at.mustSearch = true;
        return;
      case 'cut':
        this.#cutBelow(at, offsets);
        return;
      case 'target-gone':
        this.#leaveTarget(offsets);
        return;
      case 'searched':
        this.#searched(task, own(offsets), own(result.offsets), result.end);
    }
  }

  #searched(
    task: LetterTask & { readonly kind: 'append' | 'search' },
    asked: readonly Dying[],
    found: readonly Dying[],
    end: LetterPosition,
  ): void {
    const at = this.#at!;
    for (const dying of found) dying.end = 'buried';
    for (const dying of asked) if (dying.end === null && dying.isUnreadable) dying.end = 'missing';
    // The others of this target were not looked for.
    const isAll = [...this.#dying.values()].every(
      (dying) =>
        dying.end !== null || asked.includes(dying) || !isSame(targetOf(dying), task.target),
    );
    at.mustSearch = !isAll;
    if (isAll) at.searchedTo = end;
  }

  /**
   * What was searched is not there any more. While the place from which the target was chosen is,
   * a frame that is late may still find the end there that it expects, so this target is kept. Once
   * that place is gone too, no frame for it can be appended.
   */
  #cutBelow(
    at: { readonly target: LetterTarget; searchedTo: LetterPosition; mustSearch: boolean },
    offsets: readonly Offset[],
  ): void {
    at.mustSearch = true;
    const { from, epoch } = at.searchedTo;
    const isBegin = from === at.target.from && epoch === at.target.epoch;
    if (isBegin) this.#leaveTarget(offsets);
    else at.searchedTo = positionOf(at.target);
  }

  /** Another target is chosen, and committed before anything is appended to it. */
  #leaveTarget(offsets: readonly Offset[]): void {
    for (const offset of offsets) {
      const dying = this.#dying.get(offset);
      if (dying?.end === null) dying.isAstray = true;
    }
    this.#at = null;
  }
}

function letterOf({ entry, value }: Dying): Letter {
  const { offset, epoch, deliveries } = entry;
  const { cause, reason } = value;
  return { offset, epoch, deliveries, cause, reason };
}

function positionOf({ from, epoch }: LetterPosition): LetterPosition {
  return { from, epoch };
}

function targetOf({ value, isAstray }: Dying): LetterTarget | null {
  return isAstray ? null : value.target;
}

function isSame(a: LetterTarget | null, b: LetterTarget): boolean {
  const isThere = a?.topicId === b.topicId && a.partition === b.partition;
  return isThere && a.from === b.from && a.epoch === b.epoch;
}
