import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { SYNC_SET_CHANGES_MAX } from '../../../../../base/limits.ts';
import { emptyImage } from '../../../../../broker/metadata/apply.ts';
import type {
  ControllerRequest,
  Decision,
  SyncSetChange,
} from '../../../../../broker/metadata/controller-types.ts';
import { LEVEL_OF_CHANGES } from '../../../../../broker/metadata/features.ts';
import { ChangeRequests } from '../../../../../broker/runtime/partitions/change-requests.ts';
import { FakeClock } from '../fake-clock.ts';

interface Asked {
  readonly request: ControllerRequest;
  readonly answer: (decision: Decision) => void;
  readonly fail: (error: unknown) => void;
}

function bench(featureLevel = LEVEL_OF_CHANGES) {
  const clock = new FakeClock();
  const asked: Asked[] = [];
  const settled: [number, string][] = [];
  const changes = new ChangeRequests({
    clock,
    image: () => ({ ...emptyImage(), featureLevel }),
    sender: () => ({ brokerId: 1, brokerEpoch: 7 }),
    decide: (request) =>
      new Promise((answer, fail) => {
        asked.push({ request, answer, fail });
      }),
  });
  const propose = (partition: number): void => {
    changes.propose(changeOf(partition)).then(
      () => settled.push([partition, 'done']),
      (error: unknown) =>
        settled.push([partition, error instanceof BrokerError ? error.code : String(error)]),
    );
  };
  /** Lets promises and what was put off go on. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) {
      clock.settle();
      await Promise.resolve();
    }
  };
  return { asked, settled, propose, settle };
}

function changeOf(partition: number): SyncSetChange {
  const change = { op: 'remove', member: 2 } as const;
  return { topicId: 't', partition, leaderEpoch: 1, partitionEpoch: 1, change };
}

function partitionsOf({ request }: Asked): readonly number[] {
  if (request.kind === 'alter-sync-set') return [request.partition];
  return request.kind === 'alter-sync-sets'
    ? request.changes.map(({ partition }) => partition)
    : [];
}

const outcomes = (...list: (number | BrokerError)[]): Decision => ({
  kind: 'alter-sync-sets',
  outcomes: list,
});

describe('ChangeRequests', () => {
  it('asks once for what comes in one turn, and then for what waited meanwhile', async () => {
    const { asked, settled, propose, settle } = bench();
    for (const partition of [0, 1, 2]) propose(partition);
    await settle();
    for (const partition of [3, 4]) propose(partition);
    await settle();
    expect(asked.map(partitionsOf)).toEqual([[0, 1, 2]]);
    asked[0]?.answer(outcomes(2, new BrokerError('STALE_EPOCH', 'late'), 2));
    await settle();
    expect(settled).toEqual([
      [0, 'done'],
      [1, 'STALE_EPOCH'],
      [2, 'done'],
    ]);
    expect(asked.map(partitionsOf)).toEqual([
      [0, 1, 2],
      [3, 4],
    ]);
  });

  it('asks for so many at a time', async () => {
    const { asked, propose, settle } = bench();
    for (let partition = 0; partition <= SYNC_SET_CHANGES_MAX; partition += 1) propose(partition);
    await settle();
    expect(asked.map((one) => partitionsOf(one).length)).toEqual([SYNC_SET_CHANGES_MAX]);
    asked[0]?.answer(outcomes(...Array.from({ length: SYNC_SET_CHANGES_MAX }, () => 2)));
    await settle();
    expect(asked.map((one) => partitionsOf(one).length)).toEqual([SYNC_SET_CHANGES_MAX, 1]);
  });

  it('tells all of a request that failed, and goes on', async () => {
    const { asked, settled, propose, settle } = bench();
    propose(0);
    propose(1);
    await settle();
    asked[0]?.fail(new BrokerError('OUTCOME_UNKNOWN', 'no answer'));
    await settle();
    propose(2);
    await settle();
    asked[1]?.answer(outcomes(2));
    await settle();
    expect(settled).toEqual([
      [0, 'OUTCOME_UNKNOWN'],
      [1, 'OUTCOME_UNKNOWN'],
      [2, 'done'],
    ]);
  });

  it.each([
    ['fewer', outcomes(2)],
    ['more', outcomes(2, 2, 2)],
    ['something else', { kind: 'reassign' } as const],
  ])('knows of no outcome where the answer is for %s', async (_, answer) => {
    const { asked, settled, propose, settle } = bench();
    propose(0);
    propose(1);
    await settle();
    asked[0]?.answer(answer);
    await settle();
    expect(settled).toEqual([
      [0, 'OUTCOME_UNKNOWN'],
      [1, 'OUTCOME_UNKNOWN'],
    ]);
  });

  it('asks a controller of an earlier build one by one, sixteen at a time', async () => {
    const { asked, settled, propose, settle } = bench(LEVEL_OF_CHANGES - 1);
    for (let partition = 0; partition < 20; partition += 1) propose(partition);
    await settle();
    expect(asked.map(({ request }) => request.kind)).toEqual(
      Array.from({ length: 16 }, () => 'alter-sync-set'),
    );
    for (const { answer } of asked) answer({ kind: 'alter-sync-set', partitionEpoch: 2 });
    await settle();
    expect([settled.length, asked.length]).toEqual([16, 20]);
  });
});
