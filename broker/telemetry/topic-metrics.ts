/**
 * A few series for each topic, of the first topics that a broker came to hold; those of the others
 * are one, so that whoever makes topics does not make series without end.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { type Offset, partitionKey, type PartitionKey } from '../../base/units.ts';
import type { BrokerSample, BrokerSource } from './broker-source.ts';

/** Topics of a broker with series of their own: 300 series, as many as the rest of a broker has. */
export const TOPICS_SHOWN_MAX = 100;
/** Name of all others; no topic can be called so. */
export const OTHER_TOPICS = '(other)';
/** Topics whose bytes wait for a scrape, where nobody scrapes; those of more are lost. */
const TOPICS_COUNTED_MAX = 20_000;

export class TopicMetrics {
  readonly #bytes: Counter<'topic'>;
  readonly #records: Counter<'topic'>;
  readonly #logBytes: Gauge<'topic'>;
  /** Names of the topics with series of their own, by id. */
  readonly #shown = new Map<string, string>();
  /** Appended since the last scrape, by topic id. */
  readonly #appended = new Map<string, number>();
  /** High-water marks of partitions led here at the last scrape. */
  #marks = new Map<PartitionKey, Offset>();

  constructor(registry: Registry) {
    const labelNames = ['topic'] as const;
    const registers = [registry];
    this.#bytes = new Counter({
      name: 'tidemark_topic_append_bytes_total',
      help: 'Bytes of frames appended for producers, by topic; (other) for those beyond the first 100',
      ...{ labelNames, registers },
    });
    this.#records = new Counter({
      name: 'tidemark_topic_records_total',
      help: 'Records committed to partitions led here, control batches too, by topic',
      ...{ labelNames, registers },
    });
    this.#logBytes = new Gauge({
      name: 'tidemark_topic_log_bytes',
      help: 'Bytes of all logs on this broker, by topic',
      ...{ labelNames, registers },
    });
  }

  /** A batch was appended. */
  appended(topicId: string, bytes: number): void {
    const before = this.#appended.get(topicId);
    if (before === undefined && this.#appended.size >= TOPICS_COUNTED_MAX) return;
    this.#appended.set(topicId, (before ?? 0) + bytes);
  }

  /** Called at each scrape. */
  collect({ replicas }: BrokerSample, source: BrokerSource): void {
    const { topics } = source.image();
    for (const [topicId, name] of this.#shown) {
      if (topics.has(topicId)) continue;
      this.#shown.delete(topicId);
      for (const series of [this.#bytes, this.#records]) series.remove({ topic: name });
    }
    for (const { topicId } of replicas) {
      const name = topics.get(topicId)?.name;
      if (name !== undefined && this.#shown.size < TOPICS_SHOWN_MAX) this.#shown.set(topicId, name);
    }
    const labelOf = (topicId: string): { topic: string } => ({
      topic: this.#shown.get(topicId) ?? OTHER_TOPICS,
    });
    for (const [topicId, bytes] of this.#appended) this.#bytes.inc(labelOf(topicId), bytes);
    this.#appended.clear();
    this.#logBytes.reset();
    const marks = new Map<PartitionKey, Offset>();
    for (const { topicId, partition, sizeBytes, status } of replicas) {
      const label = labelOf(topicId);
      this.#logBytes.inc(label, sizeBytes);
      if (status.leader !== source.brokerId) continue;
      const key = partitionKey(topicId, partition);
      const before = this.#marks.get(key) ?? status.highWaterMark;
      marks.set(key, status.highWaterMark);
      this.#records.inc(label, Math.max(0, status.highWaterMark - before));
    }
    this.#marks = marks;
  }
}
