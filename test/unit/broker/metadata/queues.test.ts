/** Queues in metadata: records, image, codec, and what becomes of requests. */
import { describe, expect, it } from 'vitest';
import { QUEUES_MAX } from '../../../../base/limits.ts';
import { QUEUE_SETTINGS_DEFAULTS, type QueueSettings } from '../../../../base/queues.ts';
import { apply } from '../../../../broker/metadata/apply.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../broker/metadata/config.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../broker/metadata/codec.ts';
import {
  alterQueue,
  createQueue,
  deleteQueue,
} from '../../../../broker/metadata/controller/queues.ts';
import type { CreateQueueRequest } from '../../../../broker/metadata/controller-types.ts';
import { LEVEL_OF_QUEUES, levelOf } from '../../../../broker/metadata/features.ts';
import type {
  MetadataImage,
  MetadataRecord,
  QueueDefinition,
} from '../../../../broker/metadata/types.ts';
import { imageOf, partitionState, topicState } from './fixtures.ts';

const AT = { index: 2, term: 1 };
const LARGER = { batchBytesMax: TOPIC_CONFIG_DEFAULTS.batchBytesMax + 65_536 };

const topic = (name: string, config = {}) =>
  topicState([partitionState(), partitionState({ partition: 1 })], config, {
    topicId: `${name}-id`,
    name,
  });

/** Two topics of work, two that may take dead letters, and one of the cluster's own. */
const WORLD = imageOf(
  [],
  [
    topic('orders'),
    topic('mails'),
    topic('dead', LARGER),
    topic('buried', LARGER),
    topic('latest', { ...LARGER, cleanup: 'both' }),
    topic('__groups', LARGER),
  ],
);

function queue(name: string, patch: Partial<QueueDefinition> = {}): QueueDefinition {
  return {
    queueId: `${name}-id`,
    name,
    topicId: 'orders-id',
    config: QUEUE_SETTINGS_DEFAULTS,
    isFromLatest: false,
    partitionsAtFirst: 2,
    ...patch,
  };
}

const withLetters = (deadLetterTopic: string): QueueSettings => ({
  ...QUEUE_SETTINGS_DEFAULTS,
  deadLetterTopic,
});
const created = (one: QueueDefinition): MetadataRecord => ({ kind: 'queue-created', queue: one });
const image = (...queues: readonly QueueDefinition[]): MetadataImage =>
  apply(WORLD, queues.map(created), AT);
const asked = (name: string, patch: Partial<CreateQueueRequest> = {}): CreateQueueRequest => ({
  kind: 'create-queue',
  queueId: `${name}-id`,
  name,
  topic: 'orders',
  config: {},
  isFromLatest: false,
  ...patch,
});
const alter = (before: MetadataImage, name: string, config: Partial<QueueSettings>) =>
  alterQueue(before, { kind: 'alter-queue', name, config });

