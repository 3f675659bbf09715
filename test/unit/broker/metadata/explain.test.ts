import { describe, expect, it } from 'vitest';
import { FEATURE_LEVEL_MAX } from '../../../../broker/metadata/features.ts';
import { decisionsOf, presentOf } from '../../../../broker/metadata/explain.ts';
import type { PartitionDecision } from '../../../../broker/metadata/explain.ts';
import type {
  HeartbeatRequest,
  RegisterRequest,
} from '../../../../broker/metadata/controller-types.ts';
import type {
  BrokerState,
  PartitionState,
  RestartClass,
  TopicConfig,
} from '../../../../broker/metadata/types.ts';
import { Bench } from './controller/bench.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

const MIN_2: Partial<TopicConfig> = { minInSyncReplicas: 2 };

function bench(
  row: Partial<PartitionState> = {},
  config = MIN_2,
  brokers: readonly BrokerState[] = [0, 1, 2].map((id) => brokerState(id)),
): Bench {
  return new Bench(imageOf(brokers, [topicState([partitionState(row)], config)]));
}

/** Each decision as `rule: text; ...`. */
function told(world: Bench): string[] {
  return world.entries
    .splice(0)
    .flatMap(({ before, after, records }) => decisionsOf(before, after, records))
    .map(({ reasons }) => reasons.map(({ text, rule }) => `${rule}: ${text}`).join('; '));
}

function decisions(world: Bench): PartitionDecision[] {
  return world.entries
    .splice(0)
    .flatMap(({ before, after, records }) => decisionsOf(before, after, records));
}

function die(world: Bench, ...brokerIds: readonly number[]): void {
  for (const brokerId of brokerIds) {
    const brokerEpoch = world.image.brokers.get(brokerId)?.brokerEpoch ?? 0;
    world.step({ kind: 'probed', brokerId, brokerEpoch, result: 'refused' });
    world.commit();
  }
}

