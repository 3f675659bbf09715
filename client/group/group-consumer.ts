/**
 * A member of a group, as programs have it: records by iteration or by handlers, of the partitions
 * that the group gives it.
 */
import { aborted, type CallControl } from '../abort.ts';
import { checkArgument, refuseFaults, shown } from '../check.ts';
import type { Cluster } from '../cluster.ts';
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { consumed } from '../consumer/consumed.ts';
import type { Found } from '../consumer/reading.ts';
import { ParallelRun, type ParallelWork } from '../consumer/parallel.ts';
import type { ConsumedRecord, PartitionState, RecordBatch } from '../consumer/types.ts';
import { TidemarkError } from '../errors.ts';
import type { LossRange } from '../losses.ts';
import { MemberStays, program } from '../member-start.ts';
import { Beginning, ConsumeType, Delivery } from '../../proto/gen/tidemark/v1/consume.ts';
import { MemberRun, type RunSettings } from './member-run.ts';
import type { Place } from './member/types.ts';
import type { Part } from './part.ts';
import {
  checkGroupOptions,
  checkRun,
  COMMIT_MS_DEFAULT,
  GRACE_MS_DEFAULT,
  PARTITIONS,
  POSITIONS,
  RELEASE_MS_DEFAULT,
  SESSION_MS_DEFAULT,
} from './options.ts';
import type {
  AssignedPartition,
  GroupOptions,
  GroupPartitionName,
  GroupPosition,
  RecordHandler,
  RunOptions,
} from './types.ts';

/** From this feature level on, groups have members. */
export const LEVEL_OF_MEMBERS = 13;
const COMMIT_TIMEOUT_MS = 15_000;

/**
 * Made by `Tidemark.group()`. Iterate over it for records, or give {@link run} a handler; one at a
 * time. It joins the group when that begins, and leaves when that ends, however it ends: reading
 * stops, what is under way ends within `releaseMs`, what was handled is committed.
 */
