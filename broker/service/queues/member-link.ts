/**
 * One member's dealings with one owner of partitions of its queue, on the owner's side: asks and
 * acknowledgements in, records and outcomes out. Knows no transport: a stream between brokers and
 * a proxy on the owner's own broker both drive it.
 */
import type {
  QueueAsk,
  ServeMemberRequest,
  QueueOpen,
  QueueSettle,
  QueueUnsent,
  ServeMemberResponse,
} from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import type {
  AcknowledgeOutcome,
  ConsumeRecord,
  RecordAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import {
  ACKNOWLEDGEMENTS_PER_CALL_MAX,
  CREDIT_BYTES_MAX,
  isOffset,
  OFFSET_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  QUEUE_SETTLING_RECORDS_MAX,
  QUEUE_WINDOW_RECORDS,
} from '../../../base/limits.ts';
import type { BrokerId, MonotonicMs } from '../../../base/units.ts';
import type { Acknowledgement, Delivery, Verdict } from '../../queues/types.ts';
import { integerField, refuse, textField, topicIdField, uuidField } from '../../messages/fields.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { OwnedQueue, QueuesApi } from '../../runtime/api.ts';
import { recordFields } from '../frames.ts';
import { partitionField } from '../groups/fields.ts';
import { leasedRecords } from './leased-records.ts';
import type { BrokerQueueWorld } from './queue-world.ts';
import { Turns } from './turns.ts';

/**
 * Asks and acknowledgements of one member that wait for an owner: an ask of each partition, and
 * more acknowledgements than its proxy lets wait, were each of one record.
 */
const REQUESTS_MAX =
  PARTITIONS_PER_TOPIC_MAX + QUEUE_SETTLING_RECORDS_MAX + 2 * ACKNOWLEDGEMENTS_PER_CALL_MAX;

/** Who has a link, as its first message said. */
export interface LinkedMember {
  readonly queueId: string;
  readonly memberId: string;
  readonly attempt: number;
  readonly client: string;
  readonly proxy: BrokerId;
}

export interface MemberLinkPorts {
  readonly clock: Clock;
  readonly queues: () => QueuesApi;
  readonly world: Pick<BrokerQueueWorld, 'recordsAt'>;
  readonly report: ReportDefect;
  /** Throws FENCED where a later attempt of the member is there; ends an earlier one. */
  readonly opened: (link: MemberLink) => void;
  readonly closed: (link: MemberLink) => void;
  /** False: no more records until {@link MemberLink.onDrain}. */
  readonly send: (supply: ServeMemberResponse) => boolean;
  readonly finish: (error: BrokerError | null) => void;
}

/** What an ask was answered with. */
interface Leased {
  readonly owned: OwnedQueue;
  readonly requestId: number;
  readonly deliveries: readonly Delivery[];
  readonly leasedAtMs: MonotonicMs;
}

export class MemberLink {
  readonly #ports: MemberLinkPorts;
  #member: LinkedMember | null = null;
  readonly #asks = new Map<
    number,
    { readonly withdraw: () => void; readonly cancel: () => void }
  >();
  #settling = 0;
  /** Answers of many partitions may come at once: their records are read one after the other. */
  readonly #reads = new Turns(1);
  #room: { readonly opens: Promise<void>; readonly open: () => void } | null = null;
  #isOver = false;

  constructor(ports: MemberLinkPorts) {
    this.#ports = ports;
  }

  /** Null: it is not open yet. */
  get member(): LinkedMember | null {
    return this.#member;
  }

  /** Throws INVALID_ARGUMENT for what no proxy should send. */
  take({ message }: ServeMemberRequest): void {
    if (this.#isOver || message === undefined) return;
    if (message.$case === 'open') {
      this.#open(message.value);
      return;
    }
    const member = this.#member;
    if (member === null) return refuse('message', message.$case, 'open: it comes first');
    switch (message.$case) {
      case 'ask':
        this.#ask(member, message.value);
        return;
      case 'withdraw':
        this.#asks.get(message.value.requestId)?.withdraw();
        return;
      case 'settle':
        this.#settle(member, message.value);
        return;
      case 'unsent':
        this.#unsent(member, message.value);
        return;
      case 'gone':
        for (const owned of this.#ports.queues().all())
          if (owned.place.queue === member.queueId) owned.memberGone(member.memberId);
        this.end(null);
    }
  }

  onDrain(): void {
    this.#room?.open();
    this.#room = null;
  }

  /** Nobody is there any more: what it has stays leased until that is over. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { cancel } of this.#asks.values()) cancel();
    this.#asks.clear();
    this.onDrain();
    this.#ports.closed(this);
  }

  end(error: BrokerError | null): void {
    if (this.#isOver) return;
    this.close();
    this.#ports.finish(error);
  }

  #open({ queueId, memberId, attempt, client, proxy }: QueueOpen): void {
    if (this.#member !== null) refuse('message', 'open', 'the first one alone');
    this.#member = {
      queueId: topicIdField('queue_id', queueId),
      memberId: uuidField('member_id', memberId),
      attempt: integerField('attempt', attempt, 1, Number.MAX_SAFE_INTEGER),
      client: textField('client', client),
      proxy,
    };
    this.#ports.opened(this);
  }

  #ask(member: LinkedMember, ask: QueueAsk): void {
    const { requestId } = ask;
    integerField('request_id', requestId, 1, Number.MAX_SAFE_INTEGER);
    if (this.#asks.has(requestId)) refuse('request_id', requestId, 'of no other request');
    this.#requireRoom();
    integerField('records', ask.records, 1, QUEUE_WINDOW_RECORDS);
    integerField('bytes', ask.bytes, 1, CREDIT_BYTES_MAX);
    void this.#asking(member, ask);
  }

  async #asking(member: LinkedMember, ask: QueueAsk): Promise<void> {
    const { requestId, records, bytes } = ask;
    const { report } = this.#ports;
    try {
      const owned = this.#ownedBy(member, ask);
      const asked = owned.ask(member.memberId, records, bytes);
      this.#asks.set(requestId, asked);
      const deliveries = await asked.done;
      const leasedAtMs = this.#ports.clock.monotonicMs();
      // Who does not read does not keep what it was leased meanwhile.
      await this.#room?.opens;
      await this.#bring(member, { owned, requestId, deliveries, leasedAtMs });
    } catch (error) {
      this.#answer(requestId, [], expected(error, report));
    }
  }

  #answer(requestId: number, records: ConsumeRecord[], fault: BrokerError | null): void {
    this.#asks.delete(requestId);
    if (this.#isOver) return;
    const error = fault === null ? undefined : errorToMessage(fault);
    this.#send({ $case: 'records', value: { requestId, records, error } });
  }

  #send(message: NonNullable<ServeMemberResponse['message']>): void {
    if (this.#ports.send({ message }) || this.#isOver) return;
    let open: () => void = () => {};
    const opens = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#room ??= { opens, open };
  }

  /** Records that cannot be sent any more, or cannot be read, are put back. */
  async #bring({ memberId }: LinkedMember, { owned, requestId, ...given }: Leased): Promise<void> {
    const { world } = this.#ports;
    const recordsAt: typeof world.recordsAt = (...at) =>
      this.#reads.run(() => world.recordsAt(...at));
    const parts = { ...this.#ports, world: { recordsAt }, isOver: () => this.#isOver };
    const leased = await leasedRecords(parts, owned, { memberId, ...given });
    const { found, unread, gone, fault } = leased;
    const records = found.map(([{ epoch, delivery }, record]) => ({
      ...recordFields(record, epoch),
      delivery,
    }));
    this.#answer(requestId, records, fault);
    if (gone.length > 0) owned.missing(gone);
    if (unread.length > 0) await this.#neverSent(owned, memberId, unread);
  }

  #settle(member: LinkedMember, settle: QueueSettle): void {
    const { acknowledgements } = settle;
    const { length } = acknowledgements;
    integerField('acknowledgements length', length, 1, ACKNOWLEDGEMENTS_PER_CALL_MAX);
    this.#requireRoom();
    const asked = acknowledgements.map((each, at) =>
      acknowledgementField(`acknowledgements[${String(at)}]`, each),
    );
    void this.#settled(member, settle, asked);
  }

  async #settled(
    member: LinkedMember,
    settle: QueueSettle,
    asked: readonly Acknowledgement[],
  ): Promise<void> {
    const { requestId } = settle;
    const { report } = this.#ports;
    this.#settling += 1;
    let outcomes: AcknowledgeOutcome[] = [];
    let fault: BrokerError | null = null;
    try {
      const told = await this.#ownedBy(member, settle).settle(member.memberId, asked);
      outcomes = told.map((outcome) => ({
        error: outcome instanceof BrokerError ? errorToMessage(outcome) : undefined,
      }));
    } catch (thrown) {
      fault = expected(thrown, report);
    }
    this.#settling -= 1;
    if (this.#isOver) return;
    const error = fault === null ? undefined : errorToMessage(fault);
    this.#send({ $case: 'settled', value: { requestId, outcomes, error } });
  }

  #unsent(member: LinkedMember, unsent: QueueUnsent): void {
    const { records } = unsent;
    integerField('records length', records.length, 1, QUEUE_WINDOW_RECORDS);
    const leases = records.map(({ offset, leaderEpoch, delivery }, at) => ({
      offset: integerField(`records[${String(at)}].offset`, offset, 0, OFFSET_MAX),
      ...{ epoch: leaderEpoch, delivery },
    }));
    try {
      void this.#neverSent(this.#ownedBy(member, unsent), member.memberId, leases);
    } catch (error) {
      // Its leases end by themselves.
      expected(error, this.#ports.report);
    }
  }

  /** They left no broker: the deliveries do not count. */
  async #neverSent(
    owned: OwnedQueue,
    memberId: string,
    leases: readonly Omit<Acknowledgement, 'verdict'>[],
  ): Promise<void> {
    const unsent = leases.map((lease) => ({ ...lease, verdict: UNSENT }));
    await owned.settle(memberId, unsent).catch((error: unknown) => {
      expected(error, this.#ports.report);
    });
  }

  #requireRoom(): void {
    integerField('requests', this.#asks.size + this.#settling + 1, 1, REQUESTS_MAX);
  }

  #ownedBy(
    { queueId }: LinkedMember,
    { topicId, partition }: { readonly topicId: Uint8Array; readonly partition: number },
  ): OwnedQueue {
    const id = topicIdField('topic_id', topicId);
    const owned = this.#ports.queues().owned(queueId, partitionField('partition', partition));
    if (owned.place.topicId !== id) refuse('topic_id', id, `${owned.place.topicId}, of the queue`);
    return owned;
  }
}

/** Throws INVALID_ARGUMENT for what says nothing. */
export function acknowledgementField(
  field: string,
  { offset, leaderEpoch, delivery, verdict }: RecordAcknowledgement,
): Acknowledgement {
  if (!isOffset(offset)) refuse(`${field}.offset`, offset, 'an offset');
  if (verdict === undefined) return refuse(`${field}.verdict`, 'absent', 'present');
  return { offset, epoch: leaderEpoch, delivery, verdict: verdictOf(verdict) };
}

function verdictOf(verdict: NonNullable<RecordAcknowledgement['verdict']>): Verdict {
  switch (verdict.$case) {
    case 'accept':
    case 'extend':
      return { kind: verdict.$case };
    case 'release':
      return { kind: 'release', delayMs: verdict.value.delayMs };
    case 'reject':
      return { kind: 'reject', reason: verdict.value.reason };
  }
}

const UNSENT: Verdict = { kind: 'unsent' };
