import { describe, expect, it } from 'vitest';
import { quorumTarget } from '../../../base/quorum-target.ts';

describe('quorumTarget()', () => {
  it.each([
    { commitMode: 'in-sync', members: 3, min: 2, leaving: 0, target: 3 },
    { commitMode: 'in-sync', members: 4, min: 2, leaving: 1, target: 4 },
    { commitMode: 'quorum', members: 3, min: 2, leaving: 0, target: 2 },
    { commitMode: 'quorum', members: 5, min: 2, leaving: 0, target: 3 },
    { commitMode: 'quorum', members: 5, min: 4, leaving: 0, target: 4 },
    { commitMode: 'quorum', members: 2, min: 3, leaving: 0, target: 2 },
    { commitMode: 'quorum', members: 4, min: 2, leaving: 1, target: 3 },
  ] as const)(
    'is $target in $commitMode mode with $members members, $leaving of them leaving, and min $min',
    ({ commitMode, members, min, leaving, target }) => {
      expect(quorumTarget({ commitMode, minInSyncReplicas: min, members, leaving })).toBe(target);
    },
  );
});
