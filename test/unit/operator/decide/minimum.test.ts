import { describe, expect, test } from 'vitest';
import { followMin } from '../../../../operator/decide/min.ts';
import { planTopic } from '../../../../operator/decide/topics.ts';
import type { LogTopicView, Observation, TopicView } from '../../../../operator/decide/types.ts';
import {
  logTopic,
  NOW_MS,
  observation,
  partition,
  topic,
} from '../../../fixtures/operator/observations.ts';

/** A topic whose minimum nobody chose. */
function follower(name: string, min: number, replicas: readonly number[] = [0, 1, 2]): TopicView {
  return { ...topic(name, [replicas], { minInSyncReplicas: min }), followsMin: true };
}

const chosen = (name: string, min: number): TopicView =>
  topic(name, [[0, 1, 2]], { minInSyncReplicas: min });

interface Scene {
  readonly wanted: number;
  /** The brokers' default for topics. */
  readonly present: number;
  readonly topics: readonly TopicView[];
  readonly isShrinking?: boolean;
  readonly logTopics?: readonly LogTopicView[];
  readonly factor?: number;
}

/** The status says that topics were last given minimum 2. */
function seen({
  wanted,
  present,
  topics,
  isShrinking,
  logTopics = [],
  factor,
}: Scene): Observation {
  return observation({
    spec: {
      minInSyncReplicas: wanted,
      acceptWriteStops: true,
      ...(factor === undefined ? {} : { replicationFactor: factor }),
    },
    topics,
    change: ({ metadata, workload }) => ({
      logTopics,
      metadata: {
        ...metadata!,
        hasFollowing: true,
        settings: { brokerOptions: {}, topicDefaults: { minInSyncReplicas: present } },
      },
      ...(isShrinking === true && workload !== null
        ? { workload: { ...workload, replicas: 4 } }
        : {}),
    }),
  });
}

describe('followMin() of brokers that know who follows', () => {
  test.each<{
    title: string;
    scene: Scene;
    usable: number[];
    given?: number;
    waitingFor?: string | null;
  }>([
    {
      title: 'lowered: the default says it, brokers do it',
      scene: { wanted: 1, present: 2, topics: [follower('orders', 2), chosen('own', 2)] },
      usable: [1],
      waitingFor: 'waiting for the brokers to do it',
    },
    {
      title: 'raised: waits for replicas in sync',
      scene: {
        wanted: 3,
        present: 3,
        topics: [
          {
            ...follower('orders', 2),
            partitions: [partition(0, [0, 1, 2], { syncSet: [0, 1] })],
          },
        ],
      },
      usable: [3],
      waitingFor: 'waiting for 1 partition to have 3 replicas in sync: orders/0 has 2',
    },
    {
      title: 'raised during a scale-down: the default is not stated yet',
      scene: { wanted: 3, present: 2, topics: [follower('orders', 2)], isShrinking: true },
      usable: [],
      waitingFor: 'waiting for the scale-down to end',
    },
    {
      title: 'lowered during a scale-down: at once',
      scene: { wanted: 1, present: 2, topics: [follower('orders', 2)], isShrinking: true },
      usable: [1],
      waitingFor: 'waiting for the brokers to do it',
    },
    {
      title: 'a follower has too few copies',
      scene: { wanted: 3, present: 2, topics: [follower('pair', 2, [0, 1])] },
      usable: [3],
      waitingFor:
        'spec.minInSyncReplicas is 3, must be at most the replication factor of every topic that follows it: pair (2)',
    },
    {
      title: 'every follower has it',
      scene: { wanted: 1, present: 1, topics: [follower('orders', 1), chosen('own', 1)] },
      usable: [1],
      given: 1,
      waitingFor: null,
    },
  ])('$title', ({ scene, usable, given = 2, waitingFor }) => {
    const followed = followMin(seen(scene));
    expect(followed).toMatchObject({ usable, given, pending: [] });
    expect(followed.step).toMatchObject({ actions: [], events: [], waitingFor });
  });

  test('says once which topics keep another minimum, and changes none of them', () => {
    const scene = { wanted: 1, present: 1, topics: [follower('orders', 1), chosen('own', 2)] };
    const { step, given } = followMin(seen(scene));
    expect(given).toBe(1);
    expect(step.actions).toEqual([]);
    expect(step.events).toEqual([
      {
        reason: 'MinimumsKept',
        note: 'minInSyncReplicas is another than spec.minInSyncReplicas (1) for 1 topic that chose it, or is older than feature level 16: own (2); spec.minInSyncReplicas 0 of a LogTopic lets its topic follow',
      },
    ]);
    const later = followMin(seen({ wanted: 2, present: 2, topics: [chosen('own', 3)] }));
    expect(later.step.events).toEqual([]);
  });
});

