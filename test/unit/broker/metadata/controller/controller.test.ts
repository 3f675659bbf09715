import { describe, expect, test } from 'vitest';
import { apply } from '../../../../../broker/metadata/apply.ts';
import { BrokerError } from '../../../../../base/errors.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../../broker/metadata/config.ts';
import { FEATURE_LEVEL_MAX } from '../../../../../broker/metadata/features.ts';
import { Controller } from '../../../../../broker/metadata/controller/controller.ts';
import type {
  ControllerInput,
  ControllerOutput,
  ControllerReply,
  ControllerRequest,
} from '../../../../../broker/metadata/controller-types.ts';
import type {
  MetadataImage,
  PartitionState,
  TopicConfig,
} from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';

/** A controller whose proposals are committed only when a test says so. */
class Bench {
  image: MetadataImage;
  readonly controller: Controller;
  readonly replies = new Map<number, ControllerReply | BrokerError>();
  last: ControllerOutput = { proposals: [], replies: [], probes: [], inspections: [], facts: [] };
  #proposals: ControllerOutput['proposals'][number][] = [];
  #requestId = 0;

  constructor(image: MetadataImage, requestsPendingMax = 100) {
    this.image = image;
    this.controller = new Controller({
      seed: 1,
      self: 0,
      sessionTimeoutMs: 1000,
      probeIntervalMs: 100,
      defaults: TOPIC_CONFIG_DEFAULTS,
      requestsPendingMax,
      partitionsMax: 10,
      image,
      nowMs: 0,
    });
  }

  step(input: ControllerInput): ControllerOutput {
    this.last = this.controller.step(input);
    this.#proposals.push(...this.last.proposals);
    for (const { requestId, reply } of this.last.replies) this.replies.set(requestId, reply);
    return this.last;
  }

  tick(nowMs: number): void {
    this.step({ kind: 'tick', nowMs, wallMs: nowMs });
  }

