/**
 * MembersService: answers the proxies of members, as the coordinator of their groups, and takes
 * what other coordinators tell members of this broker. Who speaks is known by its certificate;
 * whether a caller may join is judged here again (docs/rules.md#access).
 */
import type {
  MembersServiceServer,
  UnansweredPartition,
} from '../../../proto/gen/tidemark/internal/v1/members.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import {
  BROKER_ID_MAX,
  GROUP_HEARTBEAT_MEMBERS_MAX,
  PARTITIONS_PER_TOPIC_MAX,
} from '../../../base/limits.ts';
import { type BrokerId, partitionKey } from '../../../base/units.ts';
import type {
  JoinRequest,
  LeaveRequest,
  MemberMessage,
  MemberSign,
  RefusedSign,
} from '../../groups/membership/types.ts';
import { LEVEL_OF_MEMBERS, requireLevel } from '../../runtime/metadata-rules.ts';
import { remainingMs } from '../../messages/deadline.ts';
import { integerField, refuse, topicIdField } from '../../messages/fields.ts';
import { expected, unaryHandler } from '../../messages/handlers.ts';
import { principalOf } from '../../messages/principal.ts';
import { requireSpeaker } from '../../messages/speaker.ts';
import type { GroupsApi } from '../../runtime/api.ts';
import { partitionOfGroup } from '../../runtime/groups/groups-host.ts';
import { type GroupParts, refuseNameOfQueue, within } from '../groups/coordinated.ts';
import { groupField, partitionField } from '../groups/fields.ts';
import { beginCursors } from './begin-cursors.ts';
import {
  fenceToMessage,
  type Joined,
  joinedToMessage,
  joinFromMessage,
  memberMessageFromWire,
  signFromMessage,
} from './members-codec.ts';
import { Teller } from './teller.ts';

/** What of a heartbeat does not count. */
export interface Signed {
  /** Partitions of `__groups` that did not answer. */
  readonly unanswered: readonly { readonly partition: number; readonly error: BrokerError }[];
  readonly refused: readonly RefusedSign[];
}

/** What this broker does as the coordinator of groups. */
export class CoordinatorDesk {
  readonly #parts: GroupParts;
  readonly #teller: Teller;
  #listened: GroupsApi | null = null;

  constructor(parts: GroupParts, onOwn: (messages: readonly MemberMessage[]) => void) {
    this.#parts = parts;
    this.#teller = new Teller({ ...parts, onOwn });
  }

