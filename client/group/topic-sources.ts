/**
 * Reads the partitions that a member has: one reader for each topic id, which takes and loses
 * partitions. A topic that is gone is tried again for as long as the member has a part of it.
 */
import type { Cluster } from '../cluster.ts';
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { fromCall, TidemarkError } from '../errors.ts';
import type { Reading, Source } from '../consumer/reading.ts';
import { TopicReader } from '../consumer/topic-reader.ts';
import type { ReadOptions } from '../consumer/types.ts';
import type { Part } from './part.ts';

interface Topic {
  readonly reader: TopicReader;
  readonly started: Promise<void>;
  readonly parts: Map<number, Part>;
}

export class TopicSources<Key, Value> {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #reading: Reading<Key, Value>;
  readonly #options: ReadOptions;
  readonly #codecs: ReadonlyMap<string, AnyTopic>;
  readonly #onFailed: (part: Part, error: TidemarkError) => void;
  readonly #onPassed: (part: Part, offset: number, leaderEpoch: number) => void;
  readonly #topics = new Map<string, Topic>();

  constructor(parts: {
    readonly connections: Connections;
    readonly cluster: Cluster;
    readonly reading: Reading<Key, Value>;
    readonly options: ReadOptions;
    readonly codecs: ReadonlyMap<string, AnyTopic>;
    /** The partition cannot be read, and all others can. */
    readonly onFailed: (part: Part, error: TidemarkError) => void;
    /** A place of the partition is passed without a record. */
    readonly onPassed: (part: Part, offset: number, leaderEpoch: number) => void;
  }) {
    this.#connections = parts.connections;
    this.#cluster = parts.cluster;
    this.#reading = parts.reading;
    this.#options = parts.options;
    this.#codecs = parts.codecs;
    this.#onFailed = parts.onFailed;
    this.#onPassed = parts.onPassed;
  }

  /** The partition that a batch is of; undefined: it is read no more. */
  partOf(reader: TopicReader, partition: number): Part | undefined {
    for (const topic of this.#topics.values())
      if (topic.reader === reader) return topic.parts.get(partition);
    return undefined;
  }

  /** Reads on from the part's place. Rejects where no other try helps, nor another partition. */
  async begin(part: Part): Promise<void> {
    const { turn } = part;
    const isOver = (): boolean => part.isStopped || part.isPaused || part.turn !== turn;
    for (let attempt = 0; !isOver() && !this.#reading.isClosed; attempt += 1) {
      const topic = this.#topicOf(part);
      try {
        await topic.started;
        if (isOver()) return;
        // Its last partition went meanwhile, and the reader with it.
        if (this.#topics.get(part.held.topicId) !== topic) continue;
        if (topic.reader.topicId !== part.held.topicId) throw anotherTopic(part);
        this.#read(topic, part);
        return;
      } catch (cause) {
        const error = fromCall(cause, 'the cluster');
        this.#drop(topic);
        if (isOver()) return;
        if (isRefused(error)) {
          this.#onFailed(part, error);
          return;
        }
        if (error.retry === 'no' && error.code !== 'UNKNOWN_TOPIC') throw error;
        await this.#connections.sleep(this.#connections.backoffMs(attempt));
      }
    }
  }

  #read({ reader, parts }: Topic, part: Part): void {
    const { partition } = part.held;
    reader.remove(partition);
    parts.set(partition, part);
    part.isReading = true;
    part.readings += 1;
    reader.add({ partition, ...part.place });
  }

  /** Reads nothing more of it. */
  end(part: Part): void {
    const topic = this.#topics.get(part.held.topicId);
    const { partition } = part.held;
    part.isReading = false;
    if (topic?.parts.get(partition) !== part) return;
    topic.parts.delete(partition);
    topic.reader.remove(partition);
    if (topic.parts.size === 0) this.#drop(topic);
  }

  /**
   * Parts of a topic that was deleted are begun anew, until the group takes them away; those of one
   * that may not be read any more fail. False: all fail.
   */
  onFailed({ reader }: Source, error: TidemarkError): boolean {
    const topic = [...this.#topics.values()].find((one) => one.reader === reader);
    if (topic === undefined || (error.code !== 'UNKNOWN_TOPIC' && !isRefused(error))) return false;
    this.#drop(topic);
    for (const part of topic.parts.values())
      if (isRefused(error)) this.#onFailed(part, error);
      else
        void this.begin(part).catch((cause: unknown) =>
          this.#reading.fail(fromCall(cause, 'the cluster')),
        );
    return true;
  }

  #topicOf(part: Part): Topic {
    const { topic: name, topicId } = part.held;
    const present = this.#topics.get(topicId);
    if (present !== undefined) return present;
    const settings = { ...this.#options, topic: name, partitions: [] };
    const reader = new TopicReader(this.#connections, this.#cluster, settings, () =>
      this.#reading.rouse(),
    );
    const parts = new Map<number, Part>();
    reader.onPassed = (partition, offset, leaderEpoch) => {
      reader.handOut(partition, offset, leaderEpoch);
      const passed = parts.get(partition);
      if (passed === undefined) return;
      passed.place = { offset, leaderEpoch };
      this.#onPassed(passed, offset, leaderEpoch);
    };
    const topic = { reader, started: reader.start(), parts };
    // Whoever waits for it hears of it.
    topic.started.catch(() => undefined);
    this.#topics.set(topicId, topic);
    this.#reading.add({ reader, codecs: this.#codecs.get(name) });
    return topic;
  }

  #drop(topic: Topic): void {
    this.#reading.remove(topic.reader);
    for (const [topicId, one] of this.#topics) if (one === topic) this.#topics.delete(topicId);
  }
}

/** The topic alone is meant. */
function isRefused({ code }: TidemarkError): boolean {
  return code === 'PERMISSION_DENIED';
}

function anotherTopic({ held }: Part): TidemarkError {
  return new TidemarkError(
    'UNKNOWN_TOPIC',
    `Cannot read "${held.topic}" as the group does: another topic has its name now, or has it not yet`,
    'refresh',
  );
}
