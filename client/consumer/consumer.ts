/**
 * Reads records of one topic or several, in order within each partition, and decodes them. Nothing
 * runs while nobody iterates, once an iteration has ended.
 */
import { aborted, type CallControl, CONTROL, orAborted } from '../abort.ts';
import { checkArgument } from '../check.ts';
import type { Cluster } from '../cluster.ts';
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { TidemarkError } from '../errors.ts';
import { Cursors } from '../groups.ts';
import type { LossRange } from '../losses.ts';
import { checkConsumerOptions, checkParallel } from './options.ts';
import { consumed } from './consumed.ts';
import { GroupReading } from './group-reading.ts';
import { type ParallelPlace, ParallelRun, type ParallelWork } from './parallel.ts';
import { type Found, Reading } from './reading.ts';
import { TopicReader } from './topic-reader.ts';
import type {
  ConsumedRecord,
  ConsumerOptions,
  ParallelContext,
  ParallelOptions,
  PartitionState,
  ConsumerPosition,
  Position,
  RecordBatch,
} from './types.ts';

/**
 * Made by `Tidemark.consumer()`. Iterate over it for batches, or over {@link records}; one
 * iteration at a time. Another one goes on where the last one ended. With `onLoss: 'yield'` the
 * ranges that may be lost come between them; `'kind' in item` tells one.
 */