  /** Null: another process has its place. @param principal empty: nobody was asked for a name */
  async join(proxy: BrokerId, request: JoinRequest, principal: string): Promise<Joined | null> {
    const { broker } = this.#parts.cluster;
    requireLevel(broker.image(), LEVEL_OF_MEMBERS, 'join a group');
    refuseNameOfQueue(this.#parts.cluster, request.group);
    if (principal !== '') {
      const resource = { kind: 'group', name: request.group } as const;
      const verdict = broker.rightsOf(principal).judge('group', resource);
      if (!verdict.isAllowed) throw new BrokerError('PERMISSION_DENIED', verdict.reason);
    }
    const reply = await this.#groups().ask(proxy, request);
    if (reply.kind === 'replaced') return null;
    if (reply.kind !== 'joined') throw new Error(`a join was answered with ${reply.kind}`);
    return reply;
  }

  async leave(proxy: BrokerId, request: LeaveRequest): Promise<void> {
    await this.#groups().ask(proxy, request);
  }

  detach(proxy: BrokerId, { group, memberId, attachment }: Omit<MemberSign, 'epoch'>): void {
    this.#groups().detached(proxy, { group, memberId, attachment });
  }

  /** What does not count of it: whole partitions of `__groups`, and members. */
  async sign(proxy: BrokerId, signs: readonly MemberSign[]): Promise<Signed> {
    const places = signs.map((sign, at) => ({ sign, at }));
    const byPartition = Map.groupBy(places, ({ sign }) => partitionOfGroup(sign.group));
    const unanswered: Signed['unanswered'][number][] = [];
    const refused: RefusedSign[] = [];
    const asked = [...byPartition].map(async ([partition, some]) => {
      try {
        const own = some.map(({ sign }) => sign);
        for (const { at, reason } of await this.#groups().heartbeat(proxy, partition, own))
          refused.push({ at: some[at]?.at ?? 0, reason });
      } catch (error) {
        unanswered.push({ partition, error: expected(error, this.#parts.report) });
      }
    });
    await Promise.all(asked);
    return { unanswered, refused };
  }

  #groups(): GroupsApi {
    const groups = this.#parts.cluster.broker.groups();
    if (groups !== this.#listened) {
      this.#listened = groups;
      groups.onMessages((messages) => {
        this.#teller.tell(messages);
      });
    }
    return groups;
  }
}

/** Handlers of MembersService. */
export function membersService(
  parts: GroupParts,
  desk: CoordinatorDesk,
  onTold: (messages: readonly MemberMessage[]) => void,
): MembersServiceServer {
  const { cluster, report } = parts;
  const speaker = (call: unknown, field: string, brokerId: number): BrokerId => {
    integerField(field, brokerId, 0, BROKER_ID_MAX);
    requireSpeaker(call, brokerId);
    return brokerId;
  };
  const { clock } = cluster;
  return {
    joinMember: unaryHandler(async (request, call) => {
      const proxy = speaker(call, 'proxy', request.proxy);
      const joined = desk.join(proxy, joinFromMessage(request), principalOf(call));
      return joinedToMessage(await within(cluster, remainingMs(call, clock), joined));
    }, report),
    leaveMember: unaryHandler(async ({ proxy: brokerId, ...request }, call) => {
      const proxy = speaker(call, 'proxy', brokerId);
      groupField(request.group);
      const left = desk.leave(proxy, { kind: 'leave', ...request });
      await within(cluster, remainingMs(call, clock), left);
      return {};
    }, report),
    signMembers: unaryHandler(async ({ proxy: brokerId, members }, call) => {
      const proxy = speaker(call, 'proxy', brokerId);
      integerField('members length', members.length, 0, GROUP_HEARTBEAT_MEMBERS_MAX);
      const signs = members.map((member, at) => signFromMessage(`members[${at}]`, member));
      const { unanswered, refused } = await desk.sign(proxy, signs);
      return {
        unanswered: unanswered.map(
          ({ partition, error }): UnansweredPartition => ({
            partition,
            error: errorToMessage(error),
          }),
        ),
        refused: refused.map(({ at, reason }) => ({ at, fence: fenceToMessage(reason) })),
      };
    }, report),
    detachMember: unaryHandler(({ proxy: brokerId, member }, call) => {
      desk.detach(speaker(call, 'proxy', brokerId), signFromMessage('member', member));
      return {};
    }, report),
    beginCursors: unaryHandler(
      async ({ proxy: brokerId, member, fromLatest, partitions }, call) => {
        const proxy = speaker(call, 'proxy', brokerId);
        const { group, memberId, attachment } = signFromMessage('member', member);
        const asked = partitions.map(({ topicId, partition }) => ({
          topicId: topicIdField('partitions.topic_id', topicId),
          partition: partitionField('partitions.partition', partition),
        }));
        integerField('partitions length', asked.length, 1, PARTITIONS_PER_TOPIC_MAX);
        const keys = asked.map(({ topicId, partition }) => partitionKey(topicId, partition));
        if (new Set(keys).size < keys.length) refuse('partitions', keys.length, 'each named once');
        const beginning = { proxy, group, memberId, attachment, isFromLatest: fromLatest };
        const deadlineMs = remainingMs(call, clock);
        const begun = beginCursors(parts, { ...beginning, partitions: asked }, deadlineMs);
        return { cursors: await within(cluster, deadlineMs, begun) };
      },
      report,
    ),
    tellMembers: unaryHandler(({ coordinator, messages }, call) => {
      speaker(call, 'coordinator', coordinator);
      const own = cluster.broker.brokerId;
      onTold(messages.flatMap((message) => memberMessageFromWire(message, own) ?? []));
      return {};
    }, report),
  };
}
