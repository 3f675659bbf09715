/** A member of a queue, as programs have it: jobs by iteration, or for handlers. */
import { aborted, type CallControl } from '../abort.ts';
import type { Cluster } from '../cluster.ts';
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { MemberStays, program } from '../member-start.ts';
import { Handlers } from './handlers.ts';
import type { QueueJob } from './job.ts';
import {
  BYTES_DEFAULT,
  checkQueueOptions,
  checkQueueRun,
  GRACE_MS_DEFAULT,
  RELEASE_MS_DEFAULT,
} from './options.ts';
import { QueueRun } from './queue-run.ts';
import { Session } from './session.ts';
import type { JobHandler, QueueOptions, QueueRunOptions } from './types.ts';

/** From this feature level on, there are queues. */
const LEVEL_OF_QUEUES = 15;

/**
 * Made by `Tidemark.queue()`. Iterate over it for jobs, or give {@link run} a handler; one at a
 * time. It joins the queue when that begins, and leaves when that ends, however it ends: what was
 * said of records is answered, and what was not settled goes to others at once.
 */
export class QueueConsumer<Key = Uint8Array, Value = Uint8Array>
  implements AsyncIterable<QueueJob<Key, Value>>, AsyncDisposable
{
  readonly queue: string;
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #options: QueueOptions<string | AnyTopic>;
  readonly #stays: MemberStays<QueueRun<Key, Value>>;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.queue()`. */
  constructor(
    connections: Connections,
    cluster: Cluster,
    queue: string,
    options: QueueOptions<string | AnyTopic>,
  ) {
    checkQueueOptions(queue, options);
    this.queue = queue;
    this.#connections = connections;
    this.#cluster = cluster;
    this.#options = options;
    this.#stays = new MemberStays(cluster, LEVEL_OF_QUEUES, `take from queue "${queue}"`);
  }

  /** Random UUID of this member; undefined: it is none at the moment. */
  get memberId(): string | undefined {
    return this.#stays.present?.memberId;
  }

  /** {@link jobs}, without a signal. */
  [Symbol.asyncIterator](): AsyncGenerator<QueueJob<Key, Value>, void, undefined> {
    return this.jobs();
  }

  /**
   * Records one by one, until {@link close}, each for the time of its lease: settle it, extend it
   * before that is over, or lose it. While `recordsMax` are not settled, no other comes. Whoever
   * stops asking leaves: what is not settled then is lost. Throws a TidemarkError for what cannot
   * be mended by trying again, such as UNKNOWN_QUEUE, and ABORTED.
   */
  async *jobs(control: CallControl = {}): AsyncGenerator<QueueJob<Key, Value>, void, undefined> {
    const run = await this.#begin(1, 0, control);
    try {
      for (;;) {
        const taken = await run.next();
        if (taken === undefined) break;
        run.letGo(taken.lease);
        yield taken.job;
      }
    } finally {
      await run.finish();
    }
    throwReason(run, control);
  }

  /**
   * Hands every record to a handler, and extends its lease while that runs. A record is accepted
   * when its handler returns, rejected when it throws a {@link RejectError}, and put back with a
   * delay when it throws anything else, unless the handler has settled it by itself. Resolves after
   * {@link close}. The signal ends it (ABORTED): no other handler begins, those that run are waited
   * for, and the member leaves. Throws INVALID_ARGUMENT, also where the queue does not take what is
   * said, such as a rejection without a dead-letter topic.
   */
  async run(
    handler: JobHandler<Key, Value>,
    options: QueueRunOptions<Key, Value> = {},
    control: CallControl = {},
  ): Promise<void> {
    checkQueueRun(handler, options, this.#options.recordsMax);
    const { concurrency = 1, releaseMs = RELEASE_MS_DEFAULT } = options;
    const run = await this.#begin(concurrency, releaseMs, control);
    try {
      const driven = new Handlers(run, handler, options).drive();
      // Handlers that do not end hold up nobody.
      driven.catch(() => undefined);
      await Promise.race([driven, run.finished]);
    } finally {
      await run.finish();
    }
    throwReason(run, control);
  }

  /** Ends iteration and handlers, and leaves; resolves once it has left. */
  close(): Promise<void> {
    return this.#stays.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(
    recordsDefault: number,
    releaseMs: number,
    control: CallControl,
  ): Promise<QueueRun<Key, Value>> {
    return this.#stays.begin(
      control,
      () => this.#newRun(recordsDefault),
      (run) => {
        run.start(releaseMs);
      },
    );
  }

  #newRun(recordsDefault: number): QueueRun<Key, Value> {
    const { topic, onUndecodable, onLost } = this.#options;
    const { recordsMax = recordsDefault, bytesMax = BYTES_DEFAULT } = this.#options;
    const introduction = {
      queue: this.queue,
      topic: typeof topic === 'object' ? topic.name : topic,
      client: this.#options.client ?? program(),
      graceMs: this.#options.graceMs ?? GRACE_MS_DEFAULT,
    };
    const most = { records: recordsMax, bytes: bytesMax };
    return new QueueRun<Key, Value>(
      this.#connections,
      new Session(this.#connections, this.#cluster, introduction, most),
      {
        codecs: typeof topic === 'object' ? topic : undefined,
        isRejecting: onUndecodable === 'reject',
        onLost,
      },
    );
  }
}

/** Why it ended, where that is not the program's wish. */
function throwReason(run: { throwFailure(): void }, { signal }: CallControl): void {
  run.throwFailure();
  if (signal?.aborted === true) throw aborted('take', signal, 'none');
}
