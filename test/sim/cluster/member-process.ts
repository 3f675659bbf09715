/**
 * A program that is a member of a group, as any generated client makes one: one stream to some
 * broker, another one when it breaks. It handles what it is given, some of it slowly, acknowledges,
 * and is killed, stalls, leaves and comes back as chance has it.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Random } from '../../../base/random.ts';
import {
  type ConsumeAcknowledged,
  ConsumeFence,
  type ConsumeRecords,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  type ConsumeView,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import { addressOf } from './sim-broker.ts';

const CREDIT_BYTES = 4_096;
const SESSION_MS = 6_000;
const REOPEN_MS = 300;
const STALL_MS_MAX = 12_000;
/** Somebody else has its place: a supervisor starts it again later. */
const REPLACED_MS = 20_000;

export interface MemberParts {
  readonly ground: Ground;
  readonly random: Random;
  readonly brokers: number;
  readonly group: string;
  readonly topics: readonly string[];
  readonly instanceId: string;
  /** Pause between what chance does to it. */
  readonly meanTurnMs: number;
  readonly onRecords: (member: MemberProcess, records: ConsumeRecords) => void;
  readonly onCommitted: (member: MemberProcess, commit: Commit) => void;
}

/** An acknowledgement that was answered with yes. */
export interface Commit {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: number;
  readonly offset: number;
  readonly askedMs: number;
}

type Stream = ClientDuplexStream<ConsumeRequest, ConsumeResponse>;

export class MemberProcess {
  readonly name: string;
  readonly #parts: MemberParts;
  #process: SimProcess;
  #stream: Stream | null = null;
  #lives = 0;
  memberId: string;
  #attempt = 0;
  #epoch = 0;
  #isLeaving = false;
  #isReplaced = false;
  #isCalm = false;
  #isRetired = false;
  #nextAcknowledge = 1;
  #asked = new Map<number, Commit>();
  /** Views that it was shown. */
  views = 0;

  constructor(name: string, parts: MemberParts) {
    this.name = name;
    this.#parts = parts;
    this.memberId = parts.ground.newUuid();
    this.#process = this.#newProcess();
  }

  start(): void {
    this.#open();
    this.#turn();
  }

  /** Nothing happens to it any more but what happens to its brokers. */
  calm(): void {
    this.#isCalm = true;
  }

  /** It leaves, and does not come back. */
  retire(): void {
    this.#isCalm = true;
    this.#isRetired = true;
    this.#leave();
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
      if (this.#isRetired) return;
      this.#process = this.#newProcess();
      this.#beginAnew();
    });
  }

  #beginAnew(): void {
    this.memberId = this.#parts.ground.newUuid();
    this.#attempt = 0;
    this.#epoch = 0;
    this.#isLeaving = false;
    this.#open();
  }

  #leave(): void {
    const { random } = this.#parts;
    if (this.#stream === null || this.#isLeaving) return;
    this.#isLeaving = true;
    const isReturning = this.#parts.instanceId !== '' && random.chance(0.5);
    this.#send(this.#stream, { $case: 'leave', value: { isReturning } });
  }

  // Its own loop.

  #open(): void {
    const { ground, random, brokers, group, topics, instanceId } = this.#parts;
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
    this.#send(stream, {
      $case: 'open',
      value: {
        ...{ group, type: 1, topics: [...topics], memberId: this.memberId },
        ...{ attempt: this.#attempt, instanceId, rack: '', client: this.name, assignor: '' },
        ...{ sessionMs: SESSION_MS, graceMs: random.pick([0, 1_000]), epoch: this.#epoch },
        ...{
          returnMs: instanceId === '' ? 0 : 5_000,
          delivery: 1,
          creditBytes: CREDIT_BYTES,
          creditRecords: 0,
        },
        ...{ from: 1, releaseMs: random.pick([200, 3_000]), formerMemberId: '' },
      },
    });
  }

  #send(stream: Stream, message: NonNullable<ConsumeRequest['message']>): void {
    stream.write({ message });
  }

  #ended(): void {
    this.#stream = null;
    this.#asked.clear();
    const pauseMs = this.#parts.random.below(REOPEN_MS) + (this.#isReplaced ? REPLACED_MS : 0);
    this.#isReplaced = false;
    this.#process.after(pauseMs, () => {
      if (this.#stream !== null || this.#isRetired) return;
      if (this.#isLeaving) this.#beginAnew();
      else this.#open();
    });
  }

  #take(stream: Stream, message: NonNullable<ConsumeResponse['message']>): void {
    switch (message.$case) {
      case 'view':
        this.#view(message.value);
        return;
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
        // The stream that follows is of another member.
        if (message.value.reason !== ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE)
          this.#isLeaving = true;
        if (message.value.reason === ConsumeFence.CONSUME_FENCE_REPLACED) this.#isReplaced = true;
        return;
      case 'joined':
      case 'lease':
    }
  }

  #view({ epoch, assigned, revoked }: ConsumeView): void {
    const { ground } = this.#parts;
    if (epoch < this.#epoch)
      ground.fail(`${this.name} is shown view ${epoch} after ${this.#epoch}`);
    this.#epoch = epoch;
    this.views += 1;
    const shown = assigned.map(
      ({ topic, partition, error }) => `${topic}/${partition}${error?.code ?? ''}`,
    );
    ground.note(
      `${this.name} is shown view ${epoch}: ${shown.join()} without ${revoked.map(({ partition }) => partition).join()}`,
    );
  }

  #records(stream: Stream, records: ConsumeRecords): void {
    const { random, onRecords } = this.#parts;
    onRecords(this, records);
    const { topic, topicId, partition, epoch, nextOffset, nextLeaderEpoch, bytes } = records;
    // Acknowledged in order, as far as it was handled.
    this.#process.after(random.below(50), () => {
      if (this.#stream !== stream) return;
      const acknowledgeId = this.#nextAcknowledge++;
      const askedMs = this.#parts.ground.time.nowMs;
      this.#asked.set(acknowledgeId, { topic, partition, epoch, offset: nextOffset, askedMs });
      const place = { topicId, partition, offset: nextOffset, leaderEpoch: nextLeaderEpoch };
      const value = { acknowledgeId, cursors: [{ ...place, epoch }], records: [] };
      this.#send(stream, {
        $case: 'acknowledge',
        value: { ...value, creditBytes: bytes, creditRecords: 0 },
      });
    });
  }

  #acknowledged({ acknowledgeId, cursors }: ConsumeAcknowledged): void {
    const { ground, onCommitted } = this.#parts;
    const commit = this.#asked.get(acknowledgeId);
    this.#asked.delete(acknowledgeId);
    const [outcome] = cursors;
    if (commit === undefined || outcome === undefined) return;
    if (outcome.error === undefined) onCommitted(this, commit);
    else ground.note(`${this.name} is refused a commit: ${outcome.error.code}`);
  }
}
