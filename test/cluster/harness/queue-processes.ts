/** Processes of members of a queue, and what they handled. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { QueueNote, QueueTask } from './queue-worker.ts';

const WORKER = join(import.meta.dirname, 'queue-worker.ts');

export class QueueProcesses {
  readonly #task: QueueTask;
  readonly living: ChildProcess[] = [];
  /** Values that were handled, at least once. */
  readonly handled = new Set<string>();
  readonly failures: string[] = [];

  constructor(task: QueueTask) {
    this.#task = task;
  }

  start(): void {
    const child = fork(WORKER, [JSON.stringify(this.#task)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.living.push(child);
    child.on('message', (note) => this.#take(note as QueueNote));
  }

  /** As SIGKILL. */
  async kill(child: ChildProcess): Promise<void> {
    this.living.splice(this.living.indexOf(child), 1);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.living].map((child) => this.kill(child)));
  }

  #take(note: QueueNote): void {
    if (note.kind === 'failed') this.failures.push(note.reason);
    else this.handled.add(note.value);
  }
}
