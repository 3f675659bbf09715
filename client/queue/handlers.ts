/** Hands jobs to a handler, some at a time, and says what becomes of each by how it ends. */
import { channel } from 'node:diagnostics_channel';
import { QUEUE_REASON_LENGTH_MAX } from '../../base/limits.ts';
import { fromCall } from '../errors.ts';
import type { QueueJob } from './job.ts';
import { DELAY_MS_MAX_DEFAULT } from './options.ts';
import type { QueueRun } from './queue-run.ts';
import { type JobHandler, type QueueRunOptions, RejectError } from './types.ts';

/** What handlers throw, where no `onError` hears of it; see docs/queues.md. */
const failed = channel('tidemark:queue:failed');

const DELAY_MS_FIRST = 1_000;

/** How long a record waits after its delivery of that number failed, in milliseconds. */
function delayAfter(delivery: number, delayMsMax: number): number {
  return Math.min(DELAY_MS_FIRST * 2 ** Math.min(delivery - 1, 20), delayMsMax);
}

export class Handlers<Key, Value> {
  readonly #run: QueueRun<Key, Value>;
  readonly #handler: JobHandler<Key, Value>;
  readonly #options: QueueRunOptions<Key, Value>;

  constructor(
    run: QueueRun<Key, Value>,
    handler: JobHandler<Key, Value>,
    options: QueueRunOptions<Key, Value>,
  ) {
    this.#run = run;
    this.#handler = handler;
    this.#options = options;
  }

  /** Until the member ends. Rejects with why; handlers may run yet. */
  async drive(): Promise<void> {
    const run = this.#run;
    const { concurrency = 1 } = this.#options;
    for (;;) {
      while (run.running >= concurrency && !run.isEnding) {
        run.throwFailure();
        await run.news();
      }
      const taken = await run.next();
      if (taken === undefined) return;
      const { job, lease } = taken;
      run.began();
      void this.#handle(job)
        .catch(run.fail)
        .then(() => {
          run.letGo(lease);
          run.ended();
        });
    }
  }

  async #handle(job: QueueJob<Key, Value>): Promise<void> {
    try {
      await this.#handler(job, { signal: job.signal });
    } catch (error) {
      await this.#failed(job, error);
      return;
    }
    if (!job.isSettled) await this.#said(job, job.accept());
  }

  async #failed(job: QueueJob<Key, Value>, error: unknown): Promise<void> {
    if (error instanceof RejectError) {
      const reason = error.message.slice(0, QUEUE_REASON_LENGTH_MAX).toWellFormed();
      if (!job.isSettled) await this.#said(job, job.reject(reason));
      return;
    }
    await this.#tell(job, error);
    if (job.isSettled || job.isLost) return;
    const { delayMsMax = DELAY_MS_MAX_DEFAULT } = this.#options;
    await this.#said(job, job.release({ delayMs: delayAfter(job.delivery, delayMsMax) }));
  }

  /** Waits for the answer. Rejects where the queue does not take what was said. */
  async #said(job: QueueJob<Key, Value>, settlement: Promise<void>): Promise<void> {
    try {
      await settlement;
    } catch (cause) {
      const error = fromCall(cause, 'the cluster');
      // `onLost` has told it.
      if (error.code === 'LEASE_LOST') return;
      if (error.retry === 'no') throw error;
      await this.#tell(job, error);
    }
  }

  async #tell(job: QueueJob<Key, Value>, error: unknown): Promise<void> {
    const { onError } = this.#options;
    if (onError !== undefined) await onError(error, job);
    else if (failed.hasSubscribers) failed.publish({ error, job });
  }
}
