/** Tells of each record's fate: counts it, reports it, settles its promise and frees its room. */
import { channel } from 'node:diagnostics_channel';
import type { TidemarkError } from '../errors.ts';
import { recordsOf } from './prepare.ts';
import type { PartitionQueue, Settlement } from './partition-queue.ts';
import type { SendBuffer } from './send-buffer.ts';
import type { Waiting } from './topic-state.ts';
import type { DeliveryReport, ProducerCounters, ProducerSettings } from './types.ts';

/** Hears of every batch whose fate is known; see docs/client.md. */
const delivered = channel('tidemark:producer:delivery');

export class Deliveries {
  readonly #buffer: SendBuffer;
  readonly #onDelivery: ProducerSettings['onDelivery'];
  #recordsDelivered = 0;
  #recordsFailed = 0;
  #batchesDelivered = 0;
  #retries = 0;

  constructor(buffer: SendBuffer, onDelivery: ProducerSettings['onDelivery']) {
    this.#buffer = buffer;
    this.#onDelivery = onDelivery;
  }

  counters(): ProducerCounters {
    return {
      recordsDelivered: this.#recordsDelivered,
      recordsFailed: this.#recordsFailed,
      batchesDelivered: this.#batchesDelivered,
      retries: this.#retries,
      bufferedBytes: this.#buffer.bytes,
    };
  }

  retried(): void {
    this.#retries += 1;
  }

  /** A record that never came as far as a partition. */
  failed(topic: string, { record, bytes, settler }: Waiting, error: TidemarkError): void {
    const records = recordsOf(record);
    const { length: recordCount } = records;
    this.#recordsFailed += recordCount;
    this.#tell({
      topic,
      partition: record.partition ?? -1,
      baseOffset: -1,
      contexts: records.map(({ context }) => context),
      recordCount,
      bytes,
      attempts: 0,
      error,
    });
    settler?.reject(error);
    this.#buffer.release(bytes, recordCount);
  }

  #tell(report: DeliveryReport): void {
    if (delivered.hasSubscribers) delivered.publish(report);
    this.#onDelivery?.(report);
  }

  settled(queue: PartitionQueue, { batch, fate }: Settlement): void {
    const recordCount = batch.records.length;
    if (fate.kind === 'delivered') {
      this.#recordsDelivered += recordCount;
      this.#batchesDelivered += 1;
    } else {
      this.#recordsFailed += recordCount;
    }
    this.#tell({
      topic: queue.topic,
      partition: queue.partition,
      baseOffset: fate.kind === 'delivered' ? fate.baseOffset : -1,
      contexts: batch.contexts,
      recordCount,
      bytes: batch.bytes,
      attempts: batch.attempts,
      error: fate.kind === 'failed' ? fate.error : undefined,
    });
    batch.settlers.forEach((settler, index) => {
      if (fate.kind === 'failed') {
        settler?.reject(fate.error);
        return;
      }
      const offset = fate.baseOffset < 0 ? -1 : fate.baseOffset + index;
      settler?.resolve({
        partition: queue.partition,
        offset,
        timestampMs: batch.records[index]!.timestampMs,
      });
    });
    this.#buffer.release(batch.bytes, recordCount);
  }
}
