/** Looks at a cluster for its page, one after another. */
import type { Snapshot } from '../../../page/snapshot.ts';
import type { Admin } from '../../index.ts';
import { reportOf } from '../exit.ts';
import { look } from '../look.ts';
import { snapshotOf, type TimedLook, unreachable } from './snapshot.ts';

/** A broker that says nothing for so long is shown as silent. */
const PATIENCE_MS = 2_000;

/** What a page server asks for a snapshot; never rejects. */
export function looksAt(admin: Admin): () => Promise<Snapshot> {
  let before: TimedLook | undefined;
  return async () => {
    try {
      const now = { look: await look(admin, PATIENCE_MS), atMs: Date.now() };
      const snapshot = snapshotOf(now, before);
      before = now;
      return snapshot;
    } catch (error) {
      return unreachable(Date.now(), reportOf(error).message);
    }
  };
}
