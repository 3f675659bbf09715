/** Queues as programs make and look at them. What a queue does with its records is elsewhere. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../base/errors.ts';
import { connect, type Queues, type Tidemark } from '../../../client/index.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import { FakeCluster, TOPIC } from './fake-cluster.ts';
import { SETTLED } from './fake-queue-admin.ts';

const ID = '07070707-0707-0707-0707-070707070707';
const CONFIG = {
  ...{ leaseMs: 30_000, deliveriesMax: 0, deadLetterTopic: '', isKeyOrdered: false },
  ...{ parksKeys: false, delayMsMin: 0, delayMsMax: 3_600_000 },
};
const JOBS = { name: 'jobs', queueId: ID, topic: TOPIC, topicId: ID, config: CONFIG };

let cluster: FakeCluster;
let tidemark: Tidemark;
let queues: Queues;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
  tidemark = connect({ servers: cluster.servers });
  queues = tidemark.queues();
});
afterEach(async () => {
  await tidemark.close();
  cluster.stop();
});

describe('Queues', () => {
  it('are made, changed, listed and deleted', async () => {
    expect(await queues.create('jobs', { topic: TOPIC })).toEqual(JOBS);
    expect(await queues.alter('jobs', { leaseMs: 5_000, isKeyOrdered: true })).toEqual({
      ...JOBS,
      config: { ...CONFIG, leaseMs: 5_000, isKeyOrdered: true },
    });
    cluster.queueAdmin.put('mails', 'others');
    expect((await queues.list()).map(({ name }) => name)).toEqual(['jobs', 'mails']);
    expect((await queues.list(TOPIC)).map(({ name }) => name)).toEqual(['jobs']);
    await queues.delete('jobs');
    await expect(queues.describe('jobs')).rejects.toMatchObject({ code: 'UNKNOWN_QUEUE' });
    await expect(queues.create('mails', { topic: TOPIC })).rejects.toMatchObject({
      code: 'QUEUE_EXISTS',
    });
  });

  it('send what is stated, and nothing else', async () => {
    await queues.create('jobs', { topic: TOPIC, deadLetterTopic: 'dead', from: 'latest' });
    await queues.alter('jobs', { parksKeys: false, deadLetterTopic: '' });
    const nothing = {
      ...{ leaseMs: undefined, deliveriesMax: undefined, keyOrdered: undefined },
      ...{ delayMinMs: undefined, delayMaxMs: undefined },
    };
    expect(cluster.queueAdmin.calls.map(({ request }) => request)).toEqual([
      {
        ...{ name: 'jobs', topic: TOPIC, from: 2 },
        config: { ...nothing, parksKeys: undefined, deadLetterTopic: 'dead' },
      },
      { name: 'jobs', config: { ...nothing, parksKeys: false, deadLetterTopic: '' } },
    ]);
  });

  it('say how their partitions stand, and why where they do not know', async () => {
    cluster.queueAdmin.put('jobs', TOPIC);
    const refusal = new BrokerError('LEADER_UNKNOWN', 'nobody leads');
    const blocked = { offset: 5, key: Buffer.from('k'), kind: 'leased', memberId: 'm-1' };
    cluster.queueAdmin.partitions = [
      { ...SETTLED, lagRecords: 12, parked: 1, parkedOffsets: [3], blocked },
      { ...SETTLED, partition: 1, error: errorToMessage(refusal) },
    ];
    cluster.queueAdmin.members = [{ memberId: 'm-1', client: 'worker', proxy: 2, leased: 4 }];
    const { partitions, members, ...queue } = await queues.describe('jobs');
    expect(queue).toEqual(JOBS);
    expect(partitions[0]).toMatchObject({
      ...{ partition: 0, owner: 1, lagRecords: 12, parkedOffsets: [3] },
      blocked: { offset: 5, kind: 'leased', memberId: 'm-1' },
    });
    expect(Buffer.from(partitions[0]!.blocked!.key!).toString()).toBe('k');
    expect(partitions[0]).not.toHaveProperty('error');
    expect(partitions[1]).toMatchObject({ partition: 1, error: { code: 'LEADER_UNKNOWN' } });
    expect(partitions[1]).not.toHaveProperty('blocked');
    expect(members).toEqual([{ memberId: 'm-1', client: 'worker', broker: 2, leased: 4 }]);
  });

  it('free keys', async () => {
    cluster.queueAdmin.put('jobs', TOPIC);
    await queues.freeKey('jobs', { partition: 1, offset: 42 });
    expect(cluster.queueAdmin.calls).toEqual([
      { method: 'freeQueueKey', request: { name: 'jobs', partition: 1, offset: 42 } },
    ]);
  });

  it.each<[string, (of: Queues) => Promise<unknown>, RegExp]>([
    ['no name', (of) => of.create('', { topic: TOPIC }), /name is "", must be a string/],
    ['no topic', (of) => of.create('jobs', {} as never), /topic is missing|topic is undefined/],
    [
      'a lease of half a second',
      (of) => of.create('jobs', { topic: TOPIC, leaseMs: 500 }),
      /leaseMs is 500, must be 1000 to 3600000/,
    ],
    [
      'a beginning',
      (of) => of.create('jobs', { topic: TOPIC, from: 'now' as never }),
      /from is "now"/,
    ],
    ['a word', (of) => of.alter('jobs', { isKeyOrdered: 'yes' as never }), /isKeyOrdered is "yes"/],
    ['an unknown setting', (of) => of.alter('jobs', { lease: 5 } as never), /lease/],
    [
      'a text for an offset',
      (of) => of.freeKey('jobs', { partition: 0, offset: '7' as never }),
      /offset is "7"/,
    ],
    ['a number for a topic', (of) => of.list(7 as never), /topic is 7/],
    ['a number for a name', (of) => of.describe(7 as never), /name is 7/],
    ['nothing for a name', (of) => of.delete(undefined as never), /name is undefined/],
  ])('refuse %s, and ask nobody', async (_, run, message) => {
    await expect(run(queues)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
    expect(cluster.queueAdmin.calls).toEqual([]);
  });
});
