/**
 * Programs that write under one producer's name, one batch of a partition at a time, as any client
 * in any language may. Each takes the name from the one before, which does not hear of it and
 * writes on.
 */
import { crc32 } from 'node:zlib';
import type { Random } from '../../../base/random.ts';
import { BrokerError } from '../../../base/errors.ts';
import {
  AckLevel,
  LogServiceService,
  type ProduceResponse,
  type ProduceResult,
} from '../../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../../wire/batch/frame.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { encodeBatch } from '../../../wire/records/batch.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import type { History, Sent } from './history.ts';
import { addressOf } from './sim-broker.ts';

const NAME = 'ledger';
const INIT_DEADLINE_MS = 5_000;
/** An attempt that is not answered by then is made again, with the same sequence. */
const ANSWER_MS = 2_000;
const AGAIN_MS = 200;
/** A program that was told that it is fenced does not believe it. */
const STUBBORN_MS = 500;
/** Writers that live at a time, the present one among them. */
const WRITERS_MAX = 4;

export interface NamedWritersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  readonly topic: { readonly name: string; readonly partitions: number };
  readonly topicId: () => string | null;
  /** Broker that leads, as the newest metadata has it. */
  readonly leaderOf: (partition: number) => number;
  readonly brokers: number;
  readonly meanPauseMs: number;
  /** Where each partition's longest log ends; null while a broker is down. */
  readonly ends: () => ReadonlyMap<number, number> | null;
}

export class NamedWriters {
  readonly #parts: NamedWritersParts;
  readonly #living: NamedWriter[] = [];
  #isOn = true;
  #count = 0;

  constructor(parts: NamedWritersParts) {
    this.#parts = parts;
  }

  /** Another program takes the name; resolves when it writes. */
  async takeOver(): Promise<void> {
    if (!this.#isOn) return;
    this.#count += 1;
    const writer = new NamedWriter(this.#parts, `n${this.#count}`);
    this.#living.push(writer);
    while (this.#living.length > WRITERS_MAX) this.#living.shift()?.stop();
    await writer.run();
  }

  /** Nothing new is written; what is under way comes to its end. */
  stop(): void {
    this.#isOn = false;
    for (const writer of this.#living) writer.stop();
  }
}

class NamedWriter {
  readonly #parts: NamedWritersParts;
  readonly #host: string;
  readonly #process: SimProcess;
  readonly #random: Random;
  readonly #channels = new Map<string, SimChannel>();
  #isOn = true;
  #records = 0;

  constructor(parts: NamedWritersParts, host: string) {
    this.#parts = parts;
    this.#host = host;
    this.#random = parts.random.fork(host);
    const { ground } = parts;
    this.#process = new SimProcess(host, ground.time, {
      wallMs: () => ground.wallMs(),
      onThrow: (error) => {
        ground.fail(`${host} threw: ${String(error)}`);
      },
    });
  }

  stop(): void {
    this.#isOn = false;
  }

  /** Takes the name, and starts to write. */
  async run(): Promise<void> {
    const { ground, history, topic, brokers, ends } = this.#parts;
    while (this.#isOn) {
      const channel = this.#channel(addressOf(1 + this.#random.below(brokers)));
      const options = { deadlineMs: INIT_DEADLINE_MS, clock: this.#process.clock };
      try {
        const answer = await callUnary(
          channel.channel,
          LogServiceService.initProducer,
          { name: NAME, expected: undefined },
          options,
        );
        const { producerId, producerEpoch: epoch } = answer;
        ground.note(`${this.#host} has the name in epoch ${epoch}`);
        history.takeovers.push({ epoch, atMs: ground.time.nowMs, ends: ends() });
        for (let partition = 0; partition < topic.partitions; partition += 1)
          this.#write(partition, { producerId, producerEpoch: epoch }).catch((error: unknown) => {
            ground.fail(`${this.#host} failed with ${String(error)}`);
          });
        return;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        ground.note(`${this.#host} does not get the name: ${error.code}`);
      }
      await this.#pause(AGAIN_MS);
    }
  }

  /** One batch after the other; a batch is sent again until its fate is known. */
  async #write(
    partition: number,
    producer: { readonly producerId: number; readonly producerEpoch: number },
  ): Promise<void> {
    const { history, topic, ground, meanPauseMs } = this.#parts;
    for (let baseSequence = 0; this.#isOn; ) {
      this.#records += 1;
      const value = `${this.#host}-${partition}-${this.#records}`;
      const sent = history.send(value, topic.name, 'named', ground.time.nowMs);
      history.epochs.set(value, producer.producerEpoch);
      const frame = encodeBatch(
        [{ value: new TextEncoder().encode(`${value}|`), timestampMs: 0 }],
        { codec: 0, producer: { ...producer, baseSequence } },
        crc32,
      );
      const code = await history.follow(
        `named ${value}`,
        ground.time.nowMs,
        this.#deliver(sent, partition, frame),
      );
      if (code === null) baseSequence += 1;
      else if (code !== 'PRODUCER_FENCED') return;
      await this.#pause(code === null ? this.#random.below(2 * meanPauseMs) : STUBBORN_MS);
    }
  }