  send(request: ControllerRequest): number {
    this.#requestId += 1;
    this.step({ kind: 'request', requestId: this.#requestId, request });
    return this.#requestId;
  }

  commit(): void {
    for (let next = this.#proposals.shift(); next !== undefined; next = this.#proposals.shift()) {
      this.image = apply(this.image, next.records, { index: this.image.index + 1, term: 1 });
      this.step({ kind: 'committed', proposalId: next.proposalId, index: this.image.index });
    }
  }

  /** Sends, commits and returns the answer. */
  ask(request: ControllerRequest): ControllerReply | BrokerError | undefined {
    const requestId = this.send(request);
    this.commit();
    return this.replies.get(requestId);
  }

  row(): PartitionState | undefined {
    return this.image.topics.get('t')?.partitions[0];
  }
}

function bench(row: Partial<PartitionState> = {}, config: Partial<TopicConfig> = {}): Bench {
  return new Bench(
    imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [topicState([partitionState(row)], config)],
    ),
  );
}

function register(
  brokerId: number,
  patch: Partial<Extract<ControllerRequest, { kind: 'register' }>> = {},
): ControllerRequest {
  return {
    kind: 'register',
    clusterId: 'c',
    brokerId,
    directoryId: `directory-${String(brokerId)}`,
    sessionEpoch: brokerId + 1,
    restartClass: 'warm',
    host: 'h',
    port: 1,
    rack: 'r',
    featureLevelMax: FEATURE_LEVEL_MAX,
    ...patch,
  };
}

function heartbeat(
  brokerId: number,
  patch: Partial<Extract<ControllerRequest, { kind: 'heartbeat' }>> = {},
): ControllerRequest {
  return {
    kind: 'heartbeat',
    brokerId,
    brokerEpoch: brokerId + 1,
    wantsUnfence: false,
    wantsStop: false,
    lossy: false,
    ...patch,
  };
}

function alter(
  change: Extract<ControllerRequest, { kind: 'alter-sync-set' }>['change'],
  patch: object = {},
): ControllerRequest {
  return {
    kind: 'alter-sync-set',
    brokerId: 0,
    brokerEpoch: 1,
    topicId: 't',
    partition: 0,
    leaderEpoch: 1,
    partitionEpoch: 1,
    change,
    ...patch,
  };
}

function codeOf(reply: ControllerReply | BrokerError | undefined): string {
  return reply instanceof BrokerError ? reply.code : 'ok';
}

describe('Controller: registration', () => {
  test('answers only when the registration is committed', () => {
    const world = bench();
    const requestId = world.send(register(1));
    expect(world.replies.get(requestId)).toBeUndefined();
    world.commit();
    expect(world.replies.get(requestId)).toEqual({
      kind: 'register',
      brokerEpoch: 4,
      restartClass: 'warm',
    });
  });

  test('keeps a warm member in S and moves its leadership with a new epoch', () => {
    const world = bench();
    world.ask(register(0));
    expect(world.row()).toMatchObject({
      syncSet: [0, 1, 2],
      suspects: [],
      leader: 1,
      leaderEpoch: 2,
      partitionEpoch: 2,
    });
  });

  test.each([
    {
      title: 'a session file older than the last incarnation unfenced',
      patch: { sessionEpoch: 1 },
    },
    { title: 'a session file of an epoch that was never given', patch: { sessionEpoch: 9 } },
    { title: 'no session file', patch: { sessionEpoch: 0 } },
  ])('does not believe a warm claim with $title', ({ patch }) => {
    const world = bench();
    expect(world.ask(register(1, patch))).toMatchObject({ restartClass: 'lossy' });
    expect(world.row()).toMatchObject({ syncSet: [0, 2], quorum: 2, leader: 0 });
  });

  test('suspects a lossy member where min forbids its removal, and commits that before the registration', () => {
    const world = bench({}, { minInSyncReplicas: 3 });
    world.send(register(0, { restartClass: 'lossy' }));
    expect(
      world.last.proposals.flatMap(({ records }) => records.map((record) => record.kind)),
    ).toEqual(['partition-changed', 'broker-registered']);
    world.commit();
    expect(world.row()).toMatchObject({
      syncSet: [0, 1, 2],
      suspects: [0],
      leader: 1,
      leaderEpoch: 2,
    });
  });

  test('refuses another directory while the present incarnation lives, and probes that one', () => {
    const world = bench();
    expect(
      codeOf(
        world.ask(register(1, { directoryId: 'other', restartClass: 'new', sessionEpoch: 0 })),
      ),
    ).toBe('REFUSED');
    world.tick(101);
    world.step({ kind: 'probed', brokerId: 1, brokerEpoch: 2, result: 'refused' });
    world.commit();
    expect(
      world.ask(register(1, { directoryId: 'other', restartClass: 'new', sessionEpoch: 0 })),
    ).toMatchObject({ restartClass: 'new' });
  });

  test('names both cluster ids', () => {
    const reply = bench().ask(register(1, { clusterId: 'x' }));
    expect(reply).toMatchObject({
      code: 'WRONG_CLUSTER',
      message: `Cannot register broker 1: its cluster id is "x", this cluster's is "c"`,
    });
  });
});

describe('Controller: sessions', () => {
  test('fences a broker that is silent for a session, and takes it out of S', () => {
    const world = bench();
    world.tick(400);
    for (const id of [0, 1]) world.ask(heartbeat(id));
    world.tick(800);
    world.tick(1000);
    world.commit();
    expect(world.image.brokers.get(2)?.fenced).toBe(true);
    expect(world.row()).toMatchObject({ syncSet: [0, 1], quorum: 2 });
  });

  test('does not count its own pause as silence of the brokers', () => {
    const world = bench();
    world.tick(5000);
    expect(world.last.proposals).toEqual([]);
  });

  test('probes everybody but itself at its start, and fences at once whom nothing answers for', () => {
    const world = bench({ leader: 1 });
    world.tick(1);
    expect(world.last.probes.map(({ brokerId }) => brokerId)).toEqual([1, 2]);
    world.step({ kind: 'probed', brokerId: 1, brokerEpoch: 2, result: 'refused' });
    world.commit();
    expect(world.row()).toMatchObject({ leader: 0, leaderEpoch: 2, syncSet: [0, 2] });
  });

  test('does not fence a newer incarnation for the death of an older one', () => {
    const world = bench();
    world.step({ kind: 'probed', brokerId: 1, brokerEpoch: 1, result: 'refused' });
    expect(world.last.proposals).toEqual([]);
  });

  test('tells an old incarnation that it is fenced', () => {
    expect(codeOf(bench().ask(heartbeat(1, { brokerEpoch: 1 })))).toBe('FENCED');
    expect(codeOf(bench().ask(heartbeat(1, { brokerEpoch: 9 })))).toBe('NOT_CONTROLLER');
  });

  test('distrusts a broker that says its disk failed, and does not unfence it again', () => {
    const world = bench();
    world.ask(heartbeat(0, { lossy: true }));
    expect(world.row()).toMatchObject({ syncSet: [1, 2], leader: 1 });
    expect(world.ask(heartbeat(0, { wantsUnfence: true }))).toMatchObject({ fenced: true });
  });

  test('moves leaderships away before it lets a broker stop', () => {
    const world = bench();
    expect(world.ask(heartbeat(0, { wantsStop: true }))).toEqual({
      kind: 'heartbeat',
      fenced: false,
      mayStop: true,
      leadersLeft: 0,
    });
    expect(world.row()).toMatchObject({ leader: 1, syncSet: [0, 1, 2] });
  });

  test('takes a stop back, so that the broker may lead again', () => {
    const world = bench();
    world.ask(heartbeat(0, { wantsStop: true }));
    expect(world.image.brokers.get(0)?.stopping).toBe(true);
    expect(world.ask(heartbeat(0))).toMatchObject({ kind: 'heartbeat' });
    expect(world.image.brokers.get(0)?.stopping).toBe(true);
    world.ask(heartbeat(0, { stays: true }));
    expect(world.image.brokers.get(0)?.stopping).toBe(false);
    const { index } = world.image;
    world.ask(heartbeat(0, { stays: true }));
    expect(world.image.index).toBe(index);
  });

  test('lets the last candidate stop although it leads', () => {
    const world = bench({ syncSet: [0], quorum: 1 }, { minInSyncReplicas: 1 });
    expect(world.ask(heartbeat(0, { wantsStop: true }))).toMatchObject({
      mayStop: true,
      leadersLeft: 1,
    });
    expect(world.row()).toMatchObject({ leader: 0 });
  });

  test('refuses what would wait beyond the bound', () => {
    const world = new Bench(imageOf([brokerState(0)]), 1);
    world.send(register(1));
    const requestId = world.send(register(2));
    world.commit();
    expect(codeOf(world.replies.get(requestId))).toBe('OVERLOADED');
  });
});

describe('Controller: sync sets', () => {
  const without2: Partial<PartitionState> = { syncSet: [0, 1] };

  test.each([
    { op: 'add', row: { ...without2, quorum: 2 } },
    { op: 'trust', row: { suspects: [2] } },
  ] as const)('refuses to $op who is fenced (rule 13)', ({ op, row }) => {
    const brokers = [brokerState(0), brokerState(1), brokerState(2, { fenced: true })];
    // Nobody can be spared, so nothing takes the member out again.
    const topic = topicState([partitionState(row)], { minInSyncReplicas: 3 });
    const reply = new Bench(imageOf(brokers, [topic])).ask(
      alter({ op, member: 2, memberEpoch: 3 }),
    );
    expect(reply).toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('broker 2 is fenced') as string,
    });
  });

