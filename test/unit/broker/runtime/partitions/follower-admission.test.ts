import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FollowerAdmission } from '../../../../../broker/runtime/partitions/follower-admission.ts';
import type { FollowerAdmissionOptions } from '../../../../../broker/runtime/partitions/follower-admission.ts';
import type { FollowerLink } from '../../../../../broker/runtime/ports.ts';
import { Watchers } from '../../../../../broker/runtime/watchers.ts';
import type { Position } from '../../../../../broker/replication/types.ts';
import { TOPIC_ID } from '../../service/fake-broker.ts';
import { FakeClock } from '../fake-clock.ts';

const OWN_EPOCH = 7;
const FOLLOWER = { brokerId: 2, brokerEpoch: 4 };
const POSITION = {} as Position;

/**
 * Broker 1 at epoch 7 with one replica; broker 2 is registered at epoch 4; what is done is noted.
 */
class Scene {
  readonly done: string[] = [];
  readonly clock = new FakeClock();
  readonly watchers = new Watchers(this.clock);
  readonly admission: FollowerAdmission;
  brokerEpoch = OWN_EPOCH;
  leaderEpoch = 3;
  current: FollowerLink | null = null;

  constructor() {
    const replica = {
      followerGone: (follower: number) => this.done.push(`forget ${follower}`),
      position: () => this.done.push('position'),
      inspect: (epoch: number) => ({ lastEpoch: epoch, endOffset: 10, highWaterMark: 10 }),
    };
    const options = {
      self: 1,
      brokerEpoch: () => this.brokerEpoch,
      image: () => ({
        brokers: new Map([[FOLLOWER.brokerId, FOLLOWER]]),
        topics: new Map([[TOPIC_ID, { partitions: [{ leaderEpoch: this.leaderEpoch }] }]]),
      }),
      imageWatchers: this.watchers,
      replicas: Object.assign([replica], {
        get: (topicId: string) => (topicId === TOPIC_ID ? replica : null),
      }),
      pusher: {
        open: (link: FollowerLink) => {
          this.done.push(`open ${link.brokerId}`);
          this.current = link;
        },
        isCurrent: (link: FollowerLink) => link === this.current,
        closed: (link: FollowerLink) => link === this.current,
        wake: (follower: number) => this.done.push(`wake ${follower}`),
      },
    };
    this.admission = new FollowerAdmission(options as unknown as FollowerAdmissionOptions);
  }
}

function linkOf(brokerEpoch: number): FollowerLink {
  return { brokerId: FOLLOWER.brokerId, brokerEpoch } as unknown as FollowerLink;
}

describe('FollowerAdmission.open()', () => {
  it('forgets the progress of an earlier stream before it takes the new one', () => {
    const scene = new Scene();
    scene.admission.open(linkOf(4), OWN_EPOCH);
    expect(scene.done).toEqual(['forget 2', 'open 2']);
  });

  it.each([
    { name: 'an earlier registration of this broker', followerEpoch: 4, targetEpoch: 6 },
    { name: 'a later one that is not known here', followerEpoch: 4, targetEpoch: 8 },
    { name: 'an earlier registration of the follower', followerEpoch: 3, targetEpoch: OWN_EPOCH },
    { name: 'a later one of the follower', followerEpoch: 5, targetEpoch: OWN_EPOCH },
  ])('refuses a stream to $name', ({ followerEpoch, targetEpoch }) => {
    const scene = new Scene();
    expect(() => {
      scene.admission.open(linkOf(followerEpoch), targetEpoch);
    }).toThrow(expect.objectContaining({ code: 'STALE_EPOCH' }) as Error);
    expect(scene.done).toEqual([]);
  });
});

describe('FollowerAdmission.position()', () => {
  it('gives it to the replica, and pushes what the follower lacks', () => {
    const scene = new Scene();
    const link = linkOf(4);
    scene.admission.open(link, OWN_EPOCH);
    scene.done.length = 0;
    scene.admission.position(link, TOPIC_ID, 0, POSITION);
    expect(scene.done).toEqual(['position', 'wake 2']);
  });

  it.each([
    { name: 'of a stream that another has replaced', isPresent: false, topicId: TOPIC_ID },
    { name: 'of a partition that is not here', isPresent: true, topicId: 'another' },
  ])('drops one $name', ({ isPresent, topicId }) => {
    const scene = new Scene();
    const link = linkOf(4);
    scene.admission.open(link, OWN_EPOCH);
    if (!isPresent) scene.admission.open(linkOf(4), OWN_EPOCH);
    scene.done.length = 0;
    scene.admission.position(link, topicId, 0, POSITION);
    expect(scene.done).toEqual([]);
  });
});

describe('FollowerAdmission.closed()', () => {
  it.each([
    { name: 'the present stream', isPresent: true, done: ['forget 2'] },
    { name: 'no stream that was replaced', isPresent: false, done: [] },
  ])('takes progress back with $name', ({ isPresent, done }) => {
    const scene = new Scene();
    const link = linkOf(4);
    scene.admission.open(link, OWN_EPOCH);
    if (!isPresent) scene.admission.open(linkOf(4), OWN_EPOCH);
    scene.done.length = 0;
    scene.admission.closed(link);
    expect(scene.done).toEqual(done);
  });
});

describe('FollowerAdmission.inspect()', () => {
  it('waits no longer than its caller for an epoch that nobody knows, and leaves nothing', async () => {
    const scene = new Scene();
    let watching = 0;
    const add = scene.watchers.add.bind(scene.watchers);
    scene.watchers.add = (callback) => {
      watching += 1;
      const cancel = add(callback);
      return () => {
        watching -= 1;
        cancel();
      };
    };
    const asked = scene.admission.inspect({ ...QUESTION, leaderEpoch: 2 ** 52 }, 1_000);
    const refused = expect(asked).rejects.toMatchObject({ code: 'BROKER_NOT_READY' });
    expect(watching).toBe(1);
    scene.clock.advance(1_000);
    await refused;
    expect(watching).toBe(0);
  });

  const QUESTION = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 3, brokerEpoch: OWN_EPOCH };

  it('tells the end of the log', async () => {
    expect(await new Scene().admission.inspect(QUESTION, 1_000)).toMatchObject({ endOffset: 10 });
  });

  it('waits until the epoch is known here', async () => {
    const scene = new Scene();
    let answer: unknown = 'none';
    void scene.admission.inspect({ ...QUESTION, leaderEpoch: 4 }, 1_000).then((log) => {
      answer = log;
    });
    await setImmediate();
    const before = answer;
    scene.leaderEpoch = 4;
    scene.watchers.notify();
    scene.clock.settle();
    await setImmediate();
    expect({ before, answer }).toMatchObject({ before: 'none', answer: { lastEpoch: 4 } });
  });

  it.each([
    { name: 'to another registration', question: { brokerEpoch: OWN_EPOCH - 1 } },
    {
      name: 'about a partition that is not here',
      question: { topicId: 'another', leaderEpoch: 0 },
    },
  ])('has nothing to say $name', async ({ question }) => {
    expect(await new Scene().admission.inspect({ ...QUESTION, ...question }, 1_000)).toBe(null);
  });

  it('judges the registration by the time at which the epoch is known', async () => {
    const scene = new Scene();
    const answer = scene.admission.inspect({ ...QUESTION, leaderEpoch: 4 }, 1_000);
    scene.brokerEpoch = OWN_EPOCH + 1;
    scene.leaderEpoch = 4;
    scene.watchers.notify();
    scene.clock.settle();
    expect(await answer).toBe(null);
  });
});
