import { describe, expect, it } from 'vitest';
import type {
  AbilityStatement,
  ControllerRequest,
} from '../../../../../../broker/metadata/controller-types.ts';
import { FEATURE_LEVEL_MAX, LEVEL_OF_STARTS } from '../../../../../../broker/metadata/features.ts';
import type { PartitionState, TopicConfig } from '../../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../../fixtures.ts';
import { Bench } from '../bench.ts';

function bench(row: Partial<PartitionState> = {}, config: Partial<TopicConfig> = {}): Bench {
  const state = partitionState(row);
  return new Bench(
    imageOf(
      state.replicas.map((id) => brokerState(id)),
      [topicState([state], config)],
    ),
  );
}

function heartbeat(brokerId: number) {
  return {
    kind: 'heartbeat',
    brokerId,
    brokerEpoch: brokerId + 1,
    wantsUnfence: false,
    wantsStop: false,
    lossy: false,
  } as const;
}

function says(brokerId: number, reason: string): ControllerRequest {
  const abilities: AbilityStatement[] = [{ topicId: 't', partition: 0, reason }];
  return { ...heartbeat(brokerId), abilities };
}

/** The leader has drained for its successor. */
function handsOver(world: Bench, successor: number) {
  return world.alter({ op: 'hand-over', successor });
}

function kill({ step, commit }: Pick<Bench, 'step' | 'commit'>, brokerId: number): void {
  step({ kind: 'disconnected', brokerId });
  step({ kind: 'probed', brokerId, brokerEpoch: brokerId + 1, result: 'refused' });
  commit();
}

