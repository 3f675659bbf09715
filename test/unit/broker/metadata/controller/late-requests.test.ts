/** Requests that arrive after what they were judged by has changed. */
import { describe, expect, it } from 'vitest';
import type { AskedRequest, Judged } from '../../../../../broker/metadata/controller-types.ts';
import { FEATURE_LEVEL_MAX } from '../../../../../broker/metadata/features.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { Bench, codeOf } from './bench.ts';

const RF3 = { partitions: 1, replicationFactor: 3, config: {}, assignments: [] };

function bench(syncSet = [0, 1, 2]): Bench {
  return new Bench(
    imageOf(
      [0, 1, 2, 3].map((id) => brokerState(id)),
      [topicState([partitionState({ syncSet })], { uncleanElection: true })],
    ),
  );
}

/** What a broker goes by whose metadata is the newest now. */
function judged({ image }: Bench): Judged {
  const topicId = image.topicIdsByName.get('t') ?? '';
  const leaderEpoch = image.topics.get(topicId)?.partitions[0]?.leaderEpoch ?? 0;
  return { metadataIndex: image.index, topicId, leaderEpoch };
}

/** The topic is deleted and made again under another id. */
function remake(controller: Bench): void {
  controller.ask({ kind: 'delete-topic', name: 't' });
  controller.ask({ kind: 'create-topic', topicId: 'u', name: 't', ...RF3, validateOnly: false });
}

const alter = (retentionMs: number): AskedRequest => ({
  kind: 'alter-topic',
  name: 't',
  config: { retentionMs },
  partitions: 0,
  replicationFactor: 0,
  waitMs: 0,
});
const elect = (target: number): AskedRequest => ({
  kind: 'elect-leader',
  topic: 't',
  partition: 0,
  target,
  unclean: false,
  givenUp: [],
});
const reassign: AskedRequest = { kind: 'reassign', topic: 't', partition: 0, replicas: [0, 1, 3] };
const settings = (moveBytesPerSecond: number): AskedRequest => ({
  kind: 'set-settings',
  settings: { moveBytesPerSecond },
});
const createQueue: AskedRequest = {
  kind: 'create-queue',
  queueId: 'q',
  name: 'jobs',
  topic: 't',
  config: {},
  isFromLatest: false,
};
const lease = (leaseMs: number): AskedRequest => ({
  kind: 'alter-queue',
  name: 'jobs',
  config: { leaseMs },
});
const decommission = (isCancelled: boolean): AskedRequest => ({
  kind: 'decommission',
  brokerId: 3,
  isCancelled,
});

