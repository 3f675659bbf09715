/**
 * One member's stream: attaches it, shows it what it has, commits what it handled, and, where it
 * wants records, applies views for it and delivers them. Knows no transport. What waits for a
 * member that does not read is bounded: views and leases give way to newer ones, and it is not
 * listened to.
 */
import {
  ConsumeFence,
  type ConsumeAcknowledge,
  type ConsumeAssigned,
  type ConsumeOpen,
  type ConsumePartition,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import type { CursorOutcome } from '../../../proto/gen/tidemark/v1/groups.ts';
import { errorFromMessage, errorToMessage } from '../../../wire/grpc/errors.ts';
import type { Cancel } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import { CREDIT_BYTES_MAX, PARTITIONS_PER_CLUSTER_MAX } from '../../../base/limits.ts';
import { type Offset, partitionKey, type PartitionKey } from '../../../base/units.ts';
import type {
  AssignedPartition,
  FenceReason,
  MemberMessage,
  MemberView,
} from '../../groups/membership/types.ts';
import { integerField, refuse, topicIdBytes, topicIdField } from '../../messages/fields.ts';
import type { Held } from '../../messages/held.ts';
import { expected } from '../../messages/handlers.ts';
import { Backoff, imageChangeOr, isRetriable } from '../cluster.ts';
import type { GroupParts } from '../groups/coordinated.ts';
import { partitionField } from '../groups/fields.ts';
import type { Traffic } from '../traffic.ts';
import { Acknowledger } from './acknowledger.ts';
import { Delivery } from './delivery.ts';
import type { AttachedMember, AttachedStream, MemberProxy } from './member-proxy.ts';
import { openedField, type Opened } from './open-fields.ts';

/** How long it is tried to attach a member, and to let it leave. */
const JOIN_MS = 30_000;
const LEAVE_MS = 5_000;
/** How long a stream lasts once its broker stops: members go elsewhere at once. */
const STOPPING_MS = 3_000;
/** Partitions that a coordinator is asked for at a time. */
const BEGUN_AT_ONCE = 1_000;

const FENCES: Readonly<Record<FenceReason, ConsumeFence>> = {
  unknown: ConsumeFence.CONSUME_FENCE_UNSPECIFIED,
  'attached-elsewhere': ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE,
  replaced: ConsumeFence.CONSUME_FENCE_REPLACED,
  expired: ConsumeFence.CONSUME_FENCE_EXPIRED,
  left: ConsumeFence.CONSUME_FENCE_LEFT,
};

export interface ConsumePorts extends GroupParts {
  readonly proxy: MemberProxy;
  readonly traffic: Traffic;
  readonly principal: string;
  readonly held: Held;
  /** False: nothing more until {@link ConsumeSession.onDrain}. */
  readonly send: (response: ConsumeResponse) => boolean;
  /** Whether it is listened to. */
  readonly listen: (isListening: boolean) => void;
  /** Called once, after the last message; null: it left in order. */
  readonly finish: (error: BrokerError | null) => void;
}

/** What the member was shown of a partition, or why it cannot be read. */
interface Shown {
  readonly epoch: number;
  readonly outcome: CursorOutcome;
}

/** A partition that is let go. */
interface Draining {
  /** Of the partition, when it was given to the member. */
  readonly epoch: number;
  /** Epoch of the view that took it. */
  readonly since: number;
  /** Up to where it has to be acknowledged. */
  readonly sentTo: Offset;
}

export class ConsumeSession implements AttachedStream {
  readonly #ports: ConsumePorts;
  #opened: Opened | null = null;
  #member: AttachedMember | null = null;
  #delivery: Delivery | null = null;
  #acknowledger: Acknowledger | null = null;
  /** The newest that it was given. */
  #view: MemberView = { epoch: 0, assigned: [], revoked: [] };
  #shown = new Map<PartitionKey, Shown>();
  #shownEpoch = 0;
  #isShowing = false;
  /** Something of the view changed that has to be shown. */
  #isShowDue = false;
  #retry = new Backoff();
  /** With records: what was let go, and was delivered further than it is acknowledged. */
  readonly #draining = new Map<PartitionKey, Draining>();
  readonly #acknowledged = new Map<PartitionKey, Offset>();
  /** The view whose release is waited for. */
  #releasing: { readonly epoch: number; readonly cancel: Cancel } | null = null;
  /** With records: what may be sent at first, until it has joined. */
  #creditBytes = 0;
  #hasRoom = true;
  #isLeaving = false;
  #isOver = false;

  constructor(ports: ConsumePorts) {
    this.#ports = ports;
  }

  /** Throws INVALID_ARGUMENT for what no client should send. */
  take({ message }: ConsumeRequest): void {
    if (this.#isOver || message === undefined) return;
    if (message.$case === 'open') {
      this.#open(message.value);
      return;
    }
    if (this.#opened === null) refuse('message', message.$case, 'open: it comes first');
    switch (message.$case) {
      case 'credit':
        this.#addCredit(message.value.bytes);
        return;
      case 'acknowledge':
        this.#acknowledge(message.value);
        return;
      case 'applied':
        this.#applied(message.value.epoch);
        return;
      case 'pause':
        for (const key of keysOf('pause', message.value.partitions)) this.#delivery?.pause(key);
        return;
      case 'resume':
        for (const key of keysOf('resume', message.value.partitions)) this.#delivery?.resume(key);
        return;
      case 'leave':
        void this.#leave(message.value.isReturning);
    }
  }

  onDrain(): void {
    this.#hasRoom = true;
    this.#ports.listen(this.#acknowledger?.hasRoom ?? true);
    this.#delivery?.wake();
    this.#showDue();
  }

  /** The stream broke, or its broker ended it. */
  close(): void {
    if (this.#isOver) return;
    const member = this.#member;
    this.#end();
    // One that leaves may not have been heard.
    if (member !== null && member.attachment > 0) this.#ports.proxy.detach(member);
  }

  // ---- what its coordinator says ----

  onMessage(message: MemberMessage): void {
    if (this.#isOver) return;
    if (message.kind === 'view') this.#take(message.view);
    // Its leave is answered yet.
    else if (!this.#isLeaving || message.reason !== 'left')
      this.#fenced(FENCES[message.reason], message.reason);
  }

  onLease(leftMs: number): void {
    if (this.#isOver) return;
    if (this.#hasRoom) this.#send({ $case: 'lease', value: { leftMs } });
    if (leftMs > 0) this.#delivery?.wake();
  }

  onStopping(): void {
    if (!this.#isOver) this.#send({ $case: 'reattach', value: { leftMs: STOPPING_MS } });
  }

  // ---- attaching ----

  #open(open: ConsumeOpen): void {
    if (this.#opened !== null) refuse('message', 'open', 'the first one alone');
    const { proxy, newUuid } = this.#ports;
    const opened = openedField(open, newUuid);
    this.#opened = opened;
    this.#creditBytes = opened.creditBytes;
    const { group, memberId, sessionMs, epoch } = opened.join;
    const member: AttachedMember = {
      ...{ group, memberId, sessionMs, stream: this, attachment: 0, appliedEpoch: epoch },
      ...{ answeredMs: -Infinity, isSuspended: false, early: null },
    };
    proxy.add(member);
    this.#member = member;
    this.#acknowledger = new Acknowledger(member, {
      ...this.#ports,
      answer: (acknowledged) => this.#send({ $case: 'acknowledged', value: acknowledged }),
      committed: (key, offset) => {
        this.#committed(key, offset);
      },
      listen: (isListening) => {
        this.#ports.listen(isListening && this.#hasRoom);
      },
    });
    void this.#join(member, opened);
  }

  async #join(member: AttachedMember, opened: Opened): Promise<void> {
    const { cluster, proxy, principal, report } = this.#ports;
    const untilMs = cluster.clock.monotonicMs() + JOIN_MS;
    const backoff = new Backoff();
    while (!this.#isOver) {
      try {
        // Whatever became of one try, the same again is answered as it was.
        const joined = await proxy.join(member, opened.join, principal);
        if (joined !== null) this.#joined(member, opened, joined.attachment, joined.view);
        else this.#fenced(FENCES.replaced, 'another process has its place');
        return;
      } catch (thrown) {
        const error = expected(thrown, report);
        const mayRepeat = isRetriable(error) || error.effect === 'unknown';
        if (!mayRepeat || cluster.clock.monotonicMs() >= untilMs) {
          this.#finish(error);
          return;
        }
        await imageChangeOr(cluster.broker, backoff.nextMs());
      }
    }
  }

  #joined(member: AttachedMember, opened: Opened, attachment: number, view: MemberView): void {
    const { proxy, cluster } = this.#ports;
    // It is attached, and its stream broke meanwhile.
    if (this.#isOver) {
      proxy.detach(member);
      return;
    }
    const { memberId, sessionMs } = opened.join;
    this.#send({ $case: 'joined', value: { memberId, attachment, sessionMs, leaseMs: 0 } });
    this.onLease(proxy.leaseMs(member));
    if (opened.isDelivered)
      this.#delivery = new Delivery(this.#creditBytes, {
        ...this.#ports,
        cluster,
        mayDeliver: () => this.#hasRoom && !this.#isLeaving && proxy.leaseMs(member) > 0,
        send: (records) => this.#send({ $case: 'records', value: records }),
        failed: (key, error) => {
          this.#unreadable(key, error);
        },
      });
    this.#take(view);
    const { early } = member;
    member.early = null;
    if (early?.attachment === attachment) this.onMessage(early);
  }

  // ---- views ----

  #take(view: MemberView): void {
    const isFirst = this.#view.epoch === 0;
    if (!isFirst && view.epoch <= this.#view.epoch) return;
    this.#view = view;
    this.#letGo(view);
    if (view.revoked.length > 0) this.#awaitRelease();
    this.#isShowDue = true;
    this.#showDue();
  }

  /** What it has no more, or is given anew, is read no further, whether it listens or not. */
  #letGo({ assigned, revoked }: MemberView): void {
    const epochs = new Map(assigned.map((each) => [keyOf(each), each.epoch]));
    const leaving = new Map(revoked.map((each) => [keyOf(each), each.epoch]));
    for (const [key, { epoch }] of this.#shown) {
      if (epochs.get(key) === epoch) continue;
      const sentTo = this.#delivery?.sentTo(key) ?? null;
      this.#delivery?.drop(key);
      this.#shown.delete(key);
      const isOpen = sentTo !== null && (this.#acknowledged.get(key) ?? -1) < sentTo;
      if (leaving.get(key) === epoch && isOpen)
        this.#draining.set(key, { epoch, since: this.#view.epoch, sentTo });
      else this.#acknowledged.delete(key);
    }
    // Of what went since, or can be acknowledged no more, nothing is waited for.
    for (const [key, { epoch }] of this.#draining)
      if (leaving.get(key) !== epoch) this.#draining.delete(key);
    this.#stateIfDrained();
  }

  /** With records the proxy applies views: once all that was delivered of it is acknowledged. */
  #stateIfDrained(): void {
    const member = this.#member;
    if (member === null || this.#opened?.isDelivered !== true || this.#draining.size > 0) return;
    this.#stopAwaiting();
    this.#ports.proxy.applied(member, this.#view.epoch);
  }

  /** One view after the other: each may take as long as letting go may. */
  #awaitRelease(): void {
    const { epoch, revoked } = this.#view;
    const member = this.#member;
    const opened = this.#opened;
    const isApplied = (member?.appliedEpoch ?? Infinity) >= epoch;
    if (member === null || opened === null || isApplied || revoked.length === 0) return;
    if (this.#releasing !== null) return;
    const cancel = this.#ports.cluster.clock.after(opened.releaseMs, () => {
      this.#releasing = null;
      if (this.#isOver || member.appliedEpoch >= epoch) return;
      if (!opened.isDelivered) {
        void this.#tooSlow(member);
        return;
      }
      // What is open of it goes to others again; what was taken since has its own time.
      for (const [key, { since }] of this.#draining) if (since <= epoch) this.#draining.delete(key);
      this.#stateIfDrained();
      this.#awaitRelease();
    });
    this.#releasing = { epoch, cancel };
  }

  #stopAwaiting(): void {
    this.#releasing?.cancel();
    this.#releasing = null;
  }

  async #tooSlow(member: AttachedMember): Promise<void> {
    const { proxy, report } = this.#ports;
    const left = proxy.leave(member, false).catch((error: unknown) => {
      expected(error, report);
    });
    this.#fenced(ConsumeFence.CONSUME_FENCE_TOO_SLOW, 'too slow to let go of its partitions');
    await left;
  }

  #showDue(): void {
    if (!this.#isShowDue || this.#isShowing || !this.#hasRoom || this.#isOver) return;
    this.#isShowing = true;
    this.#show()
      .catch((error: unknown) => {
        this.#finish(expected(error, this.#ports.report));
      })
      .finally(() => {
        this.#isShowing = false;
        this.#showDue();
      });
  }

  /** Finds where its new partitions begin, shows the view, and begins to deliver them. */
  async #show(): Promise<void> {
    this.#isShowDue = false;
    const view = this.#view;
    const news = view.assigned.filter((each) => this.#isNew(each));
    const outcomes = await this.#begin(news);
    if (this.#isOver) return;
    // Another view came meanwhile: it says what of this still counts.
    if (view !== this.#view) {
      this.#isShowDue = true;
      return;
    }
    // Of what this broker has not heard of yet it cannot say which topic it is.
    const { topics } = this.#ports.cluster.image();
    const isNamed = ({ topicId }: AssignedPartition, at: number): boolean =>
      topics.has(topicId) || outcomes[at]?.cursor !== undefined;
    if (!news.every(isNamed)) {
      this.#showAgain();
      return;
    }
    for (const [at, each] of news.entries()) {
      const outcome = outcomes[at] ?? { cursor: undefined, error: undefined };
      this.#shown.set(keyOf(each), { epoch: each.epoch, outcome });
    }
    const fresh = new Set(news.map(keyOf));
    this.#sendView(view, fresh);
    this.#shownEpoch = view.epoch;
    for (const each of news) this.#deliver(each);
    if (view.assigned.some((each) => this.#isNew(each))) this.#showAgain();
    else this.#retry = new Backoff();
  }

  /** It was never shown where it begins, and that may yet be known. */
  #isNew(partition: AssignedPartition): boolean {
    const shown = this.#shown.get(keyOf(partition));
    const error = shown?.outcome.error;
    return shown === undefined || (error !== undefined && mayHelp(errorFromMessage(error)));
  }

  #showAgain(): void {
    this.#ports.cluster.clock.after(this.#retry.nextMs(), () => {
      this.#isShowDue = true;
      this.#showDue();
    });
  }

  async #begin(news: readonly AssignedPartition[]): Promise<readonly CursorOutcome[]> {
    const { proxy, report } = this.#ports;
    const outcomes: CursorOutcome[] = [];
    for (let from = 0; from < news.length; from += BEGUN_AT_ONCE) {
      const some = news.slice(from, from + BEGUN_AT_ONCE);
      try {
        const isFromLatest = this.#opened?.isFromLatest === true;
        const found = await proxy.begin(this.#member!, some, isFromLatest);
        outcomes.push(...some.map((_, at) => found[at] ?? { cursor: undefined, error: undefined }));
      } catch (thrown) {
        const error = errorToMessage(expected(thrown, report));
        outcomes.push(...some.map(() => ({ cursor: undefined, error })));
      }
    }
    return outcomes;
  }

  #sendView({ epoch, assigned, revoked }: MemberView, fresh: ReadonlySet<PartitionKey>): void {
    const { topics } = this.#ports.cluster.image();
    const { releaseMs } = this.#opened!;
    const shown = assigned.map((each): ConsumeAssigned => {
      const { topicId, partition } = each;
      const { outcome } = this.#shown.get(keyOf(each)) ?? { outcome: undefined };
      const { offset = 0, leaderEpoch = 0 } = outcome?.cursor ?? {};
      const hasCursor = outcome?.cursor !== undefined && fresh.has(keyOf(each));
      return {
        topic: topics.get(topicId)?.name ?? outcome?.cursor?.topic ?? '',
        ...{ topicId: topicIdBytes(topicId), partition, epoch: each.epoch },
        cursor: hasCursor ? { partition, offset, leaderEpoch } : undefined,
        error: outcome?.error,
      };
    });
    const leaving = revoked.map((each) => ({
      ...{ topicId: topicIdBytes(each.topicId), partition: each.partition },
      ...{ epoch: each.epoch, leftMs: releaseMs },
    }));
    this.#send({ $case: 'view', value: { epoch, assigned: shown, revoked: leaving } });
  }

  #deliver(partition: AssignedPartition): void {
    const { outcome } = this.#shown.get(keyOf(partition)) ?? {};
    const { cursor } = outcome ?? {};
    if (cursor === undefined || outcome?.error !== undefined) return;
    const { topic, offset, leaderEpoch } = cursor;
    this.#acknowledged.set(keyOf(partition), offset);
    this.#delivery?.begin({ ...partition, topic, offset, leaderEpoch });
  }

  /** It is shown why, with the same view. */
  #unreadable(key: PartitionKey, error: BrokerError): void {
    const shown = this.#shown.get(key);
    if (shown === undefined) return;
    const outcome = { cursor: shown.outcome.cursor, error: errorToMessage(error) };
    this.#shown.set(key, { ...shown, outcome });
    this.#isShowDue = true;
    this.#showDue();
  }

  // ---- what the member says ----

  #addCredit(bytes: number): void {
    const delivery = this.#delivery;
    const sum = (delivery?.creditBytes ?? this.#creditBytes) + bytes;
    integerField('credit_bytes, in sum', sum, Number.MIN_SAFE_INTEGER, CREDIT_BYTES_MAX);
    if (delivery !== null) delivery.addCredit(bytes);
    else if (this.#opened?.isDelivered === true) this.#creditBytes = sum;
  }

  #acknowledge(acknowledge: ConsumeAcknowledge): void {
    if (this.#member?.attachment === 0)
      refuse('message', 'acknowledge', 'after joined: nothing was read yet');
    if (acknowledge.creditBytes > 0) this.#addCredit(acknowledge.creditBytes);
    this.#acknowledger?.take(acknowledge);
  }

  #committed(key: PartitionKey, offset: Offset): void {
    if (offset > (this.#acknowledged.get(key) ?? -1) && this.#isOpen(key))
      this.#acknowledged.set(key, offset);
    const { sentTo = Infinity } = this.#draining.get(key) ?? {};
    if (offset < sentTo) return;
    this.#draining.delete(key);
    this.#acknowledged.delete(key);
    this.#stateIfDrained();
  }

  #isOpen(key: PartitionKey): boolean {
    return this.#shown.has(key) || this.#draining.has(key);
  }

  #applied(epoch: number): void {
    integerField('applied.epoch', epoch, 0, this.#shownEpoch);
    if (this.#opened?.isDelivered === true)
      refuse('message', 'applied', 'sent only with DELIVERY_ASSIGNMENTS');
    const member = this.#member;
    if (member === null) return;
    this.#ports.proxy.applied(member, epoch);
    if (epoch < (this.#releasing?.epoch ?? 0)) return;
    this.#stopAwaiting();
    this.#awaitRelease();
  }

  async #leave(isReturning: boolean): Promise<void> {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const { cluster, proxy, report } = this.#ports;
    const untilMs = cluster.clock.monotonicMs() + LEAVE_MS;
    await this.#acknowledger?.idle();
    const backoff = new Backoff();
    while (!this.#isOver && this.#member !== null) {
      const member = this.#member;
      try {
        if (member.attachment > 0) await proxy.leave(member, isReturning);
        this.#finish(null);
        return;
      } catch (thrown) {
        const error = expected(thrown, report);
        const mayRepeat = isRetriable(error) || error.effect === 'unknown';
        if (!mayRepeat || cluster.clock.monotonicMs() >= untilMs) {
          proxy.detach(member);
          this.#finish(error);
        } else await imageChangeOr(cluster.broker, backoff.nextMs());
      }
    }
  }

  // ---- the end ----

  #fenced(reason: ConsumeFence, why: string): void {
    this.#send({ $case: 'fenced', value: { reason } });
    const { group = '', memberId = '' } = this.#member ?? {};
    this.#finish(
      new BrokerError('FENCED', `Member ${memberId} of group "${group}" is over: ${why}`),
    );
  }

  #send(message: NonNullable<ConsumeResponse['message']>): boolean {
    if (this.#isOver) return false;
    this.#hasRoom = this.#ports.send({ message }) && this.#hasRoom;
    if (!this.#hasRoom) this.#ports.listen(false);
    return this.#hasRoom;
  }

  #finish(error: BrokerError | null): void {
    if (this.#isOver) return;
    this.#end();
    this.#ports.finish(error);
  }

  #end(): void {
    this.#isOver = true;
    if (this.#member !== null) this.#ports.proxy.remove(this.#member);
    this.#stopAwaiting();
    this.#delivery?.close();
    this.#acknowledger?.close();
  }
}

/** Whether it may be known a little later. What is not held any more is in no later view. */
function mayHelp(error: BrokerError): boolean {
  return isRetriable(error) || error.effect === 'unknown';
}

function keyOf({
  topicId,
  partition,
}: Pick<AssignedPartition, 'topicId' | 'partition'>): PartitionKey {
  return partitionKey(topicId, partition);
}

function keysOf(field: string, partitions: readonly ConsumePartition[]): PartitionKey[] {
  integerField(`${field}.partitions length`, partitions.length, 0, PARTITIONS_PER_CLUSTER_MAX);
  return partitions.map(({ topicId, partition }) =>
    partitionKey(
      topicIdField(`${field}.partitions.topic_id`, topicId),
      partitionField(`${field}.partitions.partition`, partition),
    ),
  );
}
