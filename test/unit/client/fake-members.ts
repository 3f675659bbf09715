/**
 * Members of groups as the fake cluster has them: the real core of a coordinator, whose batches are
 * committed at once, behind brokers that are all proxies of it.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { BrokerError, type ErrorCode } from '../../../base/errors.ts';
import { emptyMembership } from '../../../broker/groups/membership/image.ts';
import { Membership } from '../../../broker/groups/membership/membership.ts';
import type {
  GroupReply,
  GroupRequest,
  MembershipInput,
  MemberView,
} from '../../../broker/groups/membership/types.ts';
import { commitVerdict } from '../../../broker/groups/membership/verdict.ts';
import {
  ConsumeFence,
  type ConsumeAcknowledge,
  type ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import type { Error as WireError } from '../../../proto/gen/tidemark/v1/errors.ts';
import type { GroupCursor } from '../../../proto/gen/tidemark/v1/groups.ts';
import { topicIdFromBytes, topicIdToBytes } from '../../../wire/batch/frame.ts';

type Call = ServerDuplexStream<ConsumeRequest, ConsumeResponse>;
type Response = NonNullable<ConsumeResponse['message']>;

interface Stream {
  readonly call: Call;
  readonly broker: number;
  readonly open: ConsumeOpen;
  attachment: number;
  epoch: number;
}

/** What of the cluster it needs. */
export interface Ground {
  readonly topics: () => readonly {
    readonly name: string;
    readonly topicId: string;
    readonly partitions: number;
  }[];
  readonly cursorOf: (group: string, partition: number) => GroupCursor | undefined;
  readonly putCursor: (group: string, cursor: GroupCursor) => void;
  readonly error: (code: ErrorCode) => WireError;
  readonly refuse: (call: Call, code: ErrorCode) => void;
}

const TICK_MS = 20;
const FENCES: Readonly<Record<string, ConsumeFence>> = {
  'attached-elsewhere': ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE,
  replaced: ConsumeFence.CONSUME_FENCE_REPLACED,
  expired: ConsumeFence.CONSUME_FENCE_EXPIRED,
  left: ConsumeFence.CONSUME_FENCE_LEFT,
};