export class GroupConsumer<Key = Uint8Array, Value = Uint8Array, Loss extends LossRange = never>
  implements AsyncIterable<ConsumedRecord<Key, Value> | Loss>, AsyncDisposable
{
  readonly group: string;
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #settings: RunSettings;
  readonly #stays: MemberStays<MemberRun<Key, Value>>;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.group()`. */
  constructor(
    connections: Connections,
    cluster: Cluster,
    group: string,
    options: GroupOptions<string | AnyTopic>,
  ) {
    checkGroupOptions(group, options);
    this.group = group;
    this.#connections = connections;
    this.#cluster = cluster;
    this.#settings = settingsOf(group, options);
    this.#stays = new MemberStays(cluster, LEVEL_OF_MEMBERS, `join group "${group}"`);
  }

  /** Partitions that it has at this moment. */
  assigned(): readonly AssignedPartition[] {
    return this.#stays.present?.assigned ?? [];
  }

  /** How the reading of each partition that it has stands. */
  state(): readonly PartitionState[] {
    const sources = this.#stays.present?.reading.sources ?? [];
    const failed = this.#stays.present?.failed ?? [];
    return [...sources.flatMap(({ reader }) => reader.states()), ...failed.map(failedState)];
  }

  /**
   * Offsets of its partitions that are committed and were not handed out, as far as it was heard.
   * Undefined while it has no partitions, or the end of one is not known.
   */
  lag(): number | undefined {
    const states = this.state();
    const lags = states.flatMap(({ lag }) => (lag === undefined ? [] : [lag]));
    const isKnown = lags.length > 0 && lags.length === this.assigned().length;
    return isKnown ? lags.reduce((sum, lag) => sum + lag, 0) : undefined;
  }

  /** Random UUID of this member; undefined: it is none at the moment. */
  get memberId(): string | undefined {
    return this.#stays.present?.memberId;
  }

  /** {@link records}, without a signal. */
  [Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord<Key, Value> | Loss, void, undefined> {
    return this.records();
  }

  /**
   * Records one by one, until {@link close}. A record is handled once the next one is asked for.
   * Throws a TidemarkError for what cannot be mended by trying again, and ABORTED.
   */
  async *records(
    control: CallControl = {},
  ): AsyncGenerator<ConsumedRecord<Key, Value> | Loss, void, undefined> {
    const run = await this.#begin(undefined, control);
    for await (const { found, part, mark } of run.found())
      for (let at = 0; at < countOf(found); at += 1) {
        const place = placeBehind(found, at);
        if (!run.mayHandOutNow(part, mark) && !(await run.mayHandOut(part, mark))) break;
        run.handOut(part, found, place);
        try {
          yield itemAt<Key, Value, Loss>(found, at);
        } finally {
          run.takeBack(part);
        }
        run.handled(part, mark, place);
      }
    this.#throwReason(run, control);
  }

  /** Batches instead of single records: a batch is handled once the next one is asked for. */
  async *batches(
    control: CallControl = {},
  ): AsyncGenerator<RecordBatch<Key, Value> | Loss, void, undefined> {
    const run = await this.#begin(undefined, control);
    for await (const { found, part, mark } of run.found()) {
      const { endOffset: offset, leaderEpoch } = found;
      if (!(await run.mayHandOut(part, mark))) continue;
      run.handOut(part, found, { offset, leaderEpoch });
      try {
        yield found.item as RecordBatch<Key, Value> | Loss;
      } finally {
        run.takeBack(part);
      }
      run.handled(part, mark, { offset, leaderEpoch });
    }
    this.#throwReason(run, control);
  }

  /**
   * Hands every record to a handler. Resolves after {@link close}. The first error of a handler
   * ends it, and so does the signal (ABORTED): no other handler begins, those that run are waited
   * for, what is done is committed, and the member leaves. Throws INVALID_ARGUMENT.
   */
  async run(
    handler: RecordHandler<Key, Value, Loss>,
    options: RunOptions = {},
    control: CallControl = {},
  ): Promise<void> {
    checkRun(handler, options);
    const { concurrency: max = 1, order: by = 'key', recordsMax } = options;
    const handlers = new ParallelRun<ConsumedRecord<Key, Value> | Loss>(
      { max, by, ...(recordsMax === undefined ? {} : { recordsMax }) },
      handler,
    );
    const run = await this.#begin(handlers, control);
    handlers.mayBegin = () => run.mayBegin;
    handlers.signal.addEventListener('abort', () => void run.finish(), { once: true });
    try {
      const driven = handlers.drive(this.#works(run));
      // Handlers that do not end, whatever they are told, hold up nobody.
      driven.catch(() => undefined);
      await Promise.race([driven, run.finished]);
    } finally {
      await run.finish();
    }
    if (handlers.failure !== undefined) throw handlers.failure.error;
    this.#throwReason(run, control);
  }

  /**
   * Reads no more of these partitions until {@link resume}; they stay the member's. What was read
   * before may still be handled by {@link run}. A partition that is given anew is not paused.
   * Default: all.
   */
  pause(partitions?: readonly GroupPartitionName[]): void {
    this.#stays.present?.pause(selector('pause', partitions));
  }

  /** Default: all. */
  resume(partitions?: readonly GroupPartitionName[]): void {
    this.#stays.present?.resume(selector('resume', partitions));
  }

  /**
   * Goes on elsewhere in partitions that the member has: further ahead, what lies between counts
   * as handled; further back, records are handled again, and the cursor stays until they have come
   * up to it. `Tidemark.groups().seek` moves a group's cursors for all. Rejects with FENCED where
   * the member does not have one.
   */
  seek(positions: readonly GroupPosition[]): void {
    checkArgument('seek', POSITIONS, positions, 'positions');
    for (const position of positions)
      if (this.#stays.present?.seek(position) !== true)
        throw new TidemarkError(
          'FENCED',
          `Cannot seek: this member of group "${this.group}" does not have partition ${position.partition} of "${position.topic}"`,
        );
  }

  /** Commits what is handled, now; resolves once it is committed. Rejects with TIMED_OUT. */
  async commit(): Promise<void> {
    await this.#stays.present?.commit(COMMIT_TIMEOUT_MS);
  }

  /** Ends iteration and handlers, commits, and leaves; resolves once it has left. */
  async close(): Promise<void> {
    await this.#stays.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // One life of the member

  #begin(
    handlers: ParallelRun<ConsumedRecord<Key, Value> | Loss> | undefined,
    control: CallControl,
  ): Promise<MemberRun<Key, Value>> {
    return this.#stays.begin(
      control,
      () => new MemberRun<Key, Value>(this.#connections, this.#cluster, this.#settings),
      (run) => {
        run.start(handlers);
      },
    );
  }

  /** Why it ended, where that is not the program's wish. */
  #throwReason(run: MemberRun<Key, Value>, { signal }: CallControl): void {
    if (run.reading.failure !== undefined) throw run.reading.failure;
    if (signal?.aborted === true) throw aborted('read', signal, 'none');
  }

  async *#works(
    run: MemberRun<Key, Value>,
  ): AsyncGenerator<ParallelWork<ConsumedRecord<Key, Value> | Loss>, void, undefined> {
    for await (const { found, part, mark } of run.found()) {
      const { slot, context } = part;
      const isAlone = 'kind' in found.item;
      for (let at = 0; at < countOf(found); at += 1) {
        const place = placeBehind(found, at);
        if (!run.mayHandOutNow(part, mark) && !(await run.mayHandOut(part, mark))) break;
        const handOut = (): void => run.handled(part, mark, place);
        // Reading goes on behind it only once a handler has it, or will.
        const take = (): boolean => {
          if (!run.isWanted(part, mark)) return false;
          run.pass(part, found, place);
          return true;
        };
        const item = itemAt<Key, Value, Loss>(found, at);
        const key = found.raw[at]?.key;
        yield { item, slot, key, isAlone, context, take, place: { handOut } };
      }
    }
  }
}

function failedState({ held, place, failure }: Part): PartitionState {
  const { topic, partition } = held;
  const { offset } = place;
  return {
    ...{ topic, partition, offset, end: undefined, lag: undefined, brokerId: undefined },
    ...{ state: 'failed', ...(failure === undefined ? {} : { error: failure }) },
  };
}

/** Records, or one loss. */
function countOf<Key, Value>({ item }: Found<Key, Value>): number {
  return 'kind' in item ? 1 : item.records.length;
}

/** A record, or the loss. */
function itemAt<Key, Value, Loss>(
  { item }: Found<Key, Value>,
  at: number,
): ConsumedRecord<Key, Value> | Loss {
  return 'kind' in item ? (item as Loss) : consumed(item, item.records[at]!);
}

/** Behind the last record comes what is behind the batch. */
function placeBehind<Key, Value>(
  { item, endOffset, leaderEpoch }: Found<Key, Value>,
  at: number,
): Place {
  const isLast = 'kind' in item || at === item.records.length - 1;
  return { offset: isLast ? endOffset : item.records[at]!.offset + 1, leaderEpoch };
}

function selector(
  doing: string,
  partitions: readonly GroupPartitionName[] | undefined,
): (part: AssignedPartition) => boolean {
  if (partitions === undefined) return () => true;
  checkArgument(doing, PARTITIONS, partitions, 'partitions');
  const twice = partitions.find(
    ({ topic }, at) => partitions.findIndex((one) => one.topic === topic) !== at,
  );
  refuseFaults(doing, twice === undefined ? [] : [`partitions holds ${shown(twice.topic)} twice`]);
  return ({ topic, partition }) =>
    partitions.some((one) => one.topic === topic && (one.partitions?.includes(partition) ?? true));
}

function settingsOf(group: string, options: GroupOptions<string | AnyTopic>): RunSettings {
  const { topics, releaseMs = RELEASE_MS_DEFAULT, rack = '', from = 'earliest' } = options;
  const { onReset, onUndecodable, onLoss, bufferBytesMax } = options;
  const { onAssigned, onRevoked, onLost, onFailed } = options;
  const codecs = new Map<string, AnyTopic>();
  for (const topic of topics) if (typeof topic !== 'string') codecs.set(topic.name, topic);
  return {
    ...{ group, codecs, releaseMs },
    introduction: {
      group,
      type: ConsumeType.CONSUME_TYPE_GROUP,
      topics: topics.map((topic) => (typeof topic === 'string' ? topic : topic.name)),
      instanceId: options.instanceId ?? '',
      rack,
      client: options.client ?? program(),
      assignor: options.assignor ?? '',
      sessionMs: options.sessionMs ?? SESSION_MS_DEFAULT,
      graceMs: options.graceMs ?? GRACE_MS_DEFAULT,
      returnMs: options.returnMs ?? 0,
      delivery: Delivery.DELIVERY_ASSIGNMENTS,
      creditBytes: 0,
      creditRecords: 0,
      from: from === 'latest' ? Beginning.BEGINNING_LATEST : Beginning.BEGINNING_EARLIEST,
      releaseMs,
    },
    read: {
      rack,
      ...(onReset === undefined ? {} : { onReset }),
      ...(onUndecodable === undefined ? {} : { onUndecodable }),
      ...(onLoss === undefined ? {} : { onLoss }),
      ...(bufferBytesMax === undefined ? {} : { bufferBytesMax }),
    },
    isSkipping: onUndecodable === 'skip',
    commitMs: options.commitMs ?? COMMIT_MS_DEFAULT,
    hooks: {
      ...(onAssigned === undefined ? {} : { onAssigned }),
      ...(onRevoked === undefined ? {} : { onRevoked }),
      ...(onLost === undefined ? {} : { onLost }),
      ...(onFailed === undefined ? {} : { onFailed }),
    },
  };
}
