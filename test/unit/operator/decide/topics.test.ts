import { describe, expect, test } from 'vitest';
import { planTopic } from '../../../../operator/decide/topics.ts';
import type { Action, LogTopicView } from '../../../../operator/decide/types.ts';
import { logTopic, NOW_MS, observation, topic } from '../../../fixtures/operator/observations.ts';

const KNOWN = { status: { topicId: 'id-of-orders' } };
const FINALIZERS = { finalizers: ['tidemark.dev/topic'] };
const GONE = { deletionTimestamp: '2026-11-23T12:00:00Z' };

function actionsFor(
  logTopics: readonly LogTopicView[],
  topics = [topic('orders', [[0, 1, 2]])],
): Action[] {
  const seen = observation({ topics, change: () => ({ logTopics }) });
  return logTopics.flatMap((view): Action[] => {
    const { actions, status } = planTopic(seen, view, NOW_MS);
    const { name } = view.resource.metadata;
    return status === null
      ? [...actions]
      : [...actions, { kind: 'write-topic-status', name, status }];
  });
}

function ready(actions: readonly Action[], name = 'orders'): string | undefined {
  const written = actions.find(
    (action) => action.kind === 'write-topic-status' && action.name === name,
  );
  const condition =
    written?.kind === 'write-topic-status'
      ? written.status.conditions?.find(({ type }) => type === 'Ready')
      : undefined;
  return condition === undefined
    ? undefined
    : `${condition.status} ${condition.reason}: ${condition.message}`;
}

const deeds = (actions: readonly Action[]): Action[] =>
  actions.filter(({ kind }) => kind !== 'write-topic-status');