  test.each<{
    title: string;
    row?: Partial<PartitionState>;
    config?: Partial<TopicConfig>;
    request: ControllerRequest;
    code: string;
    after: object;
  }>([
    {
      title: 'adds with q + 1 in in-sync mode',
      row: without2,
      request: alter({ op: 'add', member: 2, memberEpoch: 3 }),
      code: 'ok',
      after: { syncSet: [0, 1, 2], quorum: 3, partitionEpoch: 2, leaderEpoch: 1 },
    },
    {
      title: 'adds with the same q in quorum mode',
      row: { ...without2, quorum: 2 },
      config: { commitMode: 'quorum' },
      request: alter({ op: 'add', member: 2, memberEpoch: 3 }),
      code: 'ok',
      after: { syncSet: [0, 1, 2], quorum: 2 },
    },
    {
      title: 'refuses a certificate of another incarnation (rule 13)',
      row: without2,
      request: alter({ op: 'add', member: 2, memberEpoch: 2 }),
      code: 'REFUSED',
      after: { syncSet: [0, 1] },
    },
    {
      title: 'refuses a stranger',
      row: without2,
      request: alter({ op: 'add', member: 7, memberEpoch: 3 }),
      code: 'REFUSED',
      after: { syncSet: [0, 1] },
    },
    {
      title: 'refuses an old partition epoch (rule 11)',
      row: { ...without2, partitionEpoch: 2 },
      request: alter({ op: 'add', member: 2, memberEpoch: 3 }),
      code: 'STALE_EPOCH',
      after: { syncSet: [0, 1] },
    },
    {
      title: 'knows that it is behind when asked with a later epoch',
      row: without2,
      request: alter({ op: 'add', member: 2, memberEpoch: 3 }, { leaderEpoch: 2 }),
      code: 'NOT_CONTROLLER',
      after: { syncSet: [0, 1] },
    },
    {
      title: 'refuses who does not lead',
      row: without2,
      request: alter({ op: 'remove', member: 0 }, { brokerId: 1, brokerEpoch: 2 }),
      code: 'NOT_LEADER',
      after: { syncSet: [0, 1] },
    },
    {
      title: 'removes with q - 1',
      request: alter({ op: 'remove', member: 2 }),
      code: 'ok',
      after: { syncSet: [0, 1], quorum: 2 },
    },
    {
      title: 'refuses to remove below min (rule 16)',
      row: without2,
      request: alter({ op: 'remove', member: 1 }),
      code: 'REFUSED',
      after: { syncSet: [0, 1], quorum: 2 },
    },
    {
      title: 'trusts a certified suspect',
      row: { suspects: [2] },
      request: alter({ op: 'trust', member: 2, memberEpoch: 3 }),
      code: 'ok',
      after: { suspects: [] },
    },
    {
      title: 'does not trust another incarnation',
      row: { suspects: [2] },
      request: alter({ op: 'trust', member: 2, memberEpoch: 2 }),
      code: 'REFUSED',
      after: { suspects: [2] },
    },
    {
      title: 'judges no certificate of an incarnation that it does not know yet (rule 11)',
      row: { suspects: [2] },
      request: alter({ op: 'trust', member: 2, memberEpoch: 4 }),
      code: 'NOT_CONTROLLER',
      after: { suspects: [2] },
    },
    {
      title: 'moves the partition epoch for a raise that is called off (rule 12)',
      row: { quorum: 2 },
      request: alter({ op: 'raise', quorum: 2 }),
      code: 'ok',
      after: { quorum: 2, partitionEpoch: 2 },
    },
    {
      title: 'distrusts a member that cannot be spared (P7)',
      row: without2,
      request: alter({ op: 'distrust', member: 1 }),
      code: 'ok',
      after: { syncSet: [0, 1], quorum: 2, suspects: [1], partitionEpoch: 2 },
    },
    {
      title: 'removes a distrusted member that can be spared',
      request: alter({ op: 'distrust', member: 2 }),
      code: 'ok',
      after: { syncSet: [0, 1], quorum: 2, suspects: [] },
    },
    {
      title: 'gives a partition to another when its leader says that its log must not lead',
      row: without2,
      request: alter({ op: 'distrust', member: 0 }),
      code: 'ok',
      after: { suspects: [0], leader: 1, leaderEpoch: 2 },
    },
    {
      title: 'does not distrust a suspect again',
      row: { ...without2, suspects: [1] },
      request: alter({ op: 'distrust', member: 1 }),
      code: 'REFUSED',
      after: { partitionEpoch: 1 },
    },
    {
      title: 'raises q by one',
      row: { quorum: 2 },
      request: alter({ op: 'raise', quorum: 3 }),
      code: 'ok',
      after: { quorum: 3 },
    },
    {
      title: 'does not count suspects for a raise',
      row: { quorum: 2, suspects: [2] },
      request: alter({ op: 'raise', quorum: 3 }),
      code: 'REFUSED',
      after: { quorum: 2 },
    },
  ])('$title', ({ row = {}, config = {}, request, code, after }) => {
    const world = bench(row, config);
    expect(codeOf(world.ask(request))).toBe(code);
    expect(world.row()).toMatchObject(after);
  });