export class Consumer<Key = Uint8Array, Value = Uint8Array, Loss extends LossRange = never>
  implements AsyncIterable<RecordBatch<Key, Value> | Loss>, AsyncDisposable
{
  readonly #reading: Reading<Key, Value>;
  readonly #group: GroupReading | undefined;
  /** Positions that each topic's reader begins at. */
  readonly #resumed = new Map<string, Position[]>();
  readonly #topicIds = new Map<string, string>();
  #started: Promise<void> | undefined;
  #run: { stop(): void } | undefined;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.consumer()`. */
  constructor(
    connections: Connections,
    cluster: Cluster,
    options: ConsumerOptions<string | AnyTopic>,
  ) {
    checkConsumerOptions(options);
    const { topic: one, topics = one === undefined ? [] : [one], ...rest } = options;
    const { positions = [] } = options;
    const reading = new Reading<Key, Value>({
      isSkipping: options.onUndecodable === 'skip',
      tracing: connections.tracing,
    });
    this.#reading = reading;
    const { group } = options;
    this.#group =
      group === undefined
        ? undefined
        : new GroupReading(
            new Cursors(connections, cluster, group),
            connections,
            options,
            (error) => reading.fail(error),
          );
    for (const given of topics) {
      const topic = typeof given === 'string' ? given : given.name;
      const own = positions.filter((position) => (position.topic ?? topic) === topic);
      // A group's are put there before the reader looks.
      if (group !== undefined) this.#resumed.set(topic, own);
      const settings = { ...rest, topic, positions: own };
      const reader = new TopicReader(connections, cluster, settings, () => reading.rouse());
      // What holds no records is handled once it was passed: compaction may have left nothing else.
      if (group !== undefined)
        reader.onPassed = (...place) => {
          reader.handOut(...place);
          this.#handled(reader, ...place);
        };
      reading.add({ reader, codecs: typeof given === 'string' ? undefined : given });
    }
  }

  /**
   * Finds the start of every partition. Iterating does it too; call it where `latest` must mean
   * now.
   */
  async start(control: CallControl = {}): Promise<void> {
    checkArgument('start consumer', CONTROL, control);
    this.#started ??= this.#start();
    await orAborted(this.#started, control.signal, 'start consumer');
  }

  async #start(): Promise<void> {
    for (const position of (await this.#group?.begin([...this.#resumed.keys()])) ?? [])
      this.#resumed.get(position.topic ?? '')?.push(position);
    await Promise.all(this.#reading.sources.map(({ reader }) => reader.start()));
    const group = this.#group;
    if (group === undefined) return;
    // Where it begins is kept at once: who comes after a failure must not begin somewhere else.
    for (const position of this.positions())
      if (!group.has(position.topic ?? '', position.partition)) group.handled(position);
    await group.flush();
  }

  /**
   * Where to resume each partition after what was handed out so far: save it once that is
   * processed. Partitions where nothing was read yet stand at their start.
   */
  positions(): ConsumerPosition[] {
    return this.#reading.sources.flatMap(({ reader }) => reader.positions());
  }

  /** How the reading of each partition stands: whom it reads, and how far the end is. */
  state(): PartitionState[] {
    return this.#reading.sources.flatMap(({ reader }) => reader.states());
  }

  /**
   * Offsets that are committed and were not handed out, control batches among them, as far as it
   * was heard. Undefined until {@link start} has found the partitions, and while the end of one
   * that was added since is not known.
   */
  lag(): number | undefined {
    const states = this.state();
    let sum = states.length === 0 ? undefined : 0;
    for (const { lag } of states)
      sum = sum === undefined || lag === undefined ? undefined : sum + lag;
    return sum;
  }

  /** {@link batches}, without a signal. */
  [Symbol.asyncIterator](): AsyncGenerator<RecordBatch<Key, Value> | Loss, void, undefined> {
    return this.batches();
  }

  /**
   * Batches, until the end (without `follow`) or {@link close}. Throws a TidemarkError for what
   * cannot be mended by trying again, and ABORTED. {@link positions} moves with each of them.
   */
  async *batches(
    control: CallControl = {},
  ): AsyncGenerator<RecordBatch<Key, Value> | Loss, void, undefined> {
    for await (const { item, reader, endOffset, leaderEpoch } of this.#read(control)) {
      reader.handOut(item.partition, endOffset, leaderEpoch);
      yield item as RecordBatch<Key, Value> | Loss;
      this.#handled(reader, item.partition, endOffset, leaderEpoch);
    }
  }

  /** Records one by one; {@link positions} moves with each of them. */
  async *records(
    control: CallControl = {},
  ): AsyncGenerator<ConsumedRecord<Key, Value> | Loss, void, undefined> {
    for await (const { item, reader, endOffset, leaderEpoch } of this.#read(control)) {
      if ('kind' in item) {
        reader.handOut(item.partition, endOffset, leaderEpoch);
        yield item as Loss;
        this.#handled(reader, item.partition, endOffset, leaderEpoch);
        continue;
      }
      const { partition, records } = item;
      const last = records.at(-1);
      for (const record of records) {
        const next = record === last ? endOffset : record.offset + 1;
        reader.handOut(partition, next, leaderEpoch);
        yield consumed(item, record);
        this.#handled(reader, partition, next, leaderEpoch);
      }
    }
  }

  /**
   * Hands every record to a handler, as many at a time as the options say, in order where they say.
   * {@link positions} stays before the oldest record that is not handled: who resumes there misses
   * none, and may meet later ones again. Ends like {@link records}, once all are handled. The first
   * error of a handler ends it, and so does the signal: no other handler begins, those that run are
   * told by their signal and waited for, then it rejects with that error, or ABORTED. So does
   * {@link close}, which does not wait; then it resolves. A range that may be lost (`onLoss`) is
   * handled alone. Throws INVALID_ARGUMENT.
   */
  async parallel(
    options: ParallelOptions,
    handler: (record: ConsumedRecord<Key, Value> | Loss, context: ParallelContext) => unknown,
    control: CallControl = {},
  ): Promise<void> {
    checkParallel(options, handler);
    checkArgument('handle records', CONTROL, control);
    if (this.#run !== undefined)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        'Cannot handle records: parallel() runs, and must end before it is called again',
      );
    const run = new ParallelRun(options, handler);
    this.#run = run;
    const { signal } = control;
    const onAbort = (): void => run.stop(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    const readers = this.#reading.sources.map(({ reader }) => reader);
    const handOuts = readers.map((reader) => reader.onPassed);
    for (const reader of readers)
      reader.onPassed = (partition, offset, leaderEpoch) =>
        run.pass(slotOf(reader, partition), placeIn(reader, partition, offset, leaderEpoch));
    try {
      await run.drive(this.#works(run.signal));
    } catch (error) {
      if (!this.#reading.isClosed || !(error instanceof TidemarkError) || error.code !== 'ABORTED')
        throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#lookAtRun();
      await this.#group?.flush().catch(() => undefined);
      for (const [at, reader] of readers.entries()) {
        reader.onPassed = handOuts[at]!;
        reader.rewind();
      }
      this.#run = undefined;
    }
  }

  /** {@link records} as a Web stream, which reads no further than it is read. */
  readable(control: CallControl = {}): ReadableStream<ConsumedRecord<Key, Value> | Loss> {
    checkArgument('read', CONTROL, control);
    // A cancelled stream ends what its reader waits for.
    const stop = new AbortController();
    const signals = control.signal === undefined ? [] : [control.signal];
    const records = this.records({ signal: AbortSignal.any([stop.signal, ...signals]) });
    return new ReadableStream<ConsumedRecord<Key, Value> | Loss>(
      {
        pull: async (controller) => {
          const next = await records.next();
          if (stop.signal.aborted) return;
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        },
        cancel: async () => {
          stop.abort();
          await records.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Ends iterations and streams. */
  async close(): Promise<void> {
    this.#reading.close();
    this.#run?.stop();
    await this.#group?.flush().catch(() => undefined);
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Records one by one, and losses, with the positions behind them. */
  async *#works(
    signal: AbortSignal,
  ): AsyncGenerator<ParallelWork<ConsumedRecord<Key, Value> | Loss>, void, undefined> {
    for await (const { item, raw, reader, endOffset, leaderEpoch } of this.#read({ signal })) {
      const { partition } = item;
      const slot = slotOf(reader, partition);
      if ('kind' in item) {
        const place = placeIn(reader, partition, endOffset, leaderEpoch);
        yield { item: item as Loss, slot, key: undefined, isAlone: true, place };
        continue;
      }
      const last = item.records.length - 1;
      for (const [at, record] of item.records.entries()) {
        const next = at === last ? endOffset : record.offset + 1;
        const place = placeIn(reader, partition, next, leaderEpoch);
        const work = consumed(item, record);
        yield { item: work, slot, key: raw[at]?.key, isAlone: false, place };
      }
    }
  }

  async *#read(control: CallControl): AsyncGenerator<Found<Key, Value>, void, undefined> {
    checkArgument('read', CONTROL, control);
    const { signal } = control;
    const rouse = (): void => this.#reading.rouse();
    signal?.addEventListener('abort', rouse, { once: true });
    try {
      await this.start(control);
      for (const { reader } of this.#reading.sources) reader.resume();
      this.#group?.run(() => this.#lookAtRun());
      while (!this.#reading.isClosed) {
        if (signal?.aborted === true) throw aborted('read', signal, 'none');
        if (this.#reading.failure !== undefined) throw this.#reading.failure;
        const found = this.#reading.next();
        if (found !== undefined) yield* this.#reading.handed(found);
        else if (this.#reading.isAtEnd) break;
        else if (this.#reading.isDry) await this.#reading.news();
      }
      if (this.#run === undefined) await this.#group?.flush();
    } finally {
      signal?.removeEventListener('abort', rouse);
      for (const { reader } of this.#reading.sources) reader.suspend();
      this.#group?.pause();
      // Whatever ended it, what is done is committed as far as it can be.
      await this.#group?.flush().catch(() => undefined);
    }
  }

  /** Everything before the place is handled: the program has asked for what comes next. */
  #handled(reader: TopicReader, partition: number, offset: number, leaderEpoch: number): void {
    if (this.#group === undefined) return;
    const { topic } = reader;
    let topicId = this.#topicIds.get(topic);
    if (topicId === undefined) {
      topicId = reader.positions()[0]?.topicId ?? '';
      this.#topicIds.set(topic, topicId);
    }
    this.#group.handled({ topic, topicId, partition, offset, leaderEpoch });
  }

  /** Of handlers that run at a time, positions tell what is handled. */
  #lookAtRun(): void {
    if (this.#run === undefined) return;
    for (const position of this.positions()) this.#group?.handled(position);
  }
}

function slotOf({ topic }: TopicReader, partition: number): string {
  return `${topic}/${partition}`;
}

function placeIn(
  reader: TopicReader,
  partition: number,
  offset: number,
  leaderEpoch: number,
): ParallelPlace {
  return { handOut: () => reader.handOut(partition, offset, leaderEpoch) };
}