describe('planTopic', () => {
  test('makes a topic that is not there', () => {
    const actions = actionsFor([logTopic('orders', { partitions: 6 })], []);
    expect(deeds(actions)).toEqual([
      {
        kind: 'create-topic',
        name: 'orders',
        partitions: 6,
        replicationFactor: 3,
        change: {
          minInSyncReplicas: 2,
          commitMode: 'InSync',
        },
      },
    ]);
    expect(ready(actions)).toBe('False Creating: making topic orders with 6 partitions');
  });

  test('adopts one and changes nothing that the LogTopic does not spell out', () => {
    const config = { retentionMs: -1, retentionBytes: 5, minInSyncReplicas: 1, segmentMs: 7 };
    const kept = {
      ...topic(
        'orders',
        [
          [0, 1],
          [1, 2],
        ],
        config,
      ),
      replicationFactor: 2,
    };
    const actions = actionsFor(
      [logTopic('orders', { config: { segmentBytes: 1_048_576 } })],
      [kept],
    );
    expect(deeds(actions)).toEqual([
      {
        kind: 'alter-topic',
        name: 'orders',
        partitions: 0,
        replicationFactor: 0,
        change: { segmentBytes: 1_048_576 },
      },
    ]);
    expect(deeds(actionsFor([logTopic('orders')], [kept]))).toEqual([]);
  });

  test('leaves the cleanup of an adopted one that the LogTopic does not state', () => {
    const config = { cleanup: 'Both', retentionRecords: 5, compactionDirtyPercent: 9 } as const;
    const kept = topic('orders', [[0, 1, 2]], config);
    expect(deeds(actionsFor([logTopic('orders')], [kept]))).toEqual([]);
    const stated = logTopic('orders', { config: { cleanup: 'Compact', retentionRecords: 5 } });
    expect(deeds(actionsFor([stated], [kept]))).toEqual([
      {
        kind: 'alter-topic',
        name: 'orders',
        partitions: 0,
        replicationFactor: 0,
        change: { cleanup: 'Compact' },
      },
    ]);
  });

  test.each([
    { title: 'to make', topics: [] },
    { title: 'to change', topics: [topic('orders', [[0, 1, 2]])] },
  ])('asks brokers that would not see it for no cleanup $title', ({ topics }) => {
    const view = logTopic('orders', { config: { cleanup: 'Compact', compactionDirtyPercent: 9 } });
    const seen = observation({
      topics,
      change: ({ metadata }) => ({
        logTopics: [view],
        metadata: { ...metadata!, hasCompaction: false },
      }),
    });
    const { actions, status } = planTopic(seen, view, NOW_MS);
    expect(actions).toEqual([]);
    expect(status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'TopicRefused',
      message:
        'spec.config states cleanup, compactionDirtyPercent, which needs feature level 12 of LogCluster tm: roll its brokers to a newer image',
    });
  });

  test('adopts one that is there', () => {
    const actions = actionsFor([logTopic('orders')]);
    expect(deeds(actions)).toEqual([]);
    expect(ready(actions)).toBe('True AsSpecified: topic orders is as the spec wants it');
    expect(actions[0]).toMatchObject({
      status: {
        topicId: 'id-of-orders',
        partitions: 1,
        replicationFactor: 3,
        minInSyncReplicas: 2,
      },
    });
  });

  test('says nothing twice', () => {
    const [written] = actionsFor([logTopic('orders')]);
    const status = written?.kind === 'write-topic-status' ? written.status : {};
    expect(actionsFor([logTopic('orders', {}, { status })])).toEqual([]);
  });

  test('changes what differs, and nothing else', () => {
    const actions = actionsFor([
      logTopic('orders', { partitions: 3, retention: { time: '1d' }, commitMode: 'Quorum' }, KNOWN),
    ]);
    expect(deeds(actions)).toEqual([
      {
        kind: 'alter-topic',
        name: 'orders',
        partitions: 3,
        replicationFactor: 0,
        change: { commitMode: 'Quorum', retentionMs: 86_400_000 },
      },
    ]);
  });

  test.each([
    [
      'fewer partitions',
      [logTopic('orders', { partitions: 1 }, KNOWN)],
      [
        topic('orders', [
          [0, 1, 2],
          [1, 2, 0],
        ]),
      ],
      'False PartitionsCannotShrink: spec.partitions is 1, must be at least 2: the topic has that many and cannot lose any',
    ],
    [
      'another topic of that name',
      [logTopic('orders', {}, { status: { topicId: 'other' } })],
      [topic('orders', [[0, 1, 2]])],
      'False TopicReplaced: topic orders has id id-of-orders, was other: somebody deleted it and made another; delete this LogTopic and apply it again to adopt that one',
    ],
    [
      'a topic of another LogTopic',
      [logTopic('orders'), logTopic('mine', { topicName: 'orders' }, KNOWN)],
      [topic('orders', [[0, 1, 2]])],
      'False TopicTaken: topic orders belongs to LogTopic mine',
    ],
    [
      'a spec at fault',
      [
        {
          ...logTopic('orders'),
          faults: ['partitions is 0, must be a whole number from 1 to 2000'],
        },
      ],
      [],
      'False InvalidSpec: partitions is 0, must be a whole number from 1 to 2000',
    ],
  ])('refuses %s', (_, logTopics, topics, message) => {
    const actions = actionsFor(logTopics, topics);
    expect(
      actions
        .filter((action) => 'name' in action && action.name === 'orders')
        .map(({ kind }) => kind),
    ).toEqual(['write-topic-status']);
    expect(ready(actions)).toBe(message);
  });

  test('writes no status that says the same in the order of an API server', () => {
    const [written] = actionsFor([logTopic('orders')]).flatMap((action) =>
      action.kind === 'write-topic-status' ? [action.status] : [],
    );
    const reversed = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reversed)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .toReversed()
                .map(([key, part]) => [key, reversed(part)]),
            )
          : value;
    const status = reversed(written) as NonNullable<typeof written>;
    expect(actionsFor([logTopic('orders', {}, { status })])).toEqual([]);
  });

  test('holds no LogTopic, and lets go what an earlier operator held', () => {
    const kept = { ...FINALIZERS, ...KNOWN };
    const release = {
      kind: 'set-topic-finalizer',
      name: 'orders',
      resourceVersion: '3',
      finalizers: [],
    };
    for (const given of [kept, { ...kept, ...GONE }])
      expect(actionsFor([logTopic('orders', { deletionPolicy: 'Delete' }, given)])).toEqual([
        release,
      ]);
    expect(deeds(actionsFor([logTopic('orders', { deletionPolicy: 'Delete' }, KNOWN)]))).toEqual(
      [],
    );
  });
});
