/**
 * A program that takes records from a queue, as any generated client does it: one stream to some
 * broker, another one when it breaks. It settles what it gets as chance has it, some of it late or
 * twice, and is killed, stalls, leaves and comes back.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Random } from '../../../base/random.ts';
import {
  type ConsumeAcknowledged,
  ConsumeFence,
  type ConsumeRecord,
  type ConsumeRecords,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  ConsumeType,
  type RecordAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import { addressOf } from './sim-broker.ts';

const CREDIT_BYTES = 65_536;
const REOPEN_MS = 300;
const STALL_MS_MAX = 12_000;
const HANDLING_MS_MAX = 60;
/** Far beyond the leases of a run. */
const SLOW_MS_MAX = 9_000;
const DELAYS_MS = [0, 0, 300, 2_000] as const;

/** One delivery, and who had it. */
export interface Delivered {
  readonly consumer: string;
  readonly partition: number;
  readonly record: ConsumeRecord;
}

export type Wish = 'accept' | 'release' | 'reject' | 'extend';

export interface ConsumerParts {
  readonly ground: Ground;
  readonly random: Random;
  readonly brokers: number;
  readonly queue: string;
  /** Its records may be rejected. */
  readonly mayReject: boolean;
  /** Pause between what chance does to it. */
  readonly meanTurnMs: number;
  readonly onDelivered: (delivered: Delivered) => void;
  readonly onAsked: (delivered: Delivered, wish: Wish) => void;
  /** Its lease was over, and nothing was settled. */
  readonly onLost: (delivered: Delivered, wish: Wish) => void;
  /** It is so, and committed. */
  readonly onDone: (delivered: Delivered, wish: Wish) => void;
}

type Stream = ClientDuplexStream<ConsumeRequest, ConsumeResponse>;

interface Asked {
  readonly delivered: Delivered;
  readonly wish: Wish;
}

export class ConsumerProcess {
  readonly name: string;
  readonly #parts: ConsumerParts;
  #process: SimProcess;
  #stream: Stream | null = null;
  #lives = 0;
  #memberId: string;
  #attempt = 0;
  #isLeaving = false;
  #isCalm = false;
  #nextAcknowledge = 1;
  #asked = new Map<number, readonly Asked[]>();

  constructor(name: string, parts: ConsumerParts) {
    this.name = name;
    this.#parts = parts;
    this.#memberId = parts.ground.newUuid();
    this.#process = this.#newProcess();
  }

  start(): void {
    this.#open();
    this.#turn();
  }

  /** Nothing happens to it any more but what happens to its brokers, and it accepts all it gets. */
  calm(): void {
    this.#isCalm = true;
  }

