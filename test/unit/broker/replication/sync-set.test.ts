import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../broker/base/errors.ts';
import { PROPOSAL_PAUSE_MS, SyncSetChanges } from '../../../../broker/replication/sync-set.ts';
import type { MemberView } from '../../../../broker/replication/sync-set.ts';
import type { Assignment } from '../../../../broker/replication/types.ts';

const BASE: Assignment = {
  leader: 1,
  leaderEpoch: 5,
  partitionEpoch: 1,
  replicas: [1, 2, 3, 4].map((brokerId) => ({
    brokerId,
    brokerEpoch: 10 + brokerId,
    fenced: false,
    stopping: false,
  })),
  syncSet: [1, 2, 3],
  quorum: 3,
  suspects: [],
  uncleanEpoch: 0,
  minInSyncReplicas: 2,
  commitMode: 'in-sync',
  batchBytesMax: 1_000,
  successor: -1,
};

/** `certified` members hold a certificate, `lagging` ones have not been caught up for long, `lossy` ones have lost what they acknowledged. */
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
      error: new BrokerError('BROKER_NOT_READY', 'no answer'),
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
    due.result(first?.proposalId ?? 0, new BrokerError('BROKER_NOT_READY', 'no answer'), 0);
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