  /** Resolves with null once it is acknowledged, else with the code of the refusal. */
  async #deliver(sent: Sent, partition: number, frame: Uint8Array): Promise<string | null> {
    let isInDoubt = false;
    let brokerId = 0;
    for (;;) {
      brokerId = this.#nextBroker(partition, brokerId);
      const result = await this.#attempt(addressOf(brokerId), partition, frame);
      if (result !== null && result.error === undefined) {
        this.#settle(sent, { partition, offset: result.baseOffset });
        return null;
      }
      const error = result?.error === undefined ? null : errorFromMessage(result.error);
      if (error === null || error.effect !== 'none') isInDoubt = true;
      if ((error !== null && error.retry === 'no') || !this.#isOn) {
        const code = error?.code ?? 'UNREACHABLE';
        this.#settle(sent, { code, effect: isInDoubt ? 'unknown' : 'none' });
        return code;
      }
      await this.#pause(AGAIN_MS);
    }
  }

  /** Mostly the leader, sometimes anybody, sometimes whoever was asked before. */
  #nextBroker(partition: number, before: number): number {
    const { leaderOf, brokers } = this.#parts;
    const draw = this.#random.below(10);
    if (draw === 0) return 1 + this.#random.below(brokers);
    if (draw === 1 && before > 0) return before;
    return Math.max(1, leaderOf(partition));
  }

  /** What the broker says of the batch; null where it says nothing. */
  #attempt(address: string, partition: number, frame: Uint8Array): Promise<ProduceResult | null> {
    const topicId = this.#parts.topicId();
    if (topicId === null) return Promise.resolve(null);
    const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
    const { channel } = this.#channel(address);
    const call = channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new Promise((resolve) => {
      const end = (result: ProduceResult | null): void => {
        resolve(result);
        call.cancel();
      };
      call.on('data', ({ results }: ProduceResponse) => {
        const [result] = results;
        if (result !== undefined) end(result);
      });
      call.on('error', () => {
        end(null);
      });
      call.on('status', () => {
        end(null);
      });
      this.#process.after(ANSWER_MS, () => {
        end(null);
      });
      const batch = {
        batchId: 1,
        topicId: Buffer.from(topicIdToBytes(topicId)),
        partition,
        frame: Buffer.from(frame),
        condition: undefined,
      };
      call.write({ acks: AckLevel.ACK_LEVEL_ALL, batches: [batch] });
    });
  }

  #settle(
    sent: Sent,
    fate:
      | { readonly partition: number; readonly offset: number }
      | { readonly code: string; readonly effect: string },
  ): void {
    const { ground } = this.#parts;
    if ('offset' in fate) {
      sent.fate = { kind: 'acknowledged', ...fate, atMs: ground.time.nowMs };
      ground.note(`ack ${sent.value} ${sent.topic}/${fate.partition} ${fate.offset}`);
      return;
    }
    sent.fate = { kind: 'refused', ...fate };
    ground.note(`refused ${sent.value} ${fate.code}`);
  }

  #channel(address: string): SimChannel {
    const found =
      this.#channels.get(address) ??
      new SimChannel(this.#parts.ground.network, this.#process, this.#host, address);
    this.#channels.set(address, found);
    return found;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#process.after(ms, resolve));
  }
}
