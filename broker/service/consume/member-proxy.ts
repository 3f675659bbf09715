/**
 * The members that are attached to this broker: it says to their coordinators that they live, one
 * heartbeat for each broker that coordinates some of them, and hands on what they are told. It
 * knows until when each may be delivered to (docs/rules.md#groups).
 */
import {
  MembersServiceService,
  type SignMembersResponse,
} from '../../../proto/gen/tidemark/internal/v1/members.ts';
import type { CursorOutcome } from '../../../proto/gen/tidemark/v1/groups.ts';
import type { Cancel } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import { GROUPS_TOPIC } from '../../../base/internal-topics.ts';
import { GROUP_HEARTBEAT_MEMBERS_MAX } from '../../../base/limits.ts';
import type { BrokerId, MonotonicMs, TopicId } from '../../../base/units.ts';
import type {
  FenceReason,
  JoinRequest,
  MemberMessage,
  MemberSign,
} from '../../groups/membership/types.ts';
import { topicIdBytes } from '../../messages/fields.ts';
import { expected } from '../../messages/handlers.ts';
import { partitionOfGroup } from '../../runtime/groups/groups-host.ts';
import { topicNamed } from '../decisions.ts';
import { askCoordinator, type GroupCall, type GroupParts } from '../groups/coordinated.ts';
import { beginCursors } from './begin-cursors.ts';
import {
  fenceFromMessage,
  type Joined,
  joinedFromMessage,
  joinedToMessage,
  joinToMessage,
  signToMessage,
} from './members-codec.ts';
import type { CoordinatorDesk, Signed } from './members-service.ts';

/** Pause between looks at what is due; of a session it is a small part. */
const LOOK_MS = 100;
/** What is stated within this goes with one heartbeat. */
const SOON_MS = 5;
/** Of a session: heartbeats come so often, and so long one that was answered lets deliver. */
const HEARTBEATS = 1 / 3;
const DELIVERS = 2 / 3;
const HEARTBEAT_DEADLINE_MS_MAX = 5_000;
/** Deadline of whatever else a coordinator is asked. */
const ASK_MS = 5_000;

/** A member's stream, as the proxy sees it. */
export interface AttachedStream {
  /** What its coordinator tells it. */
  onMessage(message: MemberMessage): void;
  /** It may be delivered to for so long from now on; 0: not at the moment. */
  onLease(leftMs: number): void;
  /** This broker stops. */
  onStopping(): void;
}

/** A member that has a stream here. */
export interface AttachedMember {
  readonly group: string;
  readonly memberId: string;
  readonly sessionMs: number;
  readonly stream: AttachedStream;
  /** 0: it joins yet. */
  attachment: number;
  /** Of the last view that it applied. */
  appliedEpoch: number;
  /** When the last of what was answered for it was sent. */
  answeredMs: MonotonicMs;
  /** It was told that it may not be delivered to. */
  isSuspended: boolean;
  /** Came before its attachment was known. */
  early: MemberMessage | null;
}

/** Heartbeats to one broker. */
interface Pulse {
  sentMs: MonotonicMs;
  isCalling: boolean;
  /** Somebody waits for one. */
  isDue: boolean;
}

export class MemberProxy {
  readonly #parts: GroupParts;
  readonly #desk: CoordinatorDesk;
  readonly #members = new Map<string, Set<AttachedMember>>();
  readonly #pulses = new Map<BrokerId, Pulse>();
  /** Looks while there are members. */
  #cancelLook: Cancel | null = null;
  #count = 0;
  #isSoon = false;
  #isStopping = false;
  #isClosed = false;

  constructor(parts: GroupParts, desk: CoordinatorDesk) {
    this.#parts = parts;
    this.#desk = desk;
  }

  /** Members with a stream here. */
  get count(): number {
    return this.#count;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelLook?.();
  }

  /** Takes up a stream; its member joins next. Throws OVERLOADED, and BROKER_NOT_READY. */
  add(member: AttachedMember): void {
    if (this.#isClosed || this.#isStopping || this.#parts.cluster.broker.phase() === 'stopping')
      throw new BrokerError('BROKER_NOT_READY', 'This broker stops and attaches nobody any more');
    if (this.#count >= GROUP_HEARTBEAT_MEMBERS_MAX)
      throw new BrokerError(
        'OVERLOADED',
        `This broker speaks for ${this.#count} members, as many as it may`,
      );
    const key = keyOf(member);
    const some = this.#members.get(key) ?? new Set();
    this.#members.set(key, some.add(member));
    this.#count += 1;
    this.#cancelLook ??= this.#parts.cluster.clock.every(LOOK_MS, () => {
      this.#look();
    });
  }

