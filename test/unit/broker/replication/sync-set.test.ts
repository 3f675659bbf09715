import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { PROPOSAL_PAUSE_MS, SyncSetChanges } from '../../../../broker/replication/sync-set.ts';
import type { MemberView } from '../../../../broker/replication/sync-set.ts';
import type { Assignment } from '../../../../broker/replication/types.ts';
import { assignment, replicas } from './assignment.ts';

const BASE = assignment({ replicas: replicas(1, 2, 3, 4), syncSet: [1, 2, 3], quorum: 3 });

/**
 * `certified` members hold a certificate, `lagging` ones have not been caught up for long, `lossy`
 * ones have lost what they acknowledged.
 */
function view(
  certified: readonly number[],
  lagging: readonly number[] = [],
  lossy: readonly number[] = [],
): MemberView {
  return {
    certificate: (member) => (certified.includes(member) ? 10 + member : null),
    lagMs: (member) => (lagging.includes(member) ? 5_000 : 0),
    isLossy: (member) => lossy.includes(member),
    drainedFor: () => null,
  };
}

function changes(assignment: Assignment): SyncSetChanges {
  return new SyncSetChanges({ self: 1, lagMsMax: 1_000, nowMs: 0 }, assignment);
}

describe('SyncSetChanges.propose()', () => {
  const stopping = BASE.replicas.map((replica) => ({
    ...replica,
    stopping: replica.brokerId === 4,
  }));
  const cases = [
    { name: 'nothing when nothing is due', fields: {}, members: view([2, 3]), expected: null },
    {
      name: 'an addition with its certificate',
      fields: {},
      members: view([2, 3, 4]),
      expected: { op: 'add', member: 4, memberEpoch: 14 },
    },
    {
      name: 'no addition of a stopping broker (KIP-841)',
      fields: { replicas: stopping },
      members: view([2, 3, 4]),
      expected: null,
    },
    {
      name: 'trust before anything else (P8)',
      fields: { suspects: [3] },
      members: view([3, 4]),
      expected: { op: 'trust', member: 3, memberEpoch: 13 },
    },
    {
      name: 'a removal of a member that lags (rule 15)',
      fields: {},
      members: view([2], [3]),
      expected: { op: 'remove', member: 3 },
    },
    {
      name: 'no removal that takes q below min (rule 16)',
      fields: { minInSyncReplicas: 3 },
      members: view([2], [3]),
      expected: null,
    },
    {
      name: 'a distrust of a lossy member that cannot be spared (P7)',
      fields: { minInSyncReplicas: 3 },
      members: view([2], [3], [3]),
      expected: { op: 'distrust', member: 3 },
    },
    {
      name: 'a removal of a lossy member that can be spared',
      fields: {},
      members: view([2], [3], [3]),
      expected: { op: 'remove', member: 3 },
    },
    {
      name: 'no distrust of a suspect, which it is already',
      fields: { minInSyncReplicas: 3, suspects: [3] },
      members: view([2], [3], [3]),
      expected: null,
    },
    {
      name: 'a raise with q + 1 certificates',
      fields: { quorum: 2 },
      members: view([2, 3]),
      expected: { op: 'raise', quorum: 3 },
    },
    { name: 'no raise without them', fields: { quorum: 2 }, members: view([2]), expected: null },
    {
      name: 'no raise past the majority in quorum mode',
      fields: { commitMode: 'quorum' as const },
      members: view([2, 3]),
      expected: null,
    },
  ];
  for (const { name, fields, members, expected } of cases) {
    it(name, () => {
      expect(changes({ ...BASE, ...fields }).propose(members, 0)?.change ?? null).toEqual(expected);
    });
  }

  it('waits for the answer of the one in flight (rule 11)', () => {
    const due = changes(BASE);
    due.propose(view([2, 3, 4]), 0);

    expect(due.propose(view([2, 3, 4]), 60_000)).toBe(null);
  });

  it('puts a refused change off, longer each time, and lets another one pass', () => {
    const refused = new BrokerError('REFUSED', 'no');
    const due = changes(BASE);
    const addedAtMs: number[] = [];
    const others: string[] = [];
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 250) {
      const proposal = due.propose(view([2, 4], [3]), nowMs);
      if (proposal === null) continue;
      if (proposal.change.op === 'add') addedAtMs.push(nowMs);
      else others.push(proposal.change.op);
      due.result(proposal.proposalId, refused, nowMs);
    }

    const gaps = addedAtMs.slice(1).map((atMs, index) => atMs - (addedAtMs[index] ?? 0));
    expect(gaps).toEqual(gaps.toSorted((a, b) => a - b));
    expect(new Set(gaps).size).toBeGreaterThan(2);
    expect(new Set(others)).toEqual(new Set(['remove']));
  });

  it('tries a refused change again as soon as the row is another', () => {
    const due = changes(BASE);
    const first = due.propose(view([2, 3, 4]), 0);
    due.result(first?.proposalId ?? 0, new BrokerError('REFUSED', 'no'), 0);
    due.assign({ ...BASE, partitionEpoch: 2 });

    expect(due.propose(view([2, 3, 4]), PROPOSAL_PAUSE_MS)?.change.op).toBe('add');
  });

  it('cancels a raise of unknown outcome that can succeed no more', () => {
    const due = changes({ ...BASE, quorum: 2 });
    const first = due.propose(view([2, 3]), 0);
    due.result(first?.proposalId ?? 0, new BrokerError('OUTCOME_UNKNOWN', 'no answer'), 0);

    expect(due.rules).toEqual([
      { syncSet: [1, 2, 3], quorum: 2 },
      { syncSet: [1, 2, 3], quorum: 3 },
    ]);
    expect(due.propose(view([2]), PROPOSAL_PAUSE_MS)?.change).toEqual({ op: 'raise', quorum: 2 });
  });
});