describe('records of queues', () => {
  it('make, change and delete, and leave the image before alone', () => {
    const before = image(queue('jobs'), queue('others'));
    const config = { ...QUEUE_SETTINGS_DEFAULTS, leaseMs: 5_000 };
    const after = apply(
      before,
      [
        { kind: 'queue-changed', queueId: 'jobs-id', config },
        { kind: 'queue-deleted', queueId: 'others-id' },
      ],
      AT,
    );
    expect([...after.queues.values()]).toEqual([queue('jobs', { config })]);
    expect([...after.queueIdsByName]).toEqual([['jobs', 'jobs-id']]);
    expect([...before.queues.values()]).toEqual([queue('jobs'), queue('others')]);
    expect([...before.queueIdsByName.keys()]).toEqual(['jobs', 'others']);
  });

  it.each<[string, MetadataRecord]>([
    ['a name that is taken', created(queue('jobs', { queueId: 'another' }))],
    ['an id that is taken', created(queue('another', { queueId: 'jobs-id' }))],
    ['a topic that is gone', created(queue('another', { topicId: 'gone' }))],
    ['a change of none', { kind: 'queue-changed', queueId: 'x', config: QUEUE_SETTINGS_DEFAULTS }],
    ['the end of none', { kind: 'queue-deleted', queueId: 'x' }],
  ])('change nothing for %s', (_, record) => {
    const before = image(queue('jobs'));
    const after = apply(before, [record], AT);
    expect(after.queues).toBe(before.queues);
    expect(after.queueIdsByName).toBe(before.queueIdsByName);
  });

  it('go with the topic, all of them and no others', () => {
    const before = image(queue('jobs'), queue('more'), queue('mails', { topicId: 'mails-id' }));
    const after = apply(before, [{ kind: 'topic-deleted', topicId: 'orders-id' }], AT);
    expect([...after.queues.keys()]).toEqual(['mails-id']);
    expect([...after.queueIdsByName.keys()]).toEqual(['mails']);
    expect(before.queues.size).toBe(3);
  });

  it('stay where their dead-letter topic goes', () => {
    const before = image(queue('jobs', { config: withLetters('dead') }));
    const after = apply(before, [{ kind: 'topic-deleted', topicId: 'dead-id' }], AT);
    expect(after.queues).toBe(before.queues);
  });

  it('travel as text, in a snapshot in one order, and in none where there are none', () => {
    const records: MetadataRecord[] = [
      created(queue('jobs', { isFromLatest: true, config: withLetters('dead') })),
      { kind: 'queue-changed', queueId: 'jobs-id', config: QUEUE_SETTINGS_DEFAULTS },
      { kind: 'queue-deleted', queueId: 'jobs-id' },
    ];
    expect(decodeRecords(encodeRecords(records))).toEqual(records);
    const full = image(queue('jobs'), queue('b'));
    expect(decodeImage(encodeImage(full))).toEqual(full);
    expect(encodeImage(image(queue('b'), queue('jobs')))).toBe(encodeImage(full));
    expect(encodeImage(WORLD)).not.toContain('queues');
    for (const one of records) expect(levelOf(one)).toBe(LEVEL_OF_QUEUES);
  });

  it.each([
    [{ leaseMs: 1 }, /lease_ms is 1, must be/],
    [{ deliveriesMax: 3 }, /deliveries_max is 3, must be 0 without/],
    [{ leaseMs: 'long' }, /leaseMs/],
    [{ isKeyOrdered: 1 }, /isKeyOrdered/],
  ])('are not read with %j', (patch, fault) => {
    const config = { ...QUEUE_SETTINGS_DEFAULTS, ...patch };
    const text = JSON.stringify([{ kind: 'queue-changed', queueId: 'q', config }]);
    expect(() => decodeRecords(text)).toThrow(fault);
  });
});