  remove(member: AttachedMember): void {
    const key = keyOf(member);
    const some = this.#members.get(key);
    if (some?.delete(member) !== true) return;
    this.#count -= 1;
    if (some.size === 0) this.#members.delete(key);
    if (this.#count > 0) return;
    this.#cancelLook?.();
    this.#cancelLook = null;
    this.#pulses.clear();
  }

  /**
   * One try. Null: another process has its place. Rejects with the coordinator's refusal, or with
   * what nobody knows.
   */
  async join(
    member: AttachedMember,
    request: JoinRequest,
    principal: string,
  ): Promise<Joined | null> {
    const { cluster } = this.#parts;
    const sentMs = cluster.clock.monotonicMs();
    const proxy = cluster.broker.brokerId;
    const answer = await this.#ask(
      {
        group: request.group,
        method: MembersServiceService.joinMember,
        request: joinToMessage(request, proxy),
        here: async () => joinedToMessage(await this.#desk.join(proxy, request, principal)),
      },
      principal,
    );
    const joined = joinedFromMessage(answer);
    if (joined === null) return null;
    member.attachment = joined.attachment;
    member.answeredMs = sentMs;
    return joined;
  }

  async leave(member: AttachedMember, isReturning: boolean): Promise<void> {
    const { group, memberId, attachment } = member;
    const proxy = this.#parts.cluster.broker.brokerId;
    const leaving = { group, memberId, attachment, isReturning };
    await this.#ask({
      group,
      method: MembersServiceService.leaveMember,
      request: { proxy, ...leaving },
      here: async () => {
        await this.#desk.leave(proxy, { kind: 'leave', ...leaving });
        return {};
      },
    });
  }

  /** Its stream broke. Nobody waits for it: where it is not heard, the session ends by itself. */
  detach(member: AttachedMember): void {
    if (this.#isStopping || this.#isClosed) return;
    const proxy = this.#parts.cluster.broker.brokerId;
    const { group } = member;
    void this.#ask({
      group,
      method: MembersServiceService.detachMember,
      request: { proxy, member: signOf(member) },
      here: () => {
        this.#desk.detach(proxy, member);
        return {};
      },
    }).catch((error: unknown) => {
      expected(error, this.#parts.report);
    });
  }

  begin(
    member: AttachedMember,
    partitions: readonly { readonly topicId: TopicId; readonly partition: number }[],
    isFromLatest: boolean,
  ): Promise<readonly CursorOutcome[]> {
    const { group, memberId, attachment } = member;
    const proxy = this.#parts.cluster.broker.brokerId;
    const beginning = { proxy, group, memberId, attachment, isFromLatest, partitions };
    return this.#ask({
      group,
      method: MembersServiceService.beginCursors,
      request: {
        proxy,
        member: signOf(member),
        fromLatest: isFromLatest,
        partitions: partitions.map(({ topicId, partition }) => ({
          topicId: topicIdBytes(topicId),
          partition,
        })),
      },
      here: async (deadlineMs) => ({
        cursors: await beginCursors(this.#parts, beginning, deadlineMs),
      }),
    }).then(({ cursors }) => cursors);
  }

  /** It applied a view, which others may wait for. */
  applied(member: AttachedMember, epoch: number): void {
    if (epoch <= member.appliedEpoch) return;
    member.appliedEpoch = epoch;
    const coordinator = this.#coordinatorOf(member.group);
    const pulse = coordinator === null ? undefined : this.#pulses.get(coordinator);
    if (pulse !== undefined) pulse.isDue = true;
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#parts.cluster.clock.after(SOON_MS, () => {
      this.#isSoon = false;
      this.#look();
    });
  }

  /** What coordinators tell members of this broker. Of other attachments it counts for nobody. */
  take(messages: readonly MemberMessage[]): void {
    for (const message of messages)
      for (const member of [...(this.#members.get(keyOf(message)) ?? [])])
        if (member.attachment === message.attachment) member.stream.onMessage(message);
        // Of an older one it may come later than that of the one that it waits for.
        else if (member.attachment === 0 && message.attachment >= (member.early?.attachment ?? 0))
          member.early = message;
  }

  /** How long it may be delivered to from now on; 0: not at the moment. */
  leaseMs({ attachment, answeredMs, sessionMs }: AttachedMember): number {
    if (attachment === 0 || this.#isClosed) return 0;
    const endMs = answeredMs + sessionMs * DELIVERS;
    return Math.max(0, Math.floor(endMs - this.#parts.cluster.clock.monotonicMs()));
  }

  #look(): void {
    if (this.#isClosed) return;
    const { cluster } = this.#parts;
    if (!this.#isStopping && cluster.broker.phase() === 'stopping') {
      this.#isStopping = true;
      for (const member of this.#all()) member.stream.onStopping();
    }
    const nowMs = cluster.clock.monotonicMs();
    const byCoordinator = new Map<BrokerId, AttachedMember[]>();
    for (const member of this.#all()) {
      if (member.attachment === 0) continue;
      if (!member.isSuspended && this.leaseMs(member) === 0) {
        member.isSuspended = true;
        member.stream.onLease(0);
      }
      const coordinator = this.#coordinatorOf(member.group);
      if (coordinator === null) continue;
      const some = byCoordinator.get(coordinator);
      if (some === undefined) byCoordinator.set(coordinator, [member]);
      else some.push(member);
    }
    for (const [coordinator, members] of byCoordinator) {
      let pulse = this.#pulses.get(coordinator);
      if (pulse === undefined) {
        pulse = { sentMs: -Infinity, isCalling: false, isDue: true };
        this.#pulses.set(coordinator, pulse);
      }
      const leastMs = Math.min(...members.map(({ sessionMs }) => sessionMs));
      const isDue = pulse.isDue || nowMs - pulse.sentMs >= leastMs * HEARTBEATS - LOOK_MS;
      if (isDue && !pulse.isCalling) void this.#beat(coordinator, pulse, members, leastMs);
    }
    for (const coordinator of this.#pulses.keys())
      if (!byCoordinator.has(coordinator)) this.#pulses.delete(coordinator);
  }

  async #beat(
    coordinator: BrokerId,
    pulse: Pulse,
    members: readonly AttachedMember[],
    leastMs: number,
  ): Promise<void> {
    const { cluster, report } = this.#parts;
    const sentMs = cluster.clock.monotonicMs();
    Object.assign(pulse, { sentMs, isCalling: true, isDue: false });
    const signs = members.map(signOf);
    const proxy = cluster.broker.brokerId;
    const deadlineMs = Math.min(HEARTBEAT_DEADLINE_MS_MAX, leastMs * HEARTBEATS);
    try {
      const { silent, refused } = cluster.isSelf(coordinator)
        ? answerOf(await this.#desk.sign(proxy, signs))
        : answerFromMessage(
            await cluster.forward(
              coordinator,
              MembersServiceService.signMembers,
              { proxy, members: signs.map(signToMessage) },
              { deadlineMs, principal: '' },
            ),
          );
      for (const [at, member] of members.entries()) {
        const { group, memberId, attachment } = signs[at]!;
        const reason = refused.get(at);
        if (reason !== undefined)
          this.take([{ kind: 'fenced', proxy, group, memberId, attachment, reason }]);
        else if (!silent.has(partitionOfGroup(group))) this.#answered(member, attachment, sentMs);
      }
      pulse.isDue ||= silent.size > 0;
    } catch (error) {
      expected(error, report);
      pulse.isDue = true;
    } finally {
      pulse.isCalling = false;
    }
  }

  #answered(member: AttachedMember, attachment: number, sentMs: MonotonicMs): void {
    if (member.attachment !== attachment) return;
    member.answeredMs = Math.max(member.answeredMs, sentMs);
    const leftMs = this.leaseMs(member);
    if (leftMs === 0 || !this.#members.get(keyOf(member))?.has(member)) return;
    member.isSuspended = false;
    member.stream.onLease(leftMs);
  }

  #ask<Request, Response>(call: GroupCall<Request, Response>, principal = ''): Promise<Response> {
    const isGone = (): boolean => this.#isClosed;
    return askCoordinator(this.#parts, call, {
      ...{ deadlineMs: ASK_MS, principal, isForwarded: false, isGone },
    });
  }

  *#all(): Generator<AttachedMember> {
    for (const some of [...this.#members.values()]) yield* [...some];
  }

  /** By the newest metadata; null: there is none at the moment. */
  #coordinatorOf(group: string): BrokerId | null {
    const { cluster } = this.#parts;
    const topic = topicNamed(cluster.image(), GROUPS_TOPIC);
    const leader = topic?.partitions[partitionOfGroup(group)]?.leader ?? -1;
    return leader < 0 ? null : leader;
  }
}

/** What does not count of a heartbeat: partitions of `__groups`, and places in it. */
interface HeartbeatAnswer {
  readonly silent: ReadonlySet<number>;
  readonly refused: ReadonlyMap<number, FenceReason>;
}

function answerOf({ unanswered, refused }: Signed): HeartbeatAnswer {
  return {
    silent: new Set(unanswered.map(({ partition }) => partition)),
    refused: new Map(refused.map(({ at, reason }) => [at, reason])),
  };
}

function answerFromMessage({ unanswered, refused }: SignMembersResponse): HeartbeatAnswer {
  return {
    silent: new Set(unanswered.map(({ partition }) => partition)),
    refused: new Map(refused.map(({ at, fence }) => [at, fenceFromMessage(fence)])),
  };
}

function keyOf({ group, memberId }: { readonly group: string; readonly memberId: string }): string {
  return `${group}/${memberId}`;
}

function signOf({ group, memberId, attachment, appliedEpoch }: AttachedMember): MemberSign {
  return { group, memberId, attachment, epoch: appliedEpoch };
}
