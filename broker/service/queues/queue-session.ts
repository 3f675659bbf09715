/**
 * The stream of one consumer of a queue, at the broker that it is attached to, its proxy: asks the
 * owners of the queue's partitions for records, within its credit, and brings them what became of
 * each. Knows no transport. A record that comes beyond the credit is put back at once. Who may take
 * records was judged at the door, by the topic of the queue too, and is again when rules change.
 */
import {
  ConsumeFence,
  type ConsumeAcknowledge,
  type ConsumeOpen,
  type ConsumeRecord,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { recordBytes } from '../../../wire/records/record-set.ts';
import type { Cancel } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import { QUEUES_TOPIC } from '../../../base/internal-topics.ts';
import { CREDIT_BYTES_MAX, CREDIT_RECORDS_MAX } from '../../../base/limits.ts';
import type { BrokerId } from '../../../base/units.ts';
import type { MetadataImage, QueueDefinition, TopicState } from '../../metadata/types.ts';
import { integerField, refuse, topicIdBytes } from '../../messages/fields.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { Backoff, type Cluster } from '../cluster.ts';
import type { AbsentConsumers } from './absent-consumers.ts';
import { type Ask, Asks } from './asks.ts';
import { type OwnerLink, type OwnerLinkParts, openOwnerLink, type Supply } from './owner-link.ts';
import { topicNamed } from '../decisions.ts';
import { ownerOf } from './owners.ts';
import { type OpenedQueue, openedQueueField } from './queue-fields.ts';
import { Settler } from './settler.ts';

/** Owners that were asked have nothing: the others are asked too. */
const QUIET_MS = 25;
/** How long a stream lasts once its broker stops: consumers go elsewhere at once. */
const STOPPING_MS = 3_000;

export interface QueueSessionPorts extends OwnerLinkParts {
  readonly cluster: Cluster;
  readonly newUuid: () => string;
  readonly report: ReportDefect;
  readonly absent: AbsentConsumers;
  /** False: nothing more until {@link QueueSession.onDrain}. */
  readonly send: (response: ConsumeResponse) => boolean;
  /** Whether it is listened to. */
  readonly listen: (isListening: boolean) => void;
  /** Called once, after the last message; null: it left in order. */
  readonly finish: (error: BrokerError | null) => void;
}

/** Of a consumer whose stream is gone. */
const UNHEARD: Pick<QueueSessionPorts, 'send' | 'listen' | 'finish'> = {
  send: () => true,
  listen: () => {},
  finish: () => {},
};

const NOT_LINKED = { by: undefined, count: 0 };

/** An ask under way. */
interface Asked extends Ask {
  readonly owner: BrokerId;
  /** Another owns the partition by now, and is asked: what comes yet is put back. */
  isLeft: boolean;
}

export class QueueSession {
  #ports: QueueSessionPorts;
  #opened: OpenedQueue | null = null;
  #asks = new Asks(0);
  #settler: Settler | null = null;
  readonly #links = new Map<BrokerId, OwnerLink>();
  /** Whose leaders it was linked to, all of them, and for how many partitions of its queue. */
  #linked: { readonly by: TopicState | undefined; readonly count: number } = NOT_LINKED;
  readonly #asked = new Map<number, Asked>();
  readonly #pauses = new Map<number, Backoff>();
  /** Before links that broke are opened again. */
  readonly #linkPauses = new Map<BrokerId, Backoff>();
  #nextRequestId = 1;
  /** As they were looked at last: metadata changes more often than they do. */
  #owners: TopicState | undefined;
  /** As the consumer was told. */
  #leaseMs = 0;
  #cancelWatch: Cancel = () => {};
  #cancelQuiet: Cancel | null = null;
  #cancelAbsence: Cancel = () => {};
  #isStopping = false;
  #hasRoom = true;
  #isLeaving = false;
  /** Nobody listens any more. */
  #isOver = false;
  #isClosed = false;

  constructor(ports: QueueSessionPorts) {
    this.#ports = ports;
  }

  /** Throws for what no client should send, and where there is no such queue. */
  take({ message }: ConsumeRequest): void {
    if (this.#isOver || message === undefined) return;
    if (message.$case === 'open') {
      this.#open(message.value);
      return;
    }
    const opened = this.#opened;
    if (opened === null) return refuse('message', message.$case, 'open: it comes first');
    switch (message.$case) {
      case 'credit':
        this.#addCredit(message.value.records, message.value.bytes);
        return;
      case 'acknowledge':
        this.#acknowledge(message.value);
        return;
      case 'leave':
        void this.#leave();
        return;
      case 'applied':
      case 'pause':
      case 'resume':
        refuse('message', message.$case, 'sent only by members of groups');
    }
  }

  onDrain(): void {
    this.#hasRoom = true;
    this.#ports.listen(this.#settler?.hasRoom ?? true);
    for (const link of this.#links.values()) link.onDrain();
    this.#pump();
  }

  /** The stream broke, or its broker ended it: it may come back elsewhere. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopAsking();
    for (const link of this.#links.values()) link.onDrain();
    // What it has is with its owners. Here nothing is kept of the stream, and all that was read.
    this.#cancelWatch();
    this.#ports = { ...this.#ports, ...UNHEARD };
    const graceMs = this.#opened?.graceMs ?? 0;
    if (graceMs === 0) this.#gone();
    else
      this.#cancelAbsence = this.#ports.absent.add(graceMs, () => {
        this.#gone();
      });
  }

  // ---- attaching ----

  #open(open: ConsumeOpen): void {
    if (this.#opened !== null) refuse('message', 'open', 'the first one alone');
    const { cluster, newUuid } = this.#ports;
    const opened = openedQueueField(open, cluster.image(), newUuid);
    this.#opened = opened;
    const { topic, queue } = opened;
    this.#asks = new Asks(topic.partitions.length);
    this.#asks.addCredit(opened.creditRecords, opened.creditBytes);
    this.#settler = new Settler(opened, {
      ...this.#ports,
      send: (partition, demand) => this.#linkOf(partition).link.demand(demand),
      ownerOf: (partition) => this.#ownerOf(partition),
      nextRequestId: () => this.#nextRequestId++,
      answer: (acknowledged) => {
        this.#send({ $case: 'acknowledged', value: acknowledged });
      },
      listen: (isListening) => {
        this.#ports.listen(isListening && this.#hasRoom);
      },
    });
    this.#cancelWatch = cluster.broker.watchImage(() => {
      this.#imageChanged();
    });
    this.#tellLease(queue);
    this.#linkAll();
    this.#pump();
  }

  /** A member goes by it for each lease that begins: told at first, and where it is another. */
  #tellLease({ config: { leaseMs } }: QueueDefinition): void {
    if (leaseMs === this.#leaseMs) return;
    this.#leaseMs = leaseMs;
    const { memberId } = this.#opened!;
    this.#send({ $case: 'joined', value: { memberId, attachment: 1, sessionMs: 0, leaseMs } });
  }

  #imageChanged(): void {
    const opened = this.#opened;
    if (opened === null || this.#isClosed) return;
    const { cluster } = this.#ports;
    const image = cluster.image();
    const { queueId, topicId, name } = opened.queue;
    const queue = image.queues.get(queueId);
    if (queue === undefined) {
      this.#finish(new BrokerError('UNKNOWN_QUEUE', `Queue "${name}" was deleted`));
      return;
    }
    this.#tellLease(queue);
    this.#asks.grow(image.topics.get(topicId)?.partitions.length ?? 0);
    if (!this.#isStopping && cluster.broker.phase() === 'stopping') {
      this.#isStopping = true;
      this.#send({ $case: 'reattach', value: { leftMs: STOPPING_MS } });
    }
    this.#leaveOwners(image);
    this.#linkAll();
    this.#pump();
  }

  /** What was asked of owners of before is asked of those of now: they may answer never. */
  #leaveOwners(image: MetadataImage): void {
    const owners = topicNamed(image, QUEUES_TOPIC);
    if (owners === this.#owners) return;
    this.#owners = owners;
    const isMoved = ({ partition, owner, isLeft }: Asked): boolean =>
      !isLeft && !this.#isOwner(owner, partition);
    this.#withdraw(isMoved);
    for (const asked of [...this.#asked.values()].filter(isMoved)) {
      asked.isLeft = true;
      this.#asks.answered(asked.partition);
    }
    this.#settler?.leaveOwners();
  }

  // ---- links to owners ----

  /** Throws where there is none at the moment. */
  #ownerOf(partition: number): BrokerId {
    return ownerOf(this.#ports.cluster, this.#opened!.queue, partition);
  }

  #isOwner(brokerId: BrokerId, partition: number): boolean {
    try {
      return this.#ownerOf(partition) === brokerId;
    } catch (error) {
      expected(error, this.#ports.report);
      return false;
    }
  }

  /** Every owner knows the member by its latest stream, whether it has records for it or not. */
  #linkAll(): void {
    if (this.#isOver) return;
    const image = this.#ports.cluster.image();
    const partitions = image.topics.get(this.#opened!.topic.topicId)?.partitions ?? [];
    // Metadata changes for many reasons, and there may be thousands of consumers.
    const owners = topicNamed(image, QUEUES_TOPIC);
    const { count, by } = this.#linked;
    if (owners === by && partitions.length === count) return;
    this.#linked = { by: owners, count: partitions.length };
    for (const { partition } of partitions) {
      try {
        this.#linkOf(partition);
      } catch (error) {
        // It is linked once it is known, and reached.
        expected(error, this.#ports.report);
        this.#linked = NOT_LINKED;
      }
    }
  }

  #linkOf(partition: number): { readonly owner: BrokerId; readonly link: OwnerLink } {
    const owner = this.#ownerOf(partition);
    const present = this.#links.get(owner);
    if (present !== undefined) return { owner, link: present };
    const { queue, memberId, attempt, client } = this.#opened!;
    const link = openOwnerLink(this.#ports, owner, {
      onSupply: (supply) => {
        this.#supplied(supply);
        return this.#hasRoom || this.#isOver;
      },
      onClosed: (error) => {
        this.#linkClosed(owner, error);
      },
    });
    this.#links.set(owner, link);
    const proxy = this.#ports.cluster.broker.brokerId;
    const queueId = topicIdBytes(queue.queueId);
    link.demand({ $case: 'open', value: { queueId, memberId, attempt, client, proxy } });
    return { owner, link };
  }

  #linkClosed(owner: BrokerId, error: BrokerError): void {
    this.#links.delete(owner);
    this.#linked = NOT_LINKED;
    if (error.code === 'FENCED') {
      this.#send({
        $case: 'fenced',
        value: { reason: ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE },
      });
      this.#finish(error);
      return;
    }
    for (const [requestId, asked] of this.#asked) {
      if (asked.owner !== owner) continue;
      if (asked.isLeft) this.#asked.delete(requestId);
      else this.#askFailed(requestId, asked);
    }
    this.#settler?.linkClosed(owner, error);
    this.#pump();
    this.#linkAgain(owner);
  }

  /**
   * Until it is told of this stream, an owner may take an earlier one for the member, and its end
   * for the member's.
   */
  #linkAgain(owner: BrokerId): void {
    let backoff = this.#linkPauses.get(owner);
    if (backoff === undefined) this.#linkPauses.set(owner, (backoff = new Backoff()));
    this.#ports.cluster.clock.after(backoff.nextMs(), () => {
      if (!this.#isClosed) this.#linkAll();
    });
  }

  #supplied(supply: Supply): void {
    if (this.#isClosed) return;
    if (supply.$case === 'settled') {
      this.#settler?.settled(supply.value);
      return;
    }
    const { requestId, records, error } = supply.value;
    const asked = this.#asked.get(requestId);
    // An owner answers what it was asked, once.
    if (asked === undefined) return;
    this.#linkPauses.delete(asked.owner);
    if (asked.isLeft) {
      this.#asked.delete(requestId);
      if (records.length > 0) this.#settler?.putBack(asked.partition, records);
    } else if (error !== undefined) {
      this.#askFailed(requestId, asked);
    } else {
      this.#asked.delete(requestId);
      this.#asks.answered(asked.partition);
      this.#pauses.delete(asked.partition);
      if (records.length > 0) this.#deliver(asked, records);
    }
    this.#pump();
  }

  /** Whatever the reason: it is asked again a little later, of whoever owns it then. */
  #askFailed(requestId: number, { partition }: Pick<Asked, 'partition'>): void {
    this.#asked.delete(requestId);
    this.#asks.answered(partition);
    this.#asks.rest(partition);
    let backoff = this.#pauses.get(partition);
    if (backoff === undefined) this.#pauses.set(partition, (backoff = new Backoff()));
    this.#ports.cluster.clock.after(backoff.nextMs(), () => {
      this.#asks.wake(partition);
      this.#pump();
    });
  }

  // ---- records ----

  /** As far as its credit goes; one record may overdraw the bytes. */
  #deliver({ partition, owner }: Asked, records: readonly ConsumeRecord[]): void {
    const { topic } = this.#opened!;
    const topicId = topicIdBytes(topic.topicId);
    const kept: ConsumeRecord[] = [];
    let bytes = 0;
    const isOpen = !this.#isOver && !this.#isLeaving;
    for (const record of records) {
      const { credit } = this.#asks;
      if (!isOpen || kept.length >= credit.records || bytes >= credit.bytes) break;
      kept.push(record);
      bytes += recordBytes({ ...record, value: record.tombstone ? null : record.value });
    }
    const unsent = records.slice(kept.length);
    // Said once, where they came from: what is repeated could meet the same number, given anew.
    if (unsent.length > 0)
      this.#links
        .get(owner)
        ?.demand({ $case: 'unsent', value: { topicId, partition, records: unsent } });
    if (kept.length === 0) return;
    this.#asks.spend(kept.length, bytes);
    const surplus = this.#asks.surplus();
    this.#withdraw((asked) => surplus.includes(asked.partition));
    this.#send({
      $case: 'records',
      value: {
        ...{ topic: topic.name, topicId, partition, epoch: 0 },
        ...{ records: kept, nextOffset: 0, nextLeaderEpoch: 0, bytes, losses: [] },
      },
    });
  }

  #withdraw(isMeant: (asked: Asked) => boolean): void {
    for (const [requestId, asked] of this.#asked)
      if (isMeant(asked))
        this.#links.get(asked.owner)?.demand({ $case: 'withdraw', value: { requestId } });
  }

  #addCredit(records: number, bytes: number): void {
    const { credit } = this.#asks;
    const least = Number.MIN_SAFE_INTEGER;
    const [recordsIn, bytesIn] = [credit.records + records, credit.bytes + bytes];
    integerField('credit_bytes, in sum', bytesIn, least, CREDIT_BYTES_MAX);
    integerField('credit_records, in sum', recordsIn, least, CREDIT_RECORDS_MAX);
    this.#asks.addCredit(records, bytes);
    this.#pump();
  }

  get #mayAsk(): boolean {
    return !this.#isOver && !this.#isLeaving && !this.#isStopping && this.#hasRoom;
  }

  #pump(): void {
    if (!this.#mayAsk) return;
    for (const ask of this.#asks.next()) this.#ask(ask);
    if (!this.#asks.hasUnasked) {
      this.#cancelQuiet?.();
      this.#cancelQuiet = null;
      return;
    }
    this.#cancelQuiet ??= this.#ports.cluster.clock.after(QUIET_MS, () => {
      this.#cancelQuiet = null;
      if (this.#mayAsk) for (const ask of this.#asks.extra()) this.#ask(ask);
    });
  }

  #ask(ask: Ask): void {
    const requestId = this.#nextRequestId++;
    const { partition, records, bytes } = ask;
    const topicId = topicIdBytes(this.#opened!.topic.topicId);
    try {
      const { owner, link } = this.#linkOf(partition);
      this.#asked.set(requestId, { ...ask, owner, isLeft: false });
      link.demand({ $case: 'ask', value: { requestId, topicId, partition, records, bytes } });
    } catch (error) {
      expected(error, this.#ports.report);
      this.#askFailed(requestId, ask);
    }
  }

  // ---- what the consumer says ----

  #acknowledge(acknowledge: ConsumeAcknowledge): void {
    const { cursors, creditBytes, creditRecords } = acknowledge;
    if (cursors.length > 0) refuse('cursors length', cursors.length, '0: this is a queue');
    if (creditBytes > 0 || creditRecords > 0) this.#addCredit(creditRecords, creditBytes);
    this.#settler?.take(acknowledge);
  }

  async #leave(): Promise<void> {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#stopAsking();
    await this.#settler?.idle();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#gone();
    this.#ports.finish(null);
  }

  // ---- the end ----

  #stopAsking(): void {
    this.#cancelQuiet?.();
    this.#cancelQuiet = null;
    this.#withdraw(() => true);
  }

  /** What it has is handed to others. */
  #gone(): void {
    for (const link of this.#links.values()) link.demand({ $case: 'gone', value: {} });
    this.#forget();
  }

  /** The member lives elsewhere, or there is nothing any more that it has. */
  #forget(): void {
    this.#isClosed = true;
    this.#cancelWatch();
    this.#cancelAbsence();
    this.#settler?.close();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #send(message: NonNullable<ConsumeResponse['message']>): void {
    if (this.#isOver) return;
    this.#hasRoom = this.#ports.send({ message }) && this.#hasRoom;
    if (!this.#hasRoom) this.#ports.listen(false);
  }

  /** Somebody else is the member now, or its queue is gone. */
  #finish(error: BrokerError): void {
    this.#forget();
    // Its stream may have broken before.
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopAsking();
    this.#ports.finish(error);
  }
}