describe('A replica that cannot lead', () => {
  it('is replaced as leader at once', () => {
    const world = bench();
    world.ask(says(0, 'stopped'));

    expect(world.row()).toMatchObject({
      leader: 1,
      leaderEpoch: 2,
      cannotLead: [{ brokerId: 0, reason: 'stopped' }],
    });
  });

  it('is skipped by elections, also of the next controller, until it says otherwise', () => {
    const world = bench();
    world.ask(says(1, 'stopped'));
    const next = new Bench(world.image);
    kill({ step: next.step.bind(next), commit: next.commit.bind(next) }, 0);
    expect(next.row()?.leader).toBe(2);

    next.ask(says(1, ''));
    kill({ step: next.step.bind(next), commit: next.commit.bind(next) }, 2);
    expect(next.row()).toMatchObject({ leader: 1, cannotLead: [] });
  });

  it('leaves its partition without a leader where nobody else can, and leads in another epoch when it can again', () => {
    const world = bench({ replicas: [1], syncSet: [1] }, { minInSyncReplicas: 1 });
    world.ask(says(1, 'spent'));
    expect(world.row()).toMatchObject({ leader: -1, leaderEpoch: 2, suspects: [] });

    world.ask(says(1, ''));
    expect(world.row()).toMatchObject({ leader: 1, leaderEpoch: 3, cannotLead: [] });
  });

  it('may lead again once its broker has registered anew', () => {
    const world = bench({ replicas: [1], syncSet: [1] }, { minInSyncReplicas: 1 });
    world.ask(says(1, 'stopped'));
    world.ask({
      kind: 'register',
      clusterId: 'c',
      brokerId: 1,
      directoryId: 'directory-1',
      sessionEpoch: 2,
      restartClass: 'warm',
      host: 'h',
      port: 1,
      rack: 'r',
      featureLevelMax: FEATURE_LEVEL_MAX,
    });

    expect(world.row()).toMatchObject({ leader: -1, cannotLead: [] });
  });

  it('holds up no unclean election once it is given up by name, although its broker is alive', () => {
    const world = bench(
      { replicas: [0, 1], syncSet: [0] },
      { minInSyncReplicas: 1, uncleanElection: true },
    );
    const unclean = (givenUp: number[]): ControllerRequest => ({
      kind: 'elect-leader',
      topic: 't',
      partition: 0,
      target: -1,
      unclean: true,
      givenUp,
    });
    world.ask(says(0, 'stopped'));
    const leaderEpoch = world.row()?.leaderEpoch ?? 0;

    expect(world.ask(unclean([]))).toMatchObject({ code: 'REFUSED' });
    const requestId = world.send(unclean([0]));
    expect(world.last.inspections).toMatchObject([{ brokerId: 1, leaderEpoch }]);
    world.step({
      kind: 'inspected',
      topicId: 't',
      partition: 0,
      leaderEpoch,
      brokerId: 1,
      brokerEpoch: 2,
      log: { lastEpoch: 1, endOffset: 5 },
    });
    world.commit();

    expect(world.replies.get(requestId)).toMatchObject({ kind: 'elect-leader', leader: 1 });
    expect(world.row()).toMatchObject({ leader: 1, syncSet: [1] });
  });

  it('cannot be given up while it can lead', () => {
    const world = bench(
      { replicas: [0, 1], syncSet: [0], leader: -1 },
      { minInSyncReplicas: 1, uncleanElection: true },
    );
    const unclean = { kind: 'elect-leader', topic: 't', partition: 0, target: -1 } as const;

    expect(world.ask({ ...unclean, unclean: true, givenUp: [0] })).toMatchObject({
      code: 'REFUSED',
    });
  });

  it('does not count toward minInSyncReplicas, and is named no successor', () => {
    const world = bench({}, { minInSyncReplicas: 3 });
    world.ask(says(2, 'disk-full'));

    expect(
      world.ask({
        kind: 'elect-leader',
        topic: 't',
        partition: 0,
        target: 2,
        unclean: false,
        givenUp: [],
      }),
    ).toMatchObject({ code: 'REFUSED' });
    expect(world.row()?.leader).toBe(0);
  });

  it('is not written where the feature level does not allow it, nor of a partition that the broker does not hold', () => {
    const old = bench();
    const below = new Bench({ ...old.image, featureLevel: LEVEL_OF_STARTS - 1 });
    below.ask(says(0, 'stopped'));
    expect(below.row()).toMatchObject({ leader: 0, cannotLead: [] });

    const world = bench({ replicas: [0, 1, 2], syncSet: [0, 1, 2] });
    const stranger = says(0, 'stopped');
    world.ask({
      ...stranger,
      abilities: [{ topicId: 'u', partition: 4, reason: 'stopped' }],
    } as ControllerRequest);
    expect(world.row()).toMatchObject({ leader: 0, partitionEpoch: 1 });
  });
});

describe('A replica whose volume is short of space', () => {
  const SHORT = 'disk-short';

  it('hands over while it can, and is passed over from then on', () => {
    const world = bench();
    world.ask(says(0, SHORT));
    expect(world.row()).toMatchObject({ leader: 0, successor: 1, cannotLead: [] });

    handsOver(world, 1);
    world.ask(says(0, SHORT));
    expect(world.row()).toMatchObject({
      leader: 1,
      cannotLead: [{ brokerId: 0, reason: SHORT }],
    });

    kill({ step: world.step.bind(world), commit: world.commit.bind(world) }, 1);
    expect(world.row()?.leader).toBe(2);
  });

  it('leads on where all others are short, too: somebody must serve the reads', () => {
    const world = bench();
    for (const brokerId of [1, 2, 0, 0]) world.ask(says(brokerId, SHORT));

    expect(world.row()).toMatchObject({
      leader: 0,
      successor: -1,
      cannotLead: [1, 2].map((brokerId) => ({ brokerId, reason: SHORT })),
    });
  });

  it('says so in the log once, not as often as it is said', () => {
    const world = bench();
    const facts = [0, 0].map((brokerId) => {
      world.send(says(brokerId, SHORT));
      const { length } = world.last.facts;
      world.commit();
      return length;
    });

    expect(facts).toEqual([1, 0]);
  });
});
