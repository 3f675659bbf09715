/**
 * Queues as the fake cluster has them: records in a list, leased to members in memory, behind
 * brokers that are all proxies of it.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { ErrorCode } from '../../../base/errors.ts';
import type {
  ConsumeAcknowledge,
  ConsumeFence,
  ConsumeOpen,
  ConsumeRequest,
  ConsumeResponse,
  RecordAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import type { Error as WireError } from '../../../proto/gen/tidemark/v1/errors.ts';

type Call = ServerDuplexStream<ConsumeRequest, ConsumeResponse>;
type Response = NonNullable<ConsumeResponse['message']>;

/** One record of a queue. */
interface FakeRecord {
  readonly offset: number;
  readonly value: string;
  delivery: number;
  /** Member that has it. */
  holder: string | null;
  untilMs: number;
  dueMs: number;
  /** What became of it: `accept`, or `reject` with its reason. */
  fate: string;
}

interface Stream {
  readonly call: Call;
  readonly broker: number;
  readonly open: ConsumeOpen;
  records: number;
  bytes: number;
}

/** What of the cluster it needs. */
export interface QueueGround {
  readonly topicId: Uint8Array;
  readonly error: (code: ErrorCode) => WireError;
  readonly refuse: (call: Call, code: ErrorCode) => void;
}

const TICK_MS = 10;

export class FakeQueues {
  readonly #ground: QueueGround;
  readonly records: FakeRecord[] = [];
  readonly streams: Stream[] = [];
  /** What members said, in order. */
  readonly opens: ConsumeOpen[] = [];
  readonly acknowledgements: ConsumeAcknowledge[] = [];
  /** Answers in place of the next streams. */
  readonly refusals: ErrorCode[] = [];
  /** Answers in place of the next outcomes. */
  readonly outcomeRefusals: (ErrorCode | undefined)[] = [];
  leaseMs = 2_000;
  /** Most records that any member had at a time. */
  leasedMost = 0;
  /** Acknowledgements are carried out, and not answered. */
  isMute = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(ground: QueueGround) {
    this.#ground = ground;
  }

  start(): void {
    this.#timer = setInterval(() => this.#deliver(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  add(...values: string[]): void {
    for (const value of values) {
      const offset = this.records.length;
      const state = { delivery: 0, holder: null, untilMs: 0, dueMs: 0, fate: '' };
      this.records.push({ offset, value, ...state });
    }
  }

  /** Values by what became of them. */
  fates(): Record<string, string[]> {
    const all: Record<string, string[]> = {};
    for (const { value, fate } of this.records) (all[fate] ??= []).push(value);
    return all;
  }

  /** Every stream of the broker is to go elsewhere. */
  reattach(broker: number): void {
    for (const { call, broker: of } of this.streams)
      if (of === broker) send(call, { $case: 'reattach', value: { leftMs: 1_000 } });
  }

  /** The member is over: what it had goes to others. */
  fence(stream: Stream, reason: ConsumeFence): void {
    this.#gone(stream.open.memberId);
    send(stream.call, { $case: 'fenced', value: { reason } });
    this.#refuse(stream, 'FENCED');
  }

