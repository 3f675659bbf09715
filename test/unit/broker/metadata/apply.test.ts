import { describe, expect, test } from 'vitest';
import { internalAddress } from '../../../../base/host-port.ts';
import {
  apply,
  CLUSTER_SETTINGS_DEFAULTS,
  emptyImage,
  LOSS_REPORTS_MAX,
} from '../../../../broker/metadata/apply.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../broker/metadata/codec.ts';
import { changedBrokers, changedPartitions } from '../../../../broker/metadata/delta.ts';
import { levelOf } from '../../../../broker/metadata/features.ts';
import type { MetadataImage, MetadataRecord } from '../../../../broker/metadata/types.ts';
import { brokerState, partitionState, topicState } from './fixtures.ts';

const AT = { index: 2, term: 1 };
const REGISTERED: MetadataRecord = {
  kind: 'broker-registered',
  brokerId: 1,
  brokerEpoch: 5,
  directoryId: 'd',
  host: 'h',
  port: 1,
  rack: 'r',
  restartClass: 'warm',
  featureLevelMax: 1,
};
const REPORT = {
  topicId: 't',
  topic: 't',
  partition: 0,
  leaderEpoch: 3,
  leader: 1,
  fromOffset: 7,
  atMs: 9,
};
const LOSS: MetadataRecord = { kind: 'loss-reported', loss: REPORT };

/** One of everything. */
function fullImage(): MetadataImage {
  return apply(
    emptyImage(),
    [
      { kind: 'cluster', clusterId: 'c', featureLevel: 1 },
      REGISTERED,
      { kind: 'broker-unfenced', brokerId: 1, brokerEpoch: 5 },
      {
        kind: 'topic-created',
        topic: topicState([partitionState(), partitionState({ partition: 1 })]),
      },
      { kind: 'producer-ids', nextProducerId: 1001 },
      { kind: 'producer-named', name: 'p', producerId: 4, producerEpoch: 2, owner: '', hour: 0 },
      LOSS,
    ],
    AT,
  );
}

describe('apply()', () => {
  test('registers fenced, and remembers the unfenced epoch of the same directory only', () => {
    const image = fullImage();
    const same = apply(image, [{ ...REGISTERED, brokerEpoch: 6 }], AT).brokers.get(1);
    const other = apply(
      image,
      [{ ...REGISTERED, brokerEpoch: 6, directoryId: 'e' }],
      AT,
    ).brokers.get(1);
    expect([same?.fenced, same?.unfencedEpoch]).toEqual([true, 5]);
    expect([other?.fenced, other?.unfencedEpoch]).toEqual([true, 0]);
  });

  test.each<{ title: string; record: MetadataRecord }>([
    { title: 'a registration with an old broker epoch', record: { ...REGISTERED, host: 'other' } },
    {
      title: 'a fence of an old incarnation',
      record: { kind: 'broker-fenced', brokerId: 1, brokerEpoch: 4 },
    },
    {
      title: 'a row whose partition epoch does not rise',
      record: { kind: 'partition-changed', topicId: 't', state: partitionState({ leader: 2 }) },
    },
    {
      title: 'a row whose leader epoch falls',
      record: {
        kind: 'partition-changed',
        topicId: 't',
        state: partitionState({ leaderEpoch: 0, partitionEpoch: 2 }),
      },
    },
    {
      title: 'a row of a topic that is gone',
      record: {
        kind: 'partition-changed',
        topicId: 'x',
        state: partitionState({ partitionEpoch: 2 }),
      },
    },
    {
      title: 'a topic whose name is taken',
      record: { kind: 'topic-created', topic: { ...topicState([]), topicId: 'u' } },
    },
    {
      title: 'partitions that leave a gap',
      record: {
        kind: 'partitions-added',
        topicId: 't',
        partitions: [partitionState({ partition: 3 })],
      },
    },
  ])('is not moved by $title', ({ record }) => {
    const image = fullImage();
    expect(apply(image, [record], AT)).toEqual(image);
  });

  test('leaves the image before as it was and shares what did not change', () => {
    const before = fullImage();
    const text = encodeImage(before);
    const after = apply(
      before,
      [
        {
          kind: 'partition-changed',
          topicId: 't',
          state: partitionState({ partition: 1, partitionEpoch: 2, leader: 2, leaderEpoch: 2 }),
        },
      ],
      AT,
    );
    expect(encodeImage(before)).toBe(text);
    expect(after.brokers).toBe(before.brokers);
    expect(after.topics.get('t')?.partitions[0]).toBe(before.topics.get('t')?.partitions[0]);
    expect(changedPartitions(before, after)).toEqual([{ topicId: 't', partition: 1 }]);
    expect(changedBrokers(before, after)).toEqual([]);
  });

  test('keeps the newest loss reports', () => {
    const records = Array.from(
      { length: LOSS_REPORTS_MAX + 1 },
      (_, index): MetadataRecord => ({
        kind: 'loss-reported',
        loss: { ...REPORT, fromOffset: index },
      }),
    );
    const { losses } = apply(emptyImage(), records, AT);
    expect([losses.length, losses[0]?.fromOffset]).toEqual([LOSS_REPORTS_MAX, 1]);
  });
});