describe('createQueue()', () => {
  it('takes defaults where nothing is stated, and how many partitions there are', () => {
    expect(createQueue(WORLD, asked('jobs'))).toEqual([created(queue('jobs'))]);
    const config = { leaseMs: 5_000, deadLetterTopic: 'dead', deliveriesMax: 3 };
    expect(createQueue(WORLD, asked('jobs', { config, isFromLatest: true }))).toEqual([
      created(
        queue('jobs', { isFromLatest: true, config: { ...QUEUE_SETTINGS_DEFAULTS, ...config } }),
      ),
    ]);
  });

  it('writes nothing for what is there under its id', () => {
    const before = image(queue('jobs', { config: { ...withLetters(''), leaseMs: 9_000 } }));
    expect(createQueue(before, asked('jobs'))).toEqual([]);
  });

  it.each<[string, CreateQueueRequest, string, string | RegExp]>([
    ['a name that is taken', asked('jobs', { queueId: 'x' }), 'QUEUE_EXISTS', /with id jobs-id/],
    ['an id that is taken', asked('x', { queueId: 'jobs-id' }), 'QUEUE_EXISTS', /with id jobs-id/],
    ['no id', asked('x', { queueId: '' }), 'INVALID_ARGUMENT', /queueId is ""/],
    ['a reserved name', asked('__x'), 'INVALID_ARGUMENT', /must not start with "__"/],
    ['no topic', asked('x', { topic: 'gone' }), 'UNKNOWN_TOPIC', /"gone"/],
    ['a topic of the cluster', asked('x', { topic: '__groups' }), 'REFUSED', /the cluster's own/],
    ['a lease', asked('x', { config: { leaseMs: 1 } }), 'INVALID_ARGUMENT', /lease_ms is 1, must/],
  ])('refuses %s', (_, request, code, message) => {
    expect(thrown(() => createQueue(image(queue('jobs')), request))).toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  it('refuses a cluster that is behind, and one too many', () => {
    const behind = { ...WORLD, featureLevel: LEVEL_OF_QUEUES - 1 };
    expect(() => createQueue(behind, asked('jobs'))).toThrow(/needs feature level 15/);
    const full = image(...Array.from({ length: QUEUES_MAX }, (_, at) => queue(`q${String(at)}`)));
    expect(() => createQueue(full, asked('jobs'))).toThrow(/there are 1000 already/);
    expect(createQueue(full, asked('q7'))).toEqual([]);
  });
});

describe('a dead-letter topic', () => {
  it.each([
    ['is not there', 'gone', 'UNKNOWN_TOPIC', /"gone"/],
    ["is the cluster's own", '__groups', 'REFUSED', /the cluster's own/],
    ["is the queue's own", 'orders', 'INVALID_ARGUMENT', /another topic than the queue's own/],
    [
      'takes no larger batches',
      'mails',
      'INVALID_ARGUMENT',
      /batchBytesMax of topic "mails" is 1048576, must be 1114112 or greater/,
    ],
    ['is compacted', 'latest', 'REFUSED', /cleanup of topic "latest" is both, must be delete/],
  ])('that %s is refused, of a new queue and of one that is there', (_, name, code, message) => {
    const refusal = { code, message: expect.stringMatching(message) as string };
    const config = { deadLetterTopic: name };
    expect(thrown(() => createQueue(WORLD, asked('jobs', { config })))).toMatchObject(refusal);
    expect(thrown(() => alter(image(queue('jobs')), 'jobs', config))).toMatchObject(refusal);
  });

  it('has no queue with dead letters of its own', () => {
    const burying = queue('graves', { topicId: 'dead-id', config: withLetters('buried') });
    const before = image(burying, queue('jobs'));
    const config = { deadLetterTopic: 'dead' };
    const fault = /queue "graves" of topic "dead" has dead letters itself/;
    expect(() => createQueue(before, asked('x', { config }))).toThrow(fault);
    expect(() => alter(before, 'jobs', config)).toThrow(fault);
    // A queue of dead letters that has none itself is what they are for.
    const plain = image({ ...burying, config: QUEUE_SETTINGS_DEFAULTS });
    expect(createQueue(plain, asked('x', { config }))).toHaveLength(1);
  });

  it('gets none either once it is one', () => {
    const jobs = queue('jobs', { config: withLetters('dead') });
    const before = image(jobs, queue('graves', { topicId: 'dead-id' }));
    const config = { deadLetterTopic: 'buried' };
    const fault = /topic "dead" has the dead letters of queue "jobs"/;
    expect(() => createQueue(before, asked('x', { topic: 'dead', config }))).toThrow(fault);
    expect(() => alter(before, 'graves', config)).toThrow(fault);
  });

  it('is shared by queues, and exchanged for another', () => {
    const before = image(queue('jobs', { config: withLetters('dead') }));
    const config = { deadLetterTopic: 'dead' };
    expect(createQueue(before, asked('x', { topic: 'mails', config }))).toHaveLength(1);
    expect(alter(before, 'jobs', { deadLetterTopic: 'buried' })).toEqual([
      { kind: 'queue-changed', queueId: 'jobs-id', config: withLetters('buried') },
    ]);
  });
});

describe('alterQueue()', () => {
  it('changes what is stated, and writes nothing where nothing changes', () => {
    const before = image(queue('jobs', { config: { ...withLetters('dead'), deliveriesMax: 2 } }));
    expect(alter(before, 'jobs', { leaseMs: 1_000 })).toEqual([
      {
        kind: 'queue-changed',
        queueId: 'jobs-id',
        config: { ...withLetters('dead'), deliveriesMax: 2, leaseMs: 1_000 },
      },
    ]);
    expect(alter(before, 'jobs', { deliveriesMax: 2 })).toEqual([]);
    expect(() => alter(before, 'jobs', { deadLetterTopic: '' })).toThrow(/must be 0 without/);
    expect(() => alter(before, 'none', {})).toThrow(/No queue is named "none"/);
  });

  it('looks at the dead-letter topic only where that changes', () => {
    const gone = image(queue('jobs', { config: withLetters('gone') }));
    expect(alter(gone, 'jobs', { leaseMs: 1_000 })).toHaveLength(1);
    expect(alter(gone, 'jobs', { deadLetterTopic: '' })).toHaveLength(1);
  });
});

describe('deleteQueue()', () => {
  it('deletes what is there', () => {
    const before = image(queue('jobs'));
    const drop = (name: string) => deleteQueue(before, { kind: 'delete-queue', name });
    expect(drop('jobs')).toEqual([{ kind: 'queue-deleted', queueId: 'jobs-id' }]);
    expect(thrown(() => drop('none'))).toMatchObject({ code: 'UNKNOWN_QUEUE' });
  });
});

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}