  test('lets go of a frozen member when another one joins (rule 16)', () => {
    const image = imageOf(
      [brokerState(0), brokerState(1, { fenced: true }), brokerState(2)],
      [topicState([partitionState({ syncSet: [0, 1] })])],
    );
    const world = new Bench(image);
    world.tick(400);
    for (const id of [0, 2]) world.ask(heartbeat(id));
    world.tick(800);
    world.tick(1000);
    expect(world.row()).toMatchObject({ syncSet: [0, 1], quorum: 2 });
    world.ask(alter({ op: 'add', member: 2, memberEpoch: 3 }));
    expect(world.row()).toMatchObject({ syncSet: [0, 2], quorum: 2 });
  });
});

describe('Controller: elections that read logs', () => {
  const inspected = (brokerId: number, patch: object = {}): ControllerInput => ({
    kind: 'inspected',
    topicId: 't',
    partition: 0,
    leaderEpoch: 2,
    brokerId,
    brokerEpoch: brokerId + 1,
    log: { lastEpoch: 1, endOffset: 10 + brokerId },
    ...patch,
  });

  test('seals at a committed leaderless epoch, then takes the best of |S| - q + 1 logs', () => {
    const world = bench({ quorum: 2 }, { commitMode: 'quorum' });
    world.step({ kind: 'probed', brokerId: 0, brokerEpoch: 1, result: 'refused' });
    expect(world.last.inspections).toEqual([]);
    world.commit();
    expect(world.row()).toMatchObject({ leader: -1, leaderEpoch: 2 });
    expect(
      world.last.inspections.map(({ brokerId, leaderEpoch }) => [brokerId, leaderEpoch]),
    ).toEqual([
      [1, 2],
      [2, 2],
    ]);
    world.step(inspected(1));
    expect(world.last.proposals).toEqual([]);
    world.step(inspected(2));
    world.commit();
    expect(world.row()).toMatchObject({ leader: 2, leaderEpoch: 3, syncSet: [0, 1, 2], quorum: 2 });
  });

  test('an unclean election waits for every replica, takes the best log and reports the loss with it', () => {
    const world = bench(
      { suspects: [0, 1, 2], leader: -1, leaderEpoch: 2 },
      { minInSyncReplicas: 3, uncleanElection: true },
    );
    world.tick(1);
    world.step(inspected(0));
    world.step(inspected(1));
    expect(world.last.proposals).toEqual([]);
    world.step(inspected(2, { brokerEpoch: 2 }));
    expect(world.last.proposals).toEqual([]);
    world.step(inspected(2));
    expect(world.last.proposals.map(({ records }) => records.map(({ kind }) => kind))).toEqual([
      ['loss-reported', 'partition-changed'],
    ]);
    world.commit();
    expect(world.row()).toMatchObject({
      leader: 2,
      leaderEpoch: 3,
      uncleanEpoch: 3,
      syncSet: [2],
      quorum: 1,
      suspects: [],
    });
    expect(world.image.losses).toMatchObject([{ leader: 2, leaderEpoch: 3, fromOffset: 12 }]);
  });

  test('stays offline without the consent of the topic', () => {
    const world = bench({ suspects: [0, 1, 2], leader: -1 }, { minInSyncReplicas: 3 });
    world.tick(1);
    expect(world.last.inspections).toEqual([]);
  });

  test.each([
    {
      title: 'while a trusted member may return',
      givenUp: [] as number[],
      message:
        'Cannot elect a leader of t/0: brokers 2 are trusted and may return, must be given up by name',
    },
    {
      title: 'past somebody who is alive',
      givenUp: [1, 2],
      message:
        'Cannot elect a leader of t/0: brokers 1 are alive, only the dead, and replicas that cannot lead, can be given up',
    },
  ])('refuses an unclean wish $title', ({ givenUp, message }) => {
    const row = partitionState({ syncSet: [2], quorum: 1, leader: -1 });
    const image = imageOf(
      [brokerState(0), brokerState(1), brokerState(2, { fenced: true })],
      [topicState([row], { minInSyncReplicas: 1, uncleanElection: true })],
    );
    const reply = new Bench(image).ask({
      kind: 'elect-leader',
      topic: 't',
      partition: 0,
      target: -1,
      unclean: true,
      givenUp,
    });
    expect(reply).toMatchObject({ code: 'REFUSED', message });
  });

  test('gives leadership back to the preferred replica once it was fit for five seconds', () => {
    const world = bench({ leader: 1 });
    for (let nowMs = 0; nowMs <= 4800; nowMs += 400) {
      world.tick(nowMs);
      for (const id of [0, 1, 2]) world.ask(heartbeat(id));
    }
    expect(world.row()?.leader).toBe(1);
    for (let nowMs = 5200; nowMs <= 6800; nowMs += 400) {
      world.tick(nowMs);
      for (const id of [0, 1, 2]) world.ask(heartbeat(id));
    }
    expect(world.row()).toMatchObject({ leader: 1, successor: 0 });
    world.ask(
      alter({ op: 'hand-over', successor: 0 }, { brokerId: 1, brokerEpoch: 2, partitionEpoch: 2 }),
    );
    expect(world.row()).toMatchObject({ leader: 0, leaderEpoch: 2, successor: -1 });
  });
});