describe('SyncSetChanges.rules', () => {
  const added = { syncSet: [1, 2, 3, 4], quorum: 4 };
  const old = { syncSet: [1, 2, 3], quorum: 3 };
  const cases = [
    {
      name: 'a refusal ends the joint condition',
      error: new BrokerError('REFUSED', 'no'),
      expected: [old],
    },
    {
      name: 'an unknown outcome keeps it (rule 12)',
      error: new BrokerError('UNREACHABLE', 'no answer'),
      expected: [old, added],
    },
    { name: 'a success keeps it until the assignment comes', error: null, expected: [old, added] },
  ];
  for (const { name, error, expected } of cases) {
    it(name, () => {
      const due = changes(BASE);
      const proposal = due.propose(view([2, 3, 4]), 0);

      due.result(proposal?.proposalId ?? 0, error, 0);

      expect(due.rules).toEqual(expected);
    });
  }

  it('a refusal after an unknown outcome proves nothing about the first attempt', () => {
    const due = changes(BASE);
    const first = due.propose(view([2, 3, 4]), 0);
    due.result(first?.proposalId ?? 0, new BrokerError('UNREACHABLE', 'no answer'), 0);
    const second = due.propose(view([2, 3, 4]), PROPOSAL_PAUSE_MS);

    due.result(second?.proposalId ?? 0, new BrokerError('REFUSED', 'no'), PROPOSAL_PAUSE_MS);

    expect(due.rules).toEqual([old, added]);
  });

  it('a newer partition epoch, or a newer incarnation of the member, ends it', () => {
    const replicas = BASE.replicas.map((replica) =>
      replica.brokerId === 4 ? { ...replica, brokerEpoch: 20 } : replica,
    );
    for (const assignment of [
      { ...BASE, partitionEpoch: 2 },
      { ...BASE, replicas },
    ]) {
      const due = changes(BASE);
      due.propose(view([2, 3, 4]), 0);

      due.assign(assignment);

      expect(due.rules).toEqual([old]);
    }
  });
});