describe('addresses of a broker', () => {
  const internal = { host: 'i', port: 2 };

  test.each([
    { name: 'two', given: { internal }, dialled: internal },
    { name: 'one for clients and brokers', given: {}, dialled: { host: 'h', port: 1 } },
  ])('$name: through record and snapshot', ({ given, dialled }) => {
    const records = decodeRecords(encodeRecords([{ ...REGISTERED, ...given }]));
    const image = decodeImage(encodeImage(apply(emptyImage(), records, AT)));
    const broker = image.brokers.get(1);
    expect(broker).toMatchObject({ host: 'h', port: 1, ...given });
    expect(broker === undefined ? null : internalAddress(broker)).toEqual(dialled);
  });
});

describe('decodeImage()', () => {
  test('reads back what encodeImage() wrote', () => {
    expect(decodeImage(encodeImage(fullImage()))).toEqual(fullImage());
  });

  test.each([
    {
      title: 'text that is not JSON',
      text: '{',
      message: 'Cannot read metadata snapshot: it is not JSON',
    },
    {
      title: 'a fraction',
      text: encodeImage(fullImage()).replace('"nextProducerId":1001', '"nextProducerId":1.5'),
      message: 'Cannot read data: snapshot.nextProducerId is 1.5, must be a whole number',
    },
    {
      title: 'a field of a newer build',
      text: encodeImage(fullImage()).replace('"term":1', '"term":1,"mood":2'),
      message:
        'Cannot read data: snapshot.mood is 2, must be absent: this build does not know the field',
    },
    {
      title: 'a leader outside S',
      text: encodeImage(fullImage()).replace('"leader":0', '"leader":7'),
      message: 'leader 7 must be in S (0,1,2)',
    },
  ])('refuses $title', ({ text, message }) => {
    expect(() => decodeImage(text)).toThrow(message);
  });
});

describe('feature level 3', () => {
  const settings = {
    moveBytesPerSecond: -1,
    brokerOptions: { 'log-level': 'debug' },
    topicDefaults: { replicationFactor: 5, commitMode: 'quorum' },
  } as const;

  test('is read back from a snapshot', () => {
    const records: MetadataRecord[] = [
      { kind: 'settings-changed', settings },
      { kind: 'broker-stopping', brokerId: 1, brokerEpoch: REGISTERED.brokerEpoch },
      { kind: 'broker-staying', brokerId: 1, brokerEpoch: REGISTERED.brokerEpoch },
    ];
    const image = apply(fullImage(), decodeRecords(encodeRecords(records)), AT);
    expect(image.settings).toEqual(settings);
    expect(image.brokers.get(1)?.stopping).toBe(false);
    expect(decodeImage(encodeImage(image))).toEqual(image);
  });

  test('leaves no trace in settings of level 2', () => {
    const text = encodeRecords([
      {
        kind: 'settings-changed',
        settings: { ...CLUSTER_SETTINGS_DEFAULTS, moveBytesPerSecond: 5 },
      },
    ]);
    expect(text).toBe('[{"kind":"settings-changed","settings":{"moveBytesPerSecond":5}}]');
  });

  test('needs its level, and settings without it do not', () => {
    const staying: MetadataRecord = { kind: 'broker-staying', brokerId: 1, brokerEpoch: 1 };
    const plain: MetadataRecord = {
      kind: 'settings-changed',
      settings: CLUSTER_SETTINGS_DEFAULTS,
    };
    expect([staying, { ...plain, settings }, plain].map(levelOf)).toEqual([3, 3, 2]);
  });
});

