/** What is refused whatever the state is, and that the refusal names it. */
import { describe, expect, it } from 'vitest';
import { GROUP_TOPICS_MAX } from '../../../../../base/limits.ts';
import { requestFault } from '../../../../../broker/groups/membership/requests.ts';
import type { GroupRequest, JoinRequest } from '../../../../../broker/groups/membership/types.ts';

const BROKER_SESSION_MS = 3_000;

const JOIN: JoinRequest = {
  kind: 'join',
  group: 'g',
  memberId: '00000000-0000-4000-8000-000000000001',
  attempt: 1,
  instanceId: '',
  rack: '',
  client: '',
  topics: ['orders', 'stock-*', '*', '.*'],
  assignor: '',
  sessionMs: 2 * BROKER_SESSION_MS,
  graceMs: 0,
  returnMs: 0,
  epoch: 0,
  formerId: '',
};

function faultOf(request: GroupRequest): string {
  return requestFault(request, BROKER_SESSION_MS)?.message ?? '';
}

describe('requestFault', () => {
  it('takes what is allowed', () => {
    expect(faultOf(JOIN)).toBe('');
    expect(faultOf({ ...JOIN, instanceId: 'pod-0', returnMs: 1, assignor: 'range' })).toBe('');
    expect(faultOf({ kind: 'touch', group: 'g', type: 'queue' })).toBe('');
  });

  it.each<[string, Partial<JoinRequest>, string]>([
    ['a name that no group has', { group: 'a b' }, 'group is "a b"'],
    ['a reserved name', { group: '__g' }, 'reserved'],
    ['an id that is none', { memberId: 'me' }, 'memberId is "me"'],
    ['no attempt', { attempt: 0 }, 'attempt is 0'],
    ['no topics', { topics: [] }, 'topics has 0 names'],
    [
      'too many topics',
      { topics: Array.from({ length: GROUP_TOPICS_MAX + 1 }, () => 'a') },
      `must have 1 to ${String(GROUP_TOPICS_MAX)}`,
    ],
    ['an internal topic', { topics: ['__groups'] }, 'topics is "__groups"'],
    ['the beginning of internal topics', { topics: ['__*'] }, 'reserved'],
    ['a star in the middle', { topics: ['a*b'] }, 'topics is "a*b"'],
    ['a name that is too long', { topics: [`${'a'.repeat(250)}*`] }, '251 characters'],
    ['a short session', { sessionMs: 5_999 }, 'from 6000 to 1800000 (twice the session'],
    ['a session that is no number', { sessionMs: NaN }, 'sessionMs is NaN'],
    ['an endless session', { sessionMs: 1_800_001 }, 'sessionMs is 1800001'],
    ['a grace below 0', { graceMs: -1 }, 'graceMs is -1'],
    ['a place without a name', { returnMs: 1 }, 'must be 0 without an instanceId'],
    ['an assignor that is none', { assignor: 'best' as 'range' }, 'must be one of balanced'],
    ['a long rack', { rack: 'a'.repeat(250) }, 'rack has 250 characters'],
    ['a part of an epoch', { epoch: 0.5 }, 'epoch is 0.5'],
  ])('refuses %s', (_, fields, named) => {
    expect(faultOf({ ...JOIN, ...fields })).toContain(named);
  });

  it('names every fault at once', () => {
    const fault = requestFault({ ...JOIN, group: '', attempt: 0 }, BROKER_SESSION_MS);
    expect(fault?.code).toBe('INVALID_ARGUMENT');
    expect(fault?.message).toMatch(/group has 0 characters.*; attempt is 0/);
  });

  it.each<[GroupRequest, string]>([
    [
      { kind: 'leave', group: 'g', memberId: JOIN.memberId, attachment: 0, isReturning: false },
      'attachment is 0',
    ],
    [{ kind: 'delete', group: 'g', type: 'x' as 'group' }, 'type is "x"'],
    [{ kind: 'seek', group: '.', partitions: [], riders: [] }, 'group is "."'],
    [
      {
        kind: 'seek',
        group: 'g',
        partitions: Array.from({ length: 2_001 }, () => ({ topicId: 't', partition: 0 })),
        riders: [{ key: 'k'.repeat(500_000), value: null }],
      },
      'number of partitions is 2001, must be a whole number from 0 to 2000; characters of riders is',
    ],
  ])('refuses $0.kind', (request, named) => {
    expect(faultOf(request)).toContain(named);
  });
});