function heartbeat(brokerId: number, patch: Partial<HeartbeatRequest>): HeartbeatRequest {
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

function register(brokerId: number, restartClass: RestartClass): RegisterRequest {
  return {
    kind: 'register',
    clusterId: imageOf([]).clusterId,
    brokerId,
    directoryId: `directory-${brokerId}`,
    host: `host-${brokerId}`,
    port: 9000,
    rack: '',
    restartClass,
    sessionEpoch: brokerId + 1,
    featureLevelMax: FEATURE_LEVEL_MAX,
    start: { id: `start-${brokerId}`, number: 1 },
  };
}

const GONE = (id: number): string =>
  `sync-set-and-q: broker ${id} is fenced: its process is gone, or was silent for a session`;
const SPARED = (id: number): string =>
  `sync-set-and-q: broker ${id} leaves the sync set, which can spare it`;
const LEADS = (id: number): string =>
  `sync-set-and-q: broker ${id} leads: it is in the sync set, trusted and unfenced, so it holds everything committed`;

describe('decisionsOf', () => {
  it('tells the death of a leader, with the rows around it', () => {
    const world = bench();
    die(world, 0);
    expect(decisions(world)).toEqual([
      {
        topicId: 't',
        partition: 0,
        before: expect.objectContaining({
          leader: 0,
          leaderEpoch: 1,
          syncSet: [0, 1, 2],
        }) as object,
        after: expect.objectContaining({ leader: 1, leaderEpoch: 2, syncSet: [1, 2] }) as object,
        reasons: [GONE(0), LEADS(1), SPARED(0)].map((line) => {
          const at = line.indexOf(': ');
          return { rule: line.slice(0, at), text: line.slice(at + 2) };
        }),
      },
    ]);
  });

  it('tells the death of a follower that can be spared, and of one that cannot', () => {
    const world = bench();
    die(world, 2);
    expect(told(world)).toEqual([[GONE(2), SPARED(2)].join('; ')]);
    die(world, 1);
    expect(told(world)).toEqual([
      [
        GONE(1),
        'rule 16: broker 1 stays in the sync set: without it q would fall below minInSyncReplicas',
        'rule 8: appends are refused: 1 trusted, unfenced members are left in the sync set, minInSyncReplicas is 2',
      ].join('; '),
    ]);
    die(world, 0);
    expect(told(world)[0]).toContain(
      'P11: nobody leads: no trusted, unfenced member that can lead is left in the sync set',
    );
  });

  it('tells that appends are taken again when a member is back', () => {
    const world = bench({ syncSet: [0, 1] });
    die(world, 1);
    told(world);
    world.ask(heartbeat(1, { wantsUnfence: true }));
    expect(told(world)).toEqual([
      'rule 8: appends are taken again: 2 trusted, unfenced members are in the sync set, minInSyncReplicas is 2',
    ]);
  });

  it('tells who joins, and who lagged, by the leader', () => {
    const world = bench({ syncSet: [0, 1] });
    world.add(2);
    world.alter({ op: 'remove', member: 1 });
    expect(told(world)).toEqual([
      'rule 13: broker 2 joins the sync set: its leader has seen it pass the high-water mark and the start of this epoch',
      'rule 15: broker 1 leaves the sync set: it was not caught up for the time that its leader allows',
    ]);
  });

  it('tells a lossy start, a disk that failed, and a suspect', () => {
    const lossy = bench();
    lossy.ask(register(1, 'lossy'));
    expect(told(lossy)[0]).toMatch(
      /^P7: the log of broker 1, which started as lossy, is not trusted/,
    );
    const failed = bench();
    failed.ask(heartbeat(1, { lossy: true }));
    expect(told(failed)[0]).toMatch(/^P3: broker 1 says that its disk failed/);
    const suspect = bench({}, { minInSyncReplicas: 3 });
    suspect.ask(register(1, 'lossy'));
    expect(told(suspect)[0]).toContain('P7: broker 1 stays in the sync set as a suspect');
  });

  it('tells an orderly stop by its own rule', () => {
    const world = bench();
    world.ask(heartbeat(0, { wantsStop: true }));
    expect(told(world)[0]).toMatch(/^rule 22: broker 0 stops in order/);
    world.ask(heartbeat(0, { leaves: true }));
    expect(told(world).join()).toContain('rule 22: broker 0 has stopped in order');
  });

  it('tells a move from its beginning to its end', () => {
    const brokers = [0, 1, 2, 3].map((id) => brokerState(id));
    const world = bench({}, MIN_2, brokers);
    world.reassign([0, 1, 3]);
    expect(told(world)[0]).toContain('rule 19: its replicas are to become 0, 1, 3');
    world.add(3);
    expect(told(world).join('; ')).toContain(
      'rule 19: broker 2 leaves: its replica was moved away',
    );
  });

  it('says nothing of a broker that comes and goes beside the partition', () => {
    const brokers = [0, 1, 2, 3].map((id) => brokerState(id));
    const world = bench({}, MIN_2, brokers);
    die(world, 3);
    expect(world.entries).toHaveLength(1);
    expect(told(world)).toEqual([]);
  });
});

describe('presentOf', () => {
  const stand = (world: Bench) => {
    const topic = world.image.topics.get('t');
    const row = world.row();
    if (topic === undefined || row === undefined) throw new Error('there must be a partition');
    return presentOf(world.image, topic, row);
  };

  it('says who leads and why, and why appends are refused', () => {
    const world = bench();
    expect(stand(world)).toEqual({
      summary: 'Broker 0, the preferred leader, leads in leader epoch 1.',
      refusal: '',
    });
    die(world, 0);
    expect(stand(world)).toEqual({
      summary: 'Broker 1 leads in leader epoch 2; broker 0 is preferred: broker 0 is fenced.',
      refusal: '',
    });
    die(world, 2);
    expect(stand(world).refusal).toBe(
      'Appends are refused: 1 of the 2 members that minInSyncReplicas asks for count (rule 8): broker 0 is fenced; broker 2 is fenced.',
    );
    die(world, 1);
    expect(stand(world)).toEqual({
      summary:
        'Nobody leads, in leader epoch 3: broker 0 is fenced; broker 1 is fenced; broker 2 is fenced.',
      refusal: 'Appends are refused: nobody leads.',
    });
  });
});