describe('feature level 2', () => {
  const moving = partitionState({
    replicas: [0, 1, 2, 3],
    syncSet: [0, 1, 2],
    adding: [3],
    removing: [2],
    target: [3, 0, 1],
    successor: 1,
  });

  test('is read back from a snapshot', () => {
    const records: MetadataRecord[] = [
      { kind: 'partition-changed', topicId: 't', state: { ...moving, partitionEpoch: 2 } },
      { kind: 'replication-factor-changed', topicId: 't', replicationFactor: 4 },
      {
        kind: 'settings-changed',
        settings: { ...CLUSTER_SETTINGS_DEFAULTS, moveBytesPerSecond: 5 },
      },
      { kind: 'broker-cordoned', brokerId: 1, cordoned: true },
      { ...REGISTERED, brokerId: 2, brokerEpoch: 6, directoryId: 'e' },
      { kind: 'broker-removed', brokerId: 2 },
    ];
    const image = apply(fullImage(), decodeRecords(encodeRecords(records)), AT);
    expect(image.topics.get('t')).toMatchObject({
      replicationFactor: 4,
      partitions: [{ adding: [3], target: [3, 0, 1], successor: 1 }, {}],
    });
    expect([
      image.brokers.get(1)?.cordoned,
      image.brokers.has(2),
      image.removedDirectories,
      image.settings,
    ]).toEqual([true, false, ['e'], { ...CLUSTER_SETTINGS_DEFAULTS, moveBytesPerSecond: 5 }]);
    expect(decodeImage(encodeImage(image))).toEqual(image);
    expect(apply(image, [{ ...REGISTERED, brokerEpoch: 7 }], AT).brokers.get(1)?.cordoned).toBe(
      true,
    );
  });

  test('leaves no trace in what is written while it is not used, so that builds of level 1 can read it', () => {
    const text =
      encodeImage(fullImage()) +
      encodeRecords([{ kind: 'partition-changed', topicId: 't', state: partitionState() }]);
    for (const field of [
      'adding',
      'removing',
      'target',
      'successor',
      'cordoned',
      'settings',
      'removedDirectories',
      'replacedDirectories',
      'cannotLead',
      'start',
    ])
      expect(text).not.toContain(`"${field}"`);
  });

  test.each([
    {
      title: 'a target that is not what remains',
      state: { ...moving, target: [0, 1, 2] },
      message: 'target (0,1,2) must be the replicas (0,1,2,3) without those that leave (2)',
    },
    {
      title: 'new replicas that do not stand last',
      state: { ...moving, adding: [0] },
      message: 'adding (0) must stand last in the replicas (0,1,2,3)',
    },
    {
      title: 'a successor outside S',
      state: { ...moving, successor: 3 },
      message: 'successor 3 must be a trusted member of S (0,1,2) beside a leader (0)',
    },
  ])('refuses $title', ({ state, message }) => {
    expect(() =>
      decodeRecords(encodeRecords([{ kind: 'partition-changed', topicId: 't', state }])),
    ).toThrow(message);
  });
});

describe('decodeRecords()', () => {
  test('reads back what encodeRecords() wrote', () => {
    const records: MetadataRecord[] = [
      REGISTERED,
      LOSS,
      { kind: 'partition-changed', topicId: 't', state: partitionState() },
    ];
    expect(decodeRecords(encodeRecords(records))).toEqual(records);
  });

  test('names a kind of a newer build', () => {
    expect(() => decodeRecords('[{"kind":"share-group"}]')).toThrow(
      'Cannot read data: records[0].kind is "share-group", must be one that this build knows: it was written by a newer build',
    );
  });

  test('brokers of the fixture fit the snapshot', () => {
    const image = { ...fullImage(), brokers: new Map([[3, brokerState(3)]]) };
    expect(decodeImage(encodeImage(image)).brokers.get(3)).toEqual(brokerState(3));
  });
});
