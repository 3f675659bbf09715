/**
 * Programs that append only where the log ends as they believe, against each other and against all
 * who append without looking: some through the library, one by plain calls to any broker. They read
 * no log; answers tell them the end.
 */
import type { Random } from '../../../base/random.ts';
import { BrokerError } from '../../../base/errors.ts';
import { type Tidemark, TidemarkError } from '../../../client/index.ts';
import { AckLevel, LogServiceService } from '../../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import type { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import type { History } from './history.ts';
import { addressOf } from './sim-broker.ts';
import type { SimTopic } from './topics.ts';

const DELIVERY_TIMEOUT_MS = 20_000;
const PLAIN_DEADLINE_MS = 3_000;

export interface RacersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  readonly topic: SimTopic;
  readonly brokers: number;
  readonly meanPauseMs: number;
  readonly client: (host: string) => { readonly tidemark: Tidemark; readonly process: SimProcess };
}

/** One attempt: where the record went, and the end behind it. */
type Append = (place: {
  readonly partition: number;
  readonly value: string;
  readonly end: number;
}) => Promise<{ readonly offset: number; readonly next: number }>;

export class Racers {
  readonly #parts: RacersParts;
  #isOn = true;

  constructor(parts: RacersParts) {
    this.#parts = parts;
  }

  /** So many on each partition, one of them by plain calls. */
  start(count: number): void {
    for (let partition = 0; partition < this.#parts.topic.partitions; partition += 1)
      for (let at = 0; at < count; at += 1)
        this.#start(`race${at}.${partition}`, partition, at > 0);
  }

  /** Nothing new is appended; what is under way comes to its end. */
  stop(): void {
    this.#isOn = false;
  }

  #start(host: string, partition: number, isLibrary: boolean): void {
    const { ground, client, random } = this.#parts;
    const { tidemark, process } = client(host);
    const append = isLibrary ? this.#byLibrary(tidemark) : this.#plainly(host, process);
    this.#run(host, partition, { append, process, random: random.fork(host) }).catch(
      (error: unknown) => {
        ground.fail(`${host} failed with ${String(error)}`);
      },
    );
  }

  async #run(
    host: string,
    partition: number,
    by: { readonly append: Append; readonly process: SimProcess; readonly random: Random },
  ): Promise<void> {
    const { ground, history, topic, meanPauseMs } = this.#parts;
    for (let end = 0, count = 1; this.#isOn; count += 1) {
      const value = `${host}-${count}`;
      const sent = history.send(value, topic.name, 'raced', ground.time.nowMs);
      history.expected.set(value, { racer: host, partition, end });
      const call = by.append({ partition, value, end });
      try {
        const { offset, next } = await history.follow(`race ${value}`, ground.time.nowMs, call);
        sent.fate = { kind: 'acknowledged', partition, offset, atMs: ground.time.nowMs };
        ground.note(`ack ${value} ${topic.name}/${partition} ${offset} expected ${end}`);
        end = next;
      } catch (error) {
        if (!(error instanceof TidemarkError || error instanceof BrokerError)) throw error;
        const { code, effect, details } = error;
        sent.fate = { kind: 'refused', code, effect };
        ground.note(`refused ${value} ${code} expected ${end}`);
        // What nobody knows is tried again at the same end, where only one of both can stand.
        if (code === 'OFFSET_TAKEN') end = details.dataEnd ?? end;
      }
      const pauseMs = 1 + by.random.below(2 * meanPauseMs);
      await new Promise<void>((resolve) => by.process.after(pauseMs, resolve));
    }
  }

  #byLibrary(tidemark: Tidemark): Append {
    const { topic } = this.#parts;
    const producer = tidemark.producer({ deliveryTimeoutMs: DELIVERY_TIMEOUT_MS });
    return async ({ partition, value, end }) => {
      const record = { topic: topic.name, partition, value: `${value}|` };
      const { baseOffset, nextOffset } = await producer.append([record], { ifOffset: end });
      return { offset: baseOffset, next: nextOffset };
    };
  }

  #plainly(host: string, process: SimProcess): Append {
    const { ground, brokers, topic, random } = this.#parts;
    const channels = new Map<string, SimChannel>();
    const choices = random.fork(`${host} calls`);
    return async ({ partition, value, end }) => {
      const address = addressOf(1 + choices.below(brokers));
      const channel =
        channels.get(address) ?? new SimChannel(ground.network, process, host, address);
      channels.set(address, channel);
      const record = {
        partition,
        key: undefined,
        value: new TextEncoder().encode(`${value}|`),
        headers: [],
        timestampMs: 0,
        tombstone: false,
      };
      const { results } = await callUnary(
        channel.channel,
        LogServiceService.append,
        {
          topic: topic.name,
          records: [record],
          acks: AckLevel.ACK_LEVEL_ALL,
          condition: { $case: 'expectedEnd', value: { offset: end, leaderEpoch: 0 } },
        },
        { deadlineMs: PLAIN_DEADLINE_MS, clock: process.clock },
      );
      const [result] = results;
      if (result?.error !== undefined) throw errorFromMessage(result.error);
      const offset = result?.offset ?? -1;
      return { offset, next: offset + 1 };
    };
  }
}