describe('Controller: topics and producers', () => {
  const create = (patch: object = {}): ControllerRequest => ({
    kind: 'create-topic',
    topicId: 'u',
    name: 'u',
    partitions: 2,
    replicationFactor: 3,
    config: {},
    assignments: [],
    validateOnly: false,
    ...patch,
  });

  test('creates a topic with everybody in S, and again under the same id', () => {
    const world = bench();
    expect(world.ask(create())).toEqual({ kind: 'create-topic', topicId: 'u' });
    expect(
      world.image.topics
        .get('u')
        ?.partitions.map(({ syncSet, quorum }) => [syncSet.length, quorum]),
    ).toEqual([
      [3, 3],
      [3, 3],
    ]);
    expect(codeOf(world.ask(create()))).toBe('ok');
    expect(codeOf(world.ask(create({ topicId: 'v' })))).toBe('TOPIC_EXISTS');
  });

  test.each([
    { title: 'too many replicas', patch: { replicationFactor: 4 }, code: 'REFUSED' },
    {
      title: 'min above the replication factor',
      patch: { replicationFactor: 1 },
      code: 'INVALID_ARGUMENT',
    },
    {
      title: 'more partitions than the cluster may have',
      patch: { partitions: 10 },
      code: 'REFUSED',
    },
    {
      title: 'an assignment to strangers',
      patch: { partitions: 1, assignments: [[0, 1, 9]] },
      code: 'INVALID_ARGUMENT',
    },
  ])('refuses $title', ({ patch, code }) => {
    expect(codeOf(bench().ask(create(patch)))).toBe(code);
  });

  test('only checks when asked to', () => {
    const world = bench();
    expect(codeOf(world.ask(create({ validateOnly: true })))).toBe('ok');
    expect(world.image.topics.has('u')).toBe(false);
  });

  test('raises min only where it holds, and names where it does not', () => {
    const alterMin = (min: number): ControllerRequest => ({
      kind: 'alter-topic',
      name: 't',
      config: { minInSyncReplicas: min },
      partitions: 0,
      replicationFactor: 0,
      waitMs: 0,
    });
    expect(codeOf(bench().ask(alterMin(3)))).toBe('ok');
    const reply = bench({ suspects: [2] }).ask(alterMin(3));
    expect(reply).toMatchObject({
      code: 'REFUSED',
      message:
        'Cannot raise minInSyncReplicas of topic "t" from 2 to 3: partition 0 has 2 trusted unfenced members in S that stay, must have 3',
    });
  });

  test('a change of mode moves the partition epoch, so that additions of the old mode are stale', () => {
    const world = bench({ syncSet: [0, 1] }, { commitMode: 'quorum' });
    world.ask({
      kind: 'alter-topic',
      name: 't',
      config: { commitMode: 'in-sync' },
      partitions: 0,
      replicationFactor: 0,
      waitMs: 0,
    });
    expect(world.row()).toMatchObject({ quorum: 2, partitionEpoch: 2 });
    expect(codeOf(world.ask(alter({ op: 'add', member: 2, memberEpoch: 3 })))).toBe('STALE_EPOCH');
  });

  test('gives an id once, over controllers, and a new epoch for a name', () => {
    const world = bench();
    const init = (name: string): ControllerRequest => ({ kind: 'init-producer', name });
    // Nobody says what it has applied, so no answer waits for that.
    for (const id of [0, 1, 2]) world.ask(heartbeat(id));
    expect([world.ask(init('')), world.ask(init(''))]).toMatchObject([
      { producerId: 1 },
      { producerId: 2 },
    ]);
    expect([world.ask(init('p')), world.ask(init('p'))]).toMatchObject([
      { producerId: 3, producerEpoch: 1 },
      { producerId: 3, producerEpoch: 2 },
    ]);
    expect(new Bench(world.image).ask(init(''))).toMatchObject({ producerId: 1001 });
  });
});
