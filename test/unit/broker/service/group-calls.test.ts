/** What calls about groups may cost, whatever they ask for, and what they tell of other topics. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { partitionKey } from '../../../../base/units.ts';
import { FEATURE_LEVEL_MAX } from '../../../../broker/metadata/features.ts';
import type { Cursor } from '../../../../broker/groups/fold.ts';
import type { GroupsApi } from '../../../../broker/runtime/api.ts';
import { bounded } from '../../../../broker/service/groups/list-groups.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import {
  GroupServiceService,
  type GroupSummary,
} from '../../../../proto/gen/tidemark/v1/groups.ts';
import {
  JoinMemberRequest,
  MembersServiceService,
} from '../../../../proto/gen/tidemark/internal/v1/members.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

const GROUPS_ID = '99999999-9999-4999-8999-999999999999';
const MEMBER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
const SECRET_ID = '88888888-8888-4888-8888-888888888888';

describe('a call about a group', () => {
  let cluster: FakeCluster;
  let one: FakeBroker;
  beforeEach(async () => {
    cluster = new FakeCluster();
    one = await cluster.add(1);
    cluster.lead([1, 1]);
    const events = cluster.image.topics.get(TOPIC_ID)!;
    const partitions = Array.from({ length: 16 }, (_, partition) => ({
      ...events.partitions[0]!,
      partition,
    }));
    cluster.put({ ...events, topicId: GROUPS_ID, name: '__groups', partitions });
    cluster.put({ ...events, topicId: SECRET_ID, name: 'secret' });
    one.coordinates = groupsApi();
  });
  afterEach(() => cluster.stop());

  const options = { deadlineMs: 2_000, clock: systemClock };

  it.for([
    { topic: 'events', partitions: [0, 1, 0] },
    { topic: 'events', partitions: [2_000] },
    { topic: 'no/name', partitions: [] },
  ])('refuses to fetch %j', async (selection) => {
    const request = { group: 'g', topics: [selection] };
    await expect(
      callUnary(cluster.client(one), GroupServiceService.fetchCursors, request, options),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('refuses to fetch the cursors of one topic twice', async () => {
    const topic = { topic: 'events', partitions: [] };
    const fetch = (count: number) => {
      const request = { group: 'g', topics: Array.from({ length: count }, () => topic) };
      return callUnary(cluster.client(one), GroupServiceService.fetchCursors, request, options);
    };
    expect(await fetch(1)).toEqual({ cursors: [] });
    await expect(fetch(2)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('tells nothing of a topic whose id it states under the name of another', async () => {
    const cursor = {
      ...{ topic: 'events', topicId: topicIdToBytes(SECRET_ID), partition: 0 },
      ...{ offset: 0, leaderEpoch: 0, generation: 0 },
    };
    const request = { group: 'g', cursors: [cursor], member: undefined };
    const { outcomes } = await callUnary(
      cluster.client(one),
      GroupServiceService.commitCursors,
      request,
      options,
    );
    expect(outcomes).toMatchObject([{ cursor: undefined, error: { code: 'UNKNOWN_TOPIC' } }]);
  });

  it('ends with its deadline where a coordinator does not get a member committed', async () => {
    const never = new Promise<never>(() => {});
    cluster.change({ featureLevel: FEATURE_LEVEL_MAX });
    one.coordinates = { ...groupsApi(), ask: () => never, onMessages: () => () => {} };
    const leaving = { proxy: 1, group: 'g', memberId: MEMBER, attachment: 1, isReturning: false };
    const joining = { ...JoinMemberRequest.decode(new Uint8Array(0)), group: 'g', proxy: 1 };
    const client = cluster.client(one);
    const { joinMember, leaveMember } = MembersServiceService;
    const answers = [
      callUnary(client, joinMember, { ...joining, memberId: MEMBER, topics: ['events'] }, options),
      callUnary(client, leaveMember, leaving, options),
    ].map((answer: Promise<unknown>) => answer.catch((error: unknown) => error));
    expect(await Promise.all(answers)).toMatchObject([
      { code: 'OUTCOME_UNKNOWN' },
      { code: 'OUTCOME_UNKNOWN' },
    ]);
  });
});

describe('a list of groups', () => {
  it('stays below the size of a message, and says that there are more', () => {
    const topics = Array.from({ length: 100 }, () => 'x'.repeat(249));
    const groups = Array.from(
      { length: 1_000 },
      (_, at): GroupSummary => ({
        ...{ group: `g-${at}`, cursors: 100, topics, coordinator: 1 },
      }),
    );
    expect(bounded(groups.slice(0, 100), null)).toMatchObject({ error: undefined });
    const { groups: shown, error } = bounded(groups, null);
    expect(shown).toHaveLength(168);
    expect(error).toMatchObject({ code: 'OVERLOADED' });
  });

  it('has ten thousand groups at most', () => {
    const groups = Array.from(
      { length: 10_001 },
      (_, at): GroupSummary => ({
        ...{ group: `g-${at}`, cursors: 1, topics: ['t'], coordinator: 1 },
      }),
    );
    expect(bounded(groups, null).groups).toHaveLength(10_000);
    expect(bounded(groups.slice(1), null)).toMatchObject({ error: undefined });
  });
});

/** A group that has a cursor on the topic `secret` alone. */
function groupsApi(): GroupsApi {
  const place = { group: 'g', topic: 'secret', topicId: SECRET_ID, partition: 0 };
  const cursor: Cursor = { ...place, offset: 77, leaderEpoch: 1, generation: 1 };
  const key = partitionKey(SECRET_ID, 0);
  const never = (): never => {
    throw new Error('not asked here');
  };
  return {
    view: () => ({ cursors: new Map([[key, cursor]]), byName: new Map(), idleMs: 0 }),
    use: async () => {},
    commit: async () => [],
    ...{ seek: never, remove: never, lagOf: never, coordinatedIn: never, coordinated: never },
    ...{ begin: never, ask: never, heartbeat: never, detached: never, onMessages: never },
    describe: () => null,
  };
}