  #newProcess(): SimProcess {
    const { ground } = this.#parts;
    this.#lives += 1;
    return new SimProcess(`${this.name}.${this.#lives}`, ground.time, {
      wallMs: () => ground.wallMs(),
      onThrow: (error) => {
        ground.fail(`${this.name} threw: ${String(error)}`);
      },
    });
  }

  // What chance does to it, outside of its own loop.

  #turn(): void {
    const { ground, random, meanTurnMs } = this.#parts;
    ground.time.after(1 + random.below(2 * meanTurnMs), () => {
      if (!this.#isCalm) this.#act();
      this.#turn();
    });
  }

  #act(): void {
    const { random, ground } = this.#parts;
    const draw = random.below(10);
    if (draw < 3) this.#kill();
    else if (draw < 5) this.#process.stall(random.below(STALL_MS_MAX));
    else if (draw < 7) this.#leave();
    else if (draw < 8 && this.#stream !== null) {
      ground.note(`${this.name} opens another stream beside`);
      this.#open();
    }
  }

  /** Its next life has another id. */
  #kill(): void {
    const { ground, random } = this.#parts;
    if (this.#process.isDead) return;
    ground.note(`${this.name} killed`);
    this.#process.kill();
    ground.network.reset(this.#process);
    this.#stream = null;
    this.#asked.clear();
    ground.time.after(random.below(8_000), () => {
      this.#process = this.#newProcess();
      this.#beginAnew();
    });
  }

  #beginAnew(): void {
    this.#memberId = this.#parts.ground.newUuid();
    this.#attempt = 0;
    this.#isLeaving = false;
    this.#open();
  }

  #leave(): void {
    if (this.#stream === null || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#send(this.#stream, { $case: 'leave', value: { isReturning: false } });
  }

  // Its own loop.

  #open(): void {
    const { ground, random, brokers, queue } = this.#parts;
    const process = this.#process;
    const host = addressOf(1 + random.below(brokers));
    const { channel } = new SimChannel(ground.network, process, process.name, host);
    const { path, requestSerialize, responseDeserialize } = ConsumeServiceService.consume;
    const stream: Stream = channel.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
    );
    this.#stream = stream;
    this.#attempt += 1;
    this.#asked.clear();
    stream.on('data', ({ message }: ConsumeResponse) => {
      if (message !== undefined && this.#stream === stream) this.#take(stream, message);
    });
    stream.on('error', () => undefined);
    stream.on('status', (status: { readonly details: string }) => {
      ground.note(`${this.name} stream of attempt ${this.#attempt} ended: ${status.details}`);
      if (this.#stream === stream) this.#ended();
    });
    const none = { instanceId: '', rack: '', assignor: '', sessionMs: 0, formerMemberId: '' };
    this.#send(stream, {
      $case: 'open',
      value: {
        ...{ ...none, group: queue, type: ConsumeType.CONSUME_TYPE_QUEUE, topics: [] },
        ...{ memberId: this.#memberId, attempt: this.#attempt, client: this.name },
        ...{
          graceMs: random.pick([0, 1_000]),
          epoch: 0,
          delivery: 1,
          from: 0,
          releaseMs: 0,
          returnMs: 0,
        },
        ...{ creditBytes: CREDIT_BYTES, creditRecords: random.pick([1, 3, 50]) },
      },
    });
  }

  #send(stream: Stream, message: NonNullable<ConsumeRequest['message']>): void {
    stream.write({ message });
  }

  #ended(): void {
    this.#stream = null;
    this.#asked.clear();
    this.#process.after(this.#parts.random.below(REOPEN_MS), () => {
      if (this.#stream !== null) return;
      if (this.#isLeaving) this.#beginAnew();
      else this.#open();
    });
  }

  #take(stream: Stream, message: NonNullable<ConsumeResponse['message']>): void {
    const { ground } = this.#parts;
    switch (message.$case) {
      case 'records':
        this.#records(stream, message.value);
        return;
      case 'acknowledged':
        this.#acknowledged(message.value);
        return;
      case 'reattach':
        this.#open();
        return;
      case 'fenced':
        if (message.value.reason !== ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE)
          ground.fail(`${this.name} is fenced: ${String(message.value.reason)}`);
        this.#isLeaving = true;
        return;
      case 'view':
      case 'lease':
        ground.fail(`${this.name} of a queue got a ${message.$case}`);
        return;
      case 'joined':
    }
  }

  #records(stream: Stream, records: ConsumeRecords): void {
    const { random, ground, onDelivered } = this.#parts;
    const { partition, topicId } = records;
    ground.note(
      `${this.name} got ${records.topic}/${partition} ${records.records.map(({ offset, delivery }) => `${offset}#${delivery}`).join()}`,
    );
    const perRecord = Math.ceil(records.bytes / records.records.length);
    for (const record of records.records) {
      const delivered = { consumer: this.#memberId, partition, record };
      onDelivered(delivered);
      const isSlow = !this.#isCalm && random.chance(0.05);
      this.#process.after(random.below(isSlow ? SLOW_MS_MAX : HANDLING_MS_MAX), () => {
        this.#settle(stream, topicId, delivered, perRecord);
      });
    }
  }

  /** Also what it got by an earlier stream. */
  #settle(stream: Stream, topicId: Uint8Array, delivered: Delivered, bytes: number): void {
    const { random } = this.#parts;
    const now = this.#stream;
    if (now === null) return;
    const wish = this.#wish();
    const asked: Asked = { delivered, wish };
    const times = random.chance(0.05) ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      const acknowledgeId = this.#nextAcknowledge++;
      this.#asked.set(acknowledgeId, [asked]);
      this.#parts.onAsked(delivered, wish);
      // Credit of an earlier stream is gone with it.
      const isCredited = time === 0 && now === stream && wish !== 'extend';
      const credit = {
        creditBytes: isCredited ? bytes : 0,
        creditRecords: isCredited ? 1 : 0,
      };
      const record = this.#acknowledgement(topicId, delivered, wish);
      this.#send(now, {
        $case: 'acknowledge',
        value: { acknowledgeId, cursors: [], records: [record], ...credit },
      });
    }
    if (wish === 'extend')
      this.#process.after(random.below(HANDLING_MS_MAX), () => {
        this.#settle(stream, topicId, delivered, bytes);
      });
  }

  #wish(): Wish {
    const { random, mayReject } = this.#parts;
    const draw = random.below(20);
    if (this.#isCalm || draw < 13) return 'accept';
    if (draw < 16) return 'release';
    return draw < 18 && mayReject ? 'reject' : 'extend';
  }

  #acknowledgement(
    topicId: Uint8Array,
    { partition, record: { offset, leaderEpoch, delivery } }: Delivered,
    wish: Wish,
  ): RecordAcknowledgement {
    const place = { topicId: Buffer.from(topicId), partition, offset, leaderEpoch, delivery };
    if (wish === 'release') {
      const delayMs = this.#parts.random.pick(DELAYS_MS);
      return { ...place, verdict: { $case: 'release', value: { delayMs } } };
    }
    if (wish === 'reject')
      return { ...place, verdict: { $case: 'reject', value: { reason: 'by chance' } } };
    return { ...place, verdict: { $case: wish, value: {} } };
  }

  #acknowledged({ acknowledgeId, records }: ConsumeAcknowledged): void {
    const asked = this.#asked.get(acknowledgeId);
    this.#asked.delete(acknowledgeId);
    for (const [at, { delivered, wish }] of (asked ?? []).entries()) {
      const { partition, record } = delivered;
      const error = records[at]?.error;
      this.#parts.ground.note(
        `${this.name} told of ${wish} ${partition}/${record.offset}#${record.delivery}: ${error?.code ?? 'done'}`,
      );
      if (error === undefined) this.#parts.onDone(delivered, wish);
      else if (error.code === 'LEASE_LOST') this.#parts.onLost(delivered, wish);
    }
  }
}
