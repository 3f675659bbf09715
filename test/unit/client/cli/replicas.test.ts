import { expect, it } from 'vitest';
import type { Output } from '../../../../client/cli/output.ts';
import { type ReplicaLine, showReplicas } from '../../../../client/cli/replicas.ts';

const LINE: ReplicaLine = { partition: 0, brokerId: 1, role: 'leader', isInSync: true };
const COMPACTION = {
  orderedTo: 90,
  compactedTo: 80,
  tombstonesBelow: 50,
  cleanBytes: 3_000,
  dirtyBytes: 1_000,
  phase: 'waits-for-space',
  bytesNeeded: 5_000,
  segments: 12,
  lastPass: { bytesBefore: 9_000, bytesAfter: 3_000, durationMs: 7 },
};

/** The tables that are shown, without their headings. */
function tables(...replicas: readonly ReplicaLine[]): unknown[] {
  const found: unknown[] = [];
  const out = {
    line: () => undefined,
    table: (_: readonly string[], rows: unknown) => found.push(rows),
  };
  showReplicas(replicas, out as unknown as Output);
  return found;
}

it('shows how far replicas are compacted, where one is', () => {
  expect(tables(LINE)).toHaveLength(1);
  const idle = { ...COMPACTION, cleanBytes: 0, dirtyBytes: 0, phase: 'idle', bytesNeeded: 0 };
  const { lastPass: _, ...fresh } = { ...idle, segments: 0 };
  const [, compaction] = tables(
    { ...LINE, compaction: COMPACTION },
    { ...LINE, brokerId: 2, compaction: fresh },
    { ...LINE, brokerId: 3 },
  );
  expect(compaction).toEqual([
    [0, 1, 80, 50, '25%', 12, '9.0 KB to 3.0 KB', 'waits-for-space, needs 5.0 KB'],
    [0, 2, 80, 50, '0%', '-', '-', 'idle'],
  ]);
});
