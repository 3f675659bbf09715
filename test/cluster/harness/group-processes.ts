/** Processes of members of a group, what they handled, and how long partitions stood still. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { WorkerNote, WorkerTask } from './group-worker.ts';

const WORKER = join(import.meta.dirname, 'group-worker.ts');

/** One process. */
export interface GroupProcess {
  readonly name: string;
  readonly child: ChildProcess;
}

export class GroupProcesses {
  readonly #task: Omit<WorkerTask, 'name'>;
  readonly living: GroupProcess[] = [];
  /** By partition: how often each offset was handled. */
  readonly handled = new Map<number, Map<number, number>>();
  /** By partition: when a record of it was handled, in order. */
  readonly #times = new Map<number, number[]>();
  /** Partitions that were given to somebody, with the time. */
  readonly moves: { readonly partition: number; readonly atMs: number }[] = [];
  readonly failures: string[] = [];

  constructor(task: Omit<WorkerTask, 'name'>) {
    this.#task = task;
  }

  start(name: string): GroupProcess {
    const child = fork(WORKER, [JSON.stringify({ ...this.#task, name })], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const one = { name, child };
    this.living.push(one);
    child.on('message', (note) => this.#take(note as WorkerNote));
    return one;
  }

  /** As SIGKILL. */
  async kill(one: GroupProcess): Promise<void> {
    this.#drop(one);
    const ended = once(one.child, 'exit');
    one.child.kill('SIGKILL');
    await ended;
  }

  /** In order: its members commit and leave. Returns its exit code. */
  async stop(one: GroupProcess): Promise<number | null> {
    this.#drop(one);
    const ended = once(one.child, 'exit');
    one.child.send('stop');
    const [code] = (await ended) as [number | null];
    return code;
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.living].map((one) => this.kill(one)));
  }

  /** Records that were handled, each counted once. */
  get distinct(): number {
    return [...this.handled.values()].reduce((sum, offsets) => sum + offsets.size, 0);
  }

  /** Records that were handled again. */
  get repeated(): number {
    const counts = [...this.handled.values()].flatMap((offsets) => [...offsets.values()]);
    return counts.reduce((sum, count) => sum + count - 1, 0);
  }

  has(partition: number, offset: number): boolean {
    return this.handled.get(partition)?.has(offset) === true;
  }

  /**
   * Longest time between two records of one partition within these times, in ms: of partitions that
   * were given to somebody meanwhile, and of the others.
   */
  stalls(fromMs: number, toMs: number): { readonly moved: number; readonly unaffected: number } {
    const within = (atMs: number): boolean => atMs >= fromMs && atMs <= toMs;
    const moved = new Set(
      this.moves.filter(({ atMs }) => within(atMs)).map(({ partition }) => partition),
    );
    const longest = { moved: 0, unaffected: 0 };
    for (const [partition, all] of this.#times) {
      const times = all.filter(within).toSorted((a, b) => a - b);
      const stall = times.reduce(
        (most, atMs, at) => Math.max(most, atMs - (times[at - 1] ?? atMs)),
        0,
      );
      const kind = moved.has(partition) ? 'moved' : 'unaffected';
      longest[kind] = Math.max(longest[kind], stall);
    }
    return longest;
  }

  #drop(one: GroupProcess): void {
    const at = this.living.indexOf(one);
    if (at >= 0) this.living.splice(at, 1);
  }

  #take(note: WorkerNote): void {
    if (note.kind === 'failed') {
      this.failures.push(note.reason);
      return;
    }
    if (note.kind === 'moved') {
      for (const partition of note.partitions) this.moves.push({ partition, atMs: note.atMs });
      return;
    }
    for (const [partition, offset, atMs] of note.records) {
      const offsets = this.handled.get(partition) ?? new Map<number, number>();
      this.handled.set(partition, offsets.set(offset, (offsets.get(offset) ?? 0) + 1));
      const times = this.#times.get(partition) ?? [];
      this.#times.set(partition, times);
      times.push(atMs);
    }
  }
}