describe('planTopic() of brokers that know who follows', () => {
  const plan = (
    spec: Record<string, unknown>,
    topics: readonly TopicView[],
    scene: Partial<Scene> = {},
  ) => {
    const view = logTopic('orders', spec, { status: { topicId: 'id-of-orders' } });
    const fresh = logTopic('orders', spec);
    const one = topics.length === 0 ? fresh : view;
    return planTopic(
      seen({ wanted: 2, present: 2, ...scene, topics, logTopics: [one] }),
      one,
      NOW_MS,
    );
  };

  test('makes a topic without a minimum, which then follows, and states what is spelt out', () => {
    expect(plan({}, []).actions).toMatchObject([{ change: { commitMode: 'InSync' } }]);
    expect(plan({}, []).actions).not.toMatchObject([{ change: { minInSyncReplicas: 2 } }]);
    const stated = plan({ minInSyncReplicas: 2 }, []);
    expect(stated.actions).toMatchObject([{ change: { minInSyncReplicas: 2 } }]);
  });

  test('does not make a topic of one copy before the brokers have the default', () => {
    const scene = { wanted: 1, factor: 1 };
    expect(plan({}, [], { ...scene, present: 2 })).toMatchObject({
      actions: [],
      status: { conditions: [{ type: 'Ready', reason: 'Creating' }, {}, {}, {}, {}] },
    });
    expect(plan({}, [], { ...scene, present: 1 }).actions).toHaveLength(1);
    expect(plan({ minInSyncReplicas: 1 }, [], { ...scene, present: 2 }).actions).toHaveLength(1);
  });

  test.each<{
    title: string;
    spec: Record<string, unknown>;
    now: TopicView;
    change: number | null;
  }>([
    {
      title: 'stated as it is, and chosen',
      spec: { minInSyncReplicas: 2 },
      now: chosen('orders', 2),
      change: null,
    },
    {
      title: 'stated as it is, of a follower',
      spec: { minInSyncReplicas: 2 },
      now: follower('orders', 2),
      change: 2,
    },
    { title: 'not stated, of a follower', spec: {}, now: follower('orders', 2), change: null },
    { title: 'not stated, and chosen', spec: {}, now: chosen('orders', 3), change: null },
    {
      title: 'to follow, of a follower',
      spec: { minInSyncReplicas: 0 },
      now: follower('orders', 2),
      change: null,
    },
    {
      title: 'to follow, and chosen',
      spec: { minInSyncReplicas: 0 },
      now: chosen('orders', 2),
      change: 0,
    },
  ])('a minimum $title', ({ spec, now, change }) => {
    const { actions, status } = plan(spec, [now]);
    expect(actions).toMatchObject(
      change === null ? [] : [{ kind: 'alter-topic', change: { minInSyncReplicas: change } }],
    );
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.message;
    if (change === 0) expect(ready).toBe("setting minInSyncReplicas to the LogCluster's");
    expect(status).toMatchObject({
      minInSyncReplicasFrom: now.followsMin ? 'LogCluster' : 'Topic',
    });
  });

  test('brokers that do not know are asked for nothing that they would not understand', () => {
    const view = logTopic('orders', { minInSyncReplicas: 0 });
    const { actions, status } = planTopic(
      observation({ topics: [], change: () => ({ logTopics: [view] }) }),
      view,
      NOW_MS,
    );
    expect(actions).toEqual([]);
    expect(status?.conditions?.[0]).toMatchObject({
      reason: 'TopicRefused',
      message:
        'spec.minInSyncReplicas is 0, which needs feature level 16 of LogCluster tm: roll its brokers to a newer image',
    });
    expect(status).not.toHaveProperty('minInSyncReplicasFrom');
  });
});
