/**
 * Jobs in a worker thread, which is what production runs: a block of a mebibyte takes 5 to 20 ms to
 * decode, and the loop that acknowledges appends must not stand still for it. A thread for each
 * pass: its memory goes with it, and it costs 20 ms to begin what takes minutes. The calls of one
 * pass come one after the other, so nothing queues. A thread that does not answer is ended: its
 * pass fails, and is tried again with another.
 */
import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { Cancel, Clock } from '../../base/clock.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import { BrokerError } from '../../base/errors.ts';
import { COMPACTION_SILENCE_MS_MAX } from '../../base/limits.ts';
import { reasonOf } from '../../base/reason.ts';
import type { StampTarget } from '../../wire/batch/frame.ts';
import type { Background, CompactionWork } from '../runtime/ports.ts';
import type { WorkerAnswer, WorkerCall, WorkerJob } from './worker-calls.ts';

/** How often it is looked whether a thread has answered. */
const LOOK_MS = 1_000;

interface Waiter {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export interface WorkerOptions {
  /** Bound of a pass: see `CompactionJob`. */
  readonly memoryBytes: number;
  /** The thread's program; where the broker is built, it lies beside it. */
  readonly program: URL;
  readonly clock: Pick<Clock, 'every'>;
}

export class WorkerBackground implements Background {
  readonly #options: WorkerOptions;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  compaction(order: CompactionOrder, target: StampTarget): CompactionWork {
    const [a = 0, b = 0, c = 0, d = 0] = randomFillSync(new Uint32Array(4));
    const { memoryBytes } = this.#options;
    const job = { order, target, seed: [a, b, c, d], memoryBytes } as const;
    const thread = new Thread(this.#options, job);
    return {
      observe: (frames, from) => thread.call('observe', [whole(frames), from]),
      endScan: () => thread.call('endScan', []),
      beginSegment: () => thread.call('beginSegment', []),
      beginMerge: () => thread.call('beginMerge', []),
      rewrite: (frames, from) => thread.call('rewrite', [whole(frames), from]),
      endSegment: () => thread.call('endSegment', []),
      compare: (old, fresh) => thread.call('compare', [whole(old), whole(fresh)]),
      endComparison: (fresh) => thread.call('endComparison', [whole(fresh)]),
      nextRound: () => thread.call('nextRound', []),
      close: () => {
        thread.close();
      },
    };
  }
}

/** A view would be sent with all of the memory that it looks at. */
function whole(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

class Thread {
  readonly #worker: Worker;
  readonly #cancelLooks: Cancel;
  /**
   * Looks since the call that is under way. Counted, since no time counts in which this process
   * itself stood still.
   */
  #looks = 0;
  #waiter: Waiter | null = null;
  #failure: Error | null = null;

  constructor({ program, clock }: WorkerOptions, job: WorkerJob) {
    this.#cancelLooks = clock.every(LOOK_MS, () => {
      this.#look();
    });
    this.#worker = new Worker(program, { workerData: job });
    this.#worker.on('message', (answer: WorkerAnswer) => {
      this.#answer(answer);
    });
    this.#worker.on('error', (error) => {
      const message = `Cannot compact: its thread ended: ${reasonOf(error)}`;
      this.#fail(new BrokerError('INTERNAL', message, {}, error));
    });
    this.#worker.on('exit', () => {
      this.#fail(new BrokerError('INTERNAL', 'Cannot compact: its thread has ended'));
    });
  }

  call<T>(name: string, input: readonly unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#waiter = { resolve, reject };
      this.#looks = 0;
      const call: WorkerCall = { name, input };
      this.#worker.postMessage(call);
    });
  }

  close(): void {
    this.#cancelLooks();
    void this.#worker.terminate();
  }

  #look(): void {
    this.#looks += 1;
    if (this.#waiter === null || this.#looks * LOOK_MS < COMPACTION_SILENCE_MS_MAX) return;
    const seconds = COMPACTION_SILENCE_MS_MAX / 1_000;
    const message = `Cannot compact: its thread has not answered for ${seconds} s`;
    this.#fail(new BrokerError('INTERNAL', message));
    this.close();
  }

  #answer(answer: WorkerAnswer): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (answer.kind === 'value') waiter?.resolve(answer.value as never);
    else waiter?.reject(new BrokerError(answer.code ?? 'INTERNAL', answer.message));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiter?.reject(this.#failure);
    this.#waiter = null;
  }
}
