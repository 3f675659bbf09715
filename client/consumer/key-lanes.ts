/**
 * What is being worked on at the same time: lanes, in each of which one job runs after the other,
 * and slots, whose position moves only past what is finished. Pure: knows neither records nor
 * promises.
 */
import { assert } from '../../base/assert.ts';

/** Bounds. */
export interface LaneLimits {
  /** Most jobs that run at a time. */
  readonly runningMax: number;
  /** Most jobs from the oldest that is unfinished to the newest, over all slots. */
  readonly jobsMax: number;
}

/** Something to do, in the order in which it came within its slot. */
export interface Job<Item> {
  readonly item: Item;
  readonly slot: string;
  /** Of this slot alone. Null: it waits for nobody. */
  readonly lane: string | null;
}

/** A job that began or waits, and the place behind it. */
interface Tracked<Item, Place> extends Job<Item> {
  place: Place;
  isFinished: boolean;
}

export class KeyLanes<Item, Place> {
  readonly #limits: LaneLimits;
  /** Jobs of each slot from its oldest unfinished one on. */
  readonly #slots = new Map<string, Tracked<Item, Place>[]>();
  /** Of each lane that has a job which is ready or runs, those that wait for it. */
  readonly #lanes = new Map<string, Tracked<Item, Place>[]>();
  #ready: Tracked<Item, Place>[] = [];
  readonly #running = new Set<Job<Item>>();
  #tracked = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** Nothing may be added until the oldest job of some slot is finished. */
  get isFull(): boolean {
    return this.#tracked >= this.#limits.jobsMax;
  }

  /** Jobs that run. */
  get running(): number {
    return this.#running.size;
  }

  /** Nothing runs or waits. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#ready.length === 0;
  }

  /** `place`: the slot's position once this and all before it are finished. */
  add({ item, slot, lane }: Job<Item>, place: Place): void {
    assert(!this.isFull, `${this.#tracked} jobs must be below ${this.#limits.jobsMax}`);
    const job = { item, slot, lane, place, isFinished: false };
    const jobs = this.#slots.get(slot);
    if (jobs === undefined) this.#slots.set(slot, [job]);
    else jobs.push(job);
    this.#tracked += 1;
    const waiting = lane === null ? undefined : this.#lanes.get(lane);
    if (waiting !== undefined) {
      waiting.push(job);
      return;
    }
    if (lane !== null) this.#lanes.set(lane, []);
    this.#ready.push(job);
  }

  /**
   * The slot goes on to a place without a job. Returns whether that is its position now; else it is
   * once everything before it is finished.
   */
  pass(slot: string, place: Place): boolean {
    const last = this.#slots.get(slot)?.at(-1);
    if (last === undefined) return true;
    last.place = place;
    return false;
  }

  /** Jobs that begin now, oldest first. Each must be finished, or given up. */
  begin(): readonly Job<Item>[] {
    const room = Math.max(0, this.#limits.runningMax - this.#running.size);
    const begun = this.#ready.splice(0, room);
    for (const job of begun) this.#running.add(job);
    return begun;
  }

  /** The job is done. Returns the slot's new position; undefined: it stays. */
  finish(job: Job<Item>): Place | undefined {
    const tracked = this.#leave(job);
    tracked.isFinished = true;
    const jobs = this.#slots.get(job.slot) ?? [];
    const open = jobs.findIndex(({ isFinished }) => !isFinished);
    const done = jobs.splice(0, open < 0 ? jobs.length : open);
    this.#tracked -= done.length;
    if (jobs.length === 0) this.#slots.delete(job.slot);
    return done.at(-1)?.place;
  }

  /** The job failed: its slot's position stays before it for good. */
  giveUp(job: Job<Item>): void {
    this.#leave(job);
  }

  /** What did not begin never will. */
  dropWaiting(): void {
    this.#ready = [];
    for (const waiting of this.#lanes.values()) waiting.length = 0;
  }

  /** Whether a job of the slot runs. */
  isBusy(slot: string): boolean {
    return [...this.#running].some((job) => job.slot === slot);
  }

  /**
   * What did not begin of this slot never will. Its position goes on with what runs, up to the
   * first that is left out.
   */
  dropSlot(slot: string): void {
    for (const job of this.#ready)
      if (job.slot === slot && job.lane !== null) this.#lanes.delete(job.lane);
    this.#ready = this.#ready.filter((job) => job.slot !== slot);
    for (const job of this.#running)
      if (job.slot === slot && job.lane !== null) this.#lanes.set(job.lane, []);
    const jobs = this.#slots.get(slot) ?? [];
    const left = jobs.findIndex((job) => !job.isFinished && !this.#running.has(job));
    if (left >= 0) this.#tracked -= jobs.splice(left).length;
    if (jobs.length === 0) this.#slots.delete(slot);
  }

  #leave(job: Job<Item>): Tracked<Item, Place> {
    assert(this.#running.delete(job), `a job of slot ${job.slot} must be running`);
    if (job.lane !== null) {
      const next = this.#lanes.get(job.lane)?.shift();
      if (next === undefined) this.#lanes.delete(job.lane);
      else this.#ready.push(next);
    }
    return job as Tracked<Item, Place>;
  }
}