export class FakeMembers {
  readonly #ground: Ground;
  readonly #core = new Membership(emptyMembership(), {
    ...{ epoch: 1, brokerSessionMs: 3_000, batchRecordsMax: 500, nowMs: performance.now() },
  });
  readonly #callbacks = new Map<number, (reply: GroupReply | BrokerError) => void>();
  readonly streams: Stream[] = [];
  /** What members said, in order. */
  readonly opens: ConsumeOpen[] = [];
  /** Answers in place of the next streams. */
  readonly refusals: ErrorCode[] = [];
  /** Answers in place of the next commits. */
  readonly commitRefusals: ErrorCode[] = [];
  /** Why partitions cannot be read, by number. */
  readonly viewErrors = new Map<number, ErrorCode>();
  /** So late commits are answered. */
  acknowledgeMs = 0;
  /** Nobody vouches for members. */
  isMute = false;
  /** Views say of nothing where it begins. */
  hidesCursors = false;
  #metadataIndex = 0;
  #nextRequestId = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  start(): void {
    this.#step({ kind: 'heard', isHeard: true });
    this.topicsChanged();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  topicsChanged(): void {
    this.#metadataIndex += 1;
    const topics = new Map(
      this.#ground
        .topics()
        .map(({ name, topicId, partitions }) => [name, { topicId, partitions, racks: [] }]),
    );
    this.#step({ kind: 'topics', metadataIndex: this.#metadataIndex, topics });
  }

  /** Ids of members, by id. */
  members(group: string): string[] {
    return [...(this.#core.image.groups.get(group)?.members.keys() ?? [])].toSorted();
  }

  /** Partitions that each member holds or lets go. */
  held(group: string): Record<string, string[]> {
    const members = [...(this.#core.image.groups.get(group)?.members ?? [])];
    const named = members.map(([id, { held, revoked }]) => [
      id,
      [...held.keys(), ...revoked.keys()].map((key) => key.split('/')[1] ?? '').toSorted(),
    ]);
    return Object.fromEntries(named) as Record<string, string[]>;
  }

  /** A cursor is put somewhere else: its holder begins there anew. */
  seek(group: string, topicId: string, partition: number): void {
    const partitions = [{ topicId, partition }];
    this.#ask(1, { kind: 'seek', group, partitions, riders: [] }, () => undefined);
  }

  /** Every member of the broker is to go elsewhere. */
  reattach(broker: number): void {
    for (const stream of this.streams.filter((one) => one.broker === broker))
      send(stream.call, { $case: 'reattach', value: { leftMs: 1_000 } });
  }

  /** The member is over, whatever it does. */
  fence(stream: Stream, reason: ConsumeFence): void {
    send(stream.call, { $case: 'fenced', value: { reason } });
    this.#refuse(stream, 'FENCED');
  }

  /** The coordinator takes its partitions from it, and it has not heard of that. */
  expireSilently(stream: Stream): void {
    const { group, memberId } = stream.open;
    const { attachment } = stream;
    this.#forget(stream);
    const leave = { kind: 'leave', group, memberId, attachment, isReturning: false } as const;
    this.#ask(stream.broker, leave, () => undefined);
  }

  handler(broker: number): (call: Call) => void {
    return (call) => {
      let stream: Stream | undefined;
      call.on('data', ({ message }: ConsumeRequest) => {
        if (message?.$case === 'open') stream = this.#open(broker, call, message.value);
        else if (stream !== undefined) this.#take(stream, message);
      });
      call.on('error', () => undefined);
      call.on('cancelled', () => {
        if (stream !== undefined) this.#detached(stream);
      });
    };
  }

  #open(broker: number, call: Call, open: ConsumeOpen): Stream | undefined {
    this.opens.push(open);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) {
      this.#ground.refuse(call, refusal);
      return undefined;
    }
    const stream: Stream = { call, broker, open, attachment: 0, epoch: open.epoch };
    this.streams.push(stream);
    const { group, topics, memberId, attempt, instanceId, rack, client, epoch } = open;
    const { formerMemberId: formerId } = open;
    const { assignor, sessionMs, graceMs = 3_000, returnMs } = open;
    const request = {
      ...{ kind: 'join', group, topics, memberId, attempt, instanceId, rack, client },
      ...{ assignor, sessionMs, graceMs, returnMs, epoch, formerId },
    } as GroupRequest;
    this.#ask(broker, request, (reply) => {
      if (reply instanceof BrokerError) {
        this.#refuse(stream, reply.code);
      } else if (reply.kind === 'replaced') {
        this.fence(stream, ConsumeFence.CONSUME_FENCE_REPLACED);
      } else if (reply.kind === 'joined') {
        stream.attachment = reply.attachment;
        const value = { memberId, attachment: reply.attachment, sessionMs, leaseMs: 0 };
        send(call, { $case: 'joined', value });
        this.#sendView(stream, reply.view);
        this.#sendLease(stream);
      }
    });
    return stream;
  }

  #take(stream: Stream, message: ConsumeRequest['message']): void {
    const { group, memberId } = stream.open;
    const { broker, attachment } = stream;
    if (message?.$case === 'applied') {
      stream.epoch = Math.max(stream.epoch, message.value.epoch);
      this.#heartbeat();
    } else if (message?.$case === 'acknowledge') {
      this.#acknowledge(stream, message.value);
    } else if (message?.$case === 'leave') {
      const { isReturning } = message.value;
      const leave = { kind: 'leave', group, memberId, attachment, isReturning } as const;
      this.#ask(broker, leave, () => {
        this.#forget(stream);
        stream.call.end();
      });
    }
  }

  #acknowledge(stream: Stream, { acknowledgeId, cursors }: ConsumeAcknowledge): void {
    const { group, memberId } = stream.open;
    const { attachment } = stream;
    const outcomes = cursors.map(({ epoch, ...cursor }) => {
      const refusal = this.commitRefusals.shift();
      if (refusal !== undefined) return { error: this.#ground.error(refusal) };
      const { partition, offset } = cursor;
      const topicId = topicIdFromBytes(cursor.topicId);
      const claim = { group, topicId, partition, memberId, attachment, epoch };
      if (commitVerdict(this.#core.image, claim) !== null)
        return { error: this.#ground.error('FENCED') };
      const before = this.#ground.cursorOf(group, partition);
      if (before !== undefined && offset < before.offset)
        return { error: this.#ground.error('CURSOR_AHEAD') };
      const generation = before?.generation ?? 1;
      this.#ground.putCursor(group, { topic: this.#nameOf(topicId), ...cursor, generation });
      return { error: undefined };
    });
    const value = { acknowledgeId, cursors: outcomes, records: [] };
    setTimeout(() => send(stream.call, { $case: 'acknowledged', value }), this.acknowledgeMs);
  }

  #nameOf(topicId: string): string {
    return this.#ground.topics().find((topic) => topic.topicId === topicId)?.name ?? '';
  }

  #detached(stream: Stream): void {
    if (!this.#forget(stream)) return;
    const { group, memberId } = stream.open;
    const { broker: proxy, attachment } = stream;
    this.#step({ kind: 'detached', proxy, group, memberId, attachment });
  }

  #forget(stream: Stream): boolean {
    const at = this.streams.indexOf(stream);
    if (at >= 0) this.streams.splice(at, 1);
    return at >= 0;
  }

  #refuse(stream: Stream, code: ErrorCode): void {
    this.#forget(stream);
    this.#ground.refuse(stream.call, code);
  }

  // The core

  #ask(
    proxy: number,
    request: GroupRequest,
    callback: (reply: GroupReply | BrokerError) => void,
  ): void {
    const requestId = this.#nextRequestId++;
    this.#callbacks.set(requestId, callback);
    this.#step({ kind: 'request', requestId, proxy, request });
  }

  #tick(): void {
    this.#step({ kind: 'tick', nowMs: performance.now() });
    this.#heartbeat();
    for (const stream of this.streams) this.#sendLease(stream);
  }

  #heartbeat(): void {
    for (const proxy of new Set(this.streams.map(({ broker }) => broker))) {
      const own = this.streams.filter((one) => one.broker === proxy && one.attachment > 0);
      const members = own.map(({ open: { group, memberId }, attachment, epoch }) => ({
        ...{ group, memberId, attachment, epoch },
      }));
      this.#step({ kind: 'heartbeat', requestId: 0, proxy, members });
    }
  }

  #step(input: MembershipInput): void {
    const { batch, replies, messages } = this.#core.step(input);
    for (const { requestId, reply } of replies) {
      this.#callbacks.get(requestId)?.(reply);
      this.#callbacks.delete(requestId);
    }
    for (const message of messages) {
      const stream = this.streams.find(
        ({ open, attachment, broker }) =>
          open.memberId === message.memberId &&
          attachment === message.attachment &&
          broker === message.proxy,
      );
      if (stream === undefined) continue;
      if (message.kind === 'view') this.#sendView(stream, message.view);
      else this.fence(stream, FENCES[message.reason] ?? ConsumeFence.CONSUME_FENCE_UNSPECIFIED);
    }
    if (batch === null) return;
    const { epoch, batchId } = batch;
    this.#step({ kind: 'committed', epoch, batchId });
  }

  #sendView(stream: Stream, { epoch, assigned, revoked }: MemberView): void {
    const { group, releaseMs } = stream.open;
    const value = {
      epoch,
      assigned: assigned.map(({ topicId, partition, epoch: given }) => {
        const cursor = this.#ground.cursorOf(group, partition);
        const code = this.viewErrors.get(partition);
        const error = code === undefined ? undefined : this.#ground.error(code);
        return {
          topic: this.#nameOf(topicId),
          ...{ topicId: topicIdToBytes(topicId), partition, epoch: given, error },
          cursor:
            this.hidesCursors || error !== undefined
              ? undefined
              : { partition, offset: cursor?.offset ?? 0, leaderEpoch: cursor?.leaderEpoch ?? 0 },
        };
      }),
      revoked: revoked.map(({ topicId, partition, epoch: given }) => ({
        ...{ topicId: topicIdToBytes(topicId), partition, epoch: given, leftMs: releaseMs },
      })),
    };
    send(stream.call, { $case: 'view', value });
  }

  #sendLease({ call, open, attachment }: Stream): void {
    if (attachment === 0) return;
    const leftMs = this.isMute ? 0 : Math.floor((open.sessionMs * 2) / 3);
    send(call, { $case: 'lease', value: { leftMs } });
  }
}

function send(call: Call, message: Response): void {
  call.write({ message });
}