describe('a request that arrives late', () => {
  const onAnother: { name: string; request: AskedRequest }[] = [
    { name: 'a deletion', request: { kind: 'delete-topic', name: 't' } },
    { name: 'a change of configs', request: alter(5_000) },
    { name: 'an election', request: elect(1) },
    { name: 'a move', request: reassign },
    { name: 'a new queue', request: createQueue },
  ];
  it.each(onAnother)('does nothing to another topic of the name: $name', ({ request }) => {
    const controller = bench();
    const late = { ...request, judged: judged(controller) };
    remake(controller);
    const before = controller.image;

    expect(codeOf(controller.ask(late))).toBe('CONFLICT');

    expect(controller.image).toBe(before);
    const again = { ...request, judged: judged(controller) };
    expect(codeOf(controller.ask(again))).toBe('ok');
  });

  const undone: { name: string; request: AskedRequest; undo: AskedRequest }[] = [
    { name: 'configs', request: alter(5_000), undo: alter(7_000) },
    { name: 'a move', request: reassign, undo: { ...reassign, replicas: [] } },
    { name: 'settings', request: settings(1_000_000), undo: settings(-1) },
    { name: 'a decommission', request: decommission(false), undo: decommission(true) },
    {
      name: 'a new topic',
      request: { kind: 'create-topic', topicId: 'v', name: 'v', ...RF3, validateOnly: false },
      undo: { kind: 'delete-topic', name: 'v' },
    },
    { name: 'a new queue', request: createQueue, undo: { kind: 'delete-queue', name: 'jobs' } },
  ];
  it.each(undone)('undoes nothing that was decided since: $name', ({ request, undo }) => {
    const controller = bench();
    const late = { ...request, judged: judged(controller) };
    const answers = [late, undo].map((each) => codeOf(controller.ask(each)));
    const before = controller.image;

    expect([...answers, codeOf(controller.ask(late))]).toEqual(['ok', 'ok', 'CONFLICT']);
    expect(controller.image).toBe(before);
  });

  it('does nothing to another queue of the name', () => {
    const controller = bench();
    controller.ask(createQueue);
    const late = { ...lease(5_000), judged: judged(controller) };
    controller.ask({ kind: 'delete-queue', name: 'jobs' });
    controller.ask({ ...createQueue, queueId: 'another' });
    const before = controller.image;

    expect(codeOf(controller.ask(late))).toBe('CONFLICT');
    expect(controller.image).toBe(before);
    expect(codeOf(controller.ask({ ...lease(5_000), judged: judged(controller) }))).toBe('ok');
  });

  describe('beside a raise that waits for its sync sets', () => {
    const minimum = (minInSyncReplicas: number, waitMs = 0): AskedRequest => ({
      ...(alter(0) as Extract<AskedRequest, { kind: 'alter-topic' }>),
      config: { minInSyncReplicas },
      waitMs,
    });

    it('does not undo it', () => {
      const controller = bench([0, 1]);
      const waiting = controller.send(minimum(3, 60_000));
      controller.commit();
      const late = { ...minimum(2), judged: judged(controller) };
      expect(controller.replies.has(waiting)).toBe(false);
      expect(codeOf(controller.add(2))).toBe('ok');
      expect(codeOf(controller.replies.get(waiting))).toBe('ok');
      const before = controller.image;

      expect(codeOf(controller.ask(late))).toBe('CONFLICT');
      expect(controller.image).toBe(before);
      expect(before.topics.get('t')?.config.minInSyncReplicas).toBe(3);
    });

    it('is not carried out on another topic of the name', () => {
      const controller = bench([0, 1]);
      const waiting = controller.send(minimum(3, 60_000));
      controller.commit();
      remake(controller);

      expect(codeOf(controller.replies.get(waiting))).toBe('UNKNOWN_TOPIC');
      expect(controller.image.topics.get('u')?.config.minInSyncReplicas).toBe(2);
    });
  });

  it('elects nobody once another leads', () => {
    const controller = bench();
    const early = judged(controller);
    controller.ask({
      kind: 'heartbeat',
      brokerId: 0,
      brokerEpoch: 1,
      wantsUnfence: false,
      wantsStop: false,
      lossy: true,
    });
    const leader = controller.row()?.leader;

    expect(leader).not.toBe(0);
    const late = { ...elect(leader === 1 ? 2 : 1), judged: early };
    expect(codeOf(controller.ask(late))).toBe('CONFLICT');
  });

  it('removes no broker that has registered since', () => {
    const controller = bench();
    const late: AskedRequest = { kind: 'remove-broker', brokerId: 3, judged: judged(controller) };
    controller.ask({
      kind: 'register',
      clusterId: 'c',
      brokerId: 3,
      directoryId: 'directory-3',
      sessionEpoch: 4,
      restartClass: 'warm',
      host: 'h',
      port: 1,
      rack: 'r',
      featureLevelMax: FEATURE_LEVEL_MAX,
    });

    expect(codeOf(controller.ask(late))).toBe('CONFLICT');
    expect(controller.image.brokers.has(3)).toBe(true);
  });

  it('is late, too, while the change is on its way', () => {
    const controller = bench();
    const early = judged(controller);
    controller.send({ ...settings(1_000_000), judged: early });

    expect(codeOf(controller.ask({ ...settings(2_000_000), judged: early }))).toBe('CONFLICT');
  });

  it('is late where the controller cannot know what came before it', () => {
    const old = bench();
    const early = judged(old);
    old.ask(settings(1_000_000));
    const controller = new Bench(old.image);

    expect(codeOf(controller.ask({ ...settings(-1), judged: early }))).toBe('CONFLICT');
    expect(codeOf(controller.ask({ ...settings(-1), judged: judged(old) }))).toBe('ok');
  });
});

describe('a request that is not late', () => {
  it('is carried out whatever else has changed', () => {
    const controller = bench();
    const early = judged(controller);
    controller.ask(decommission(false));
    controller.ask(alter(5_000));

    expect(codeOf(controller.ask({ ...settings(1_000_000), judged: early }))).toBe('ok');
  });

  it('makes a topic that is there already under its id', () => {
    const controller = bench();
    const create: AskedRequest = {
      kind: 'create-topic',
      topicId: 'v',
      name: 'v',
      ...RF3,
      validateOnly: false,
      judged: judged(controller),
    };

    expect([create, create].map((each) => codeOf(controller.ask(each)))).toEqual(['ok', 'ok']);
  });

  it('makes a queue that is there already under its id', () => {
    const controller = bench();
    const create = { ...createQueue, judged: judged(controller) };

    expect([create, create].map((each) => codeOf(controller.ask(each)))).toEqual(['ok', 'ok']);
  });

  it('is taken from a build that does not say what it went by', () => {
    const controller = bench();
    controller.ask(alter(5_000));

    expect(codeOf(controller.ask(alter(6_000)))).toBe('ok');
  });
});