  #refuse(stream: Stream, code: ErrorCode): void {
    this.#forget(stream);
    this.#ground.refuse(stream.call, code);
  }

  /** A stream whose first message is here. */
  handle(broker: number, call: Call, open: ConsumeOpen): void {
    const stream = this.#open(broker, call, open);
    if (stream === undefined) return;
    call.on('data', ({ message }: ConsumeRequest) => this.#take(stream, message));
    call.on('cancelled', () => this.#forget(stream));
  }

  #open(broker: number, call: Call, open: ConsumeOpen): Stream | undefined {
    this.opens.push(open);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) {
      this.#ground.refuse(call, refusal);
      return undefined;
    }
    const { memberId, creditRecords: records, creditBytes: bytes } = open;
    const stream = { call, broker, open, records, bytes };
    this.streams.push(stream);
    const joined = { memberId, attachment: 0, sessionMs: 0, leaseMs: this.leaseMs };
    send(call, { $case: 'joined', value: joined });
    this.#deliver();
    return stream;
  }

  #take(stream: Stream, message: ConsumeRequest['message']): void {
    if (message?.$case === 'credit') {
      stream.records += message.value.records;
      stream.bytes += message.value.bytes;
    } else if (message?.$case === 'acknowledge') {
      this.#acknowledge(stream, message.value);
    } else if (message?.$case === 'leave') {
      this.#gone(stream.open.memberId);
      this.#forget(stream);
      stream.call.end();
    }
    this.#deliver();
  }

  #forget(stream: Stream): void {
    const at = this.streams.indexOf(stream);
    if (at >= 0) this.streams.splice(at, 1);
  }

  #gone(memberId: string): void {
    for (const record of this.records) if (record.holder === memberId) record.holder = null;
  }

  #acknowledge(stream: Stream, value: ConsumeAcknowledge): void {
    this.acknowledgements.push(value);
    const { acknowledgeId, records: parts } = value;
    const records = parts.map((part) => {
      const refusal = this.outcomeRefusals.shift() ?? this.#carryOut(stream.open.memberId, part);
      return { error: refusal === undefined ? undefined : this.#ground.error(refusal) };
    });
    if (!this.isMute)
      send(stream.call, { $case: 'acknowledged', value: { acknowledgeId, cursors: [], records } });
  }

  #carryOut(memberId: string, part: RecordAcknowledgement): ErrorCode | undefined {
    const { offset, delivery, verdict } = part;
    const record = this.records[offset]!;
    const nowMs = performance.now();
    if (record.fate !== '') return undefined;
    const isIts = record.holder === memberId && record.delivery === delivery;
    if (!isIts || nowMs >= record.untilMs) return 'LEASE_LOST';
    if (verdict?.$case === 'extend') {
      record.untilMs = nowMs + this.leaseMs;
      return undefined;
    }
    record.holder = null;
    if (verdict?.$case === 'accept') record.fate = 'accept';
    if (verdict?.$case === 'reject') record.fate = `reject ${verdict.value.reason}`;
    if (verdict?.$case === 'release') record.dueMs = nowMs + verdict.value.delayMs;
    return undefined;
  }

  #deliver(): void {
    const nowMs = performance.now();
    for (const record of this.records) {
      if (record.holder !== null && nowMs >= record.untilMs) record.holder = null;
      if (record.fate !== '' || record.holder !== null || nowMs < record.dueMs) continue;
      const stream = this.streams.find(({ records, bytes }) => records > 0 && bytes > 0);
      if (stream !== undefined) this.#lease(record, stream, nowMs);
    }
  }

  #lease(record: FakeRecord, stream: Stream, nowMs: number): void {
    const { memberId } = stream.open;
    record.delivery += 1;
    record.holder = memberId;
    record.untilMs = nowMs + this.leaseMs;
    const leased = this.records.filter(({ holder }) => holder === memberId).length;
    this.leasedMost = Math.max(this.leasedMost, leased);
    const value = Buffer.from(record.value);
    const bytes = value.length + 1;
    stream.records -= 1;
    stream.bytes -= bytes;
    const { offset, delivery } = record;
    const whole = {
      offset,
      delivery,
      leaderEpoch: 1,
      timestampMs: 7,
      key: Buffer.from('k'),
      value,
    };
    const place = { topic: 'orders', topicId: this.#ground.topicId, partition: 0, epoch: 0 };
    const records = [{ ...whole, headers: [], tombstone: false }];
    const next = { nextOffset: offset + 1, nextLeaderEpoch: 1 };
    send(stream.call, {
      $case: 'records',
      value: { ...place, records, ...next, bytes, losses: [] },
    });
  }
}

function send(call: Call, message: Response): void {
  call.write({ message });
}
