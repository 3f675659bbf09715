/**
 * A simulated disk of one replica: what would be there after a power loss. Writes are atomic one by
 * one and land in order.
 */
import { EMPTY_DURABLE } from '../../../broker/raft/raft.ts';
import type { Durable, RaftWrite } from '../../../broker/raft/types.ts';

export class Disk {
  durable: Durable = EMPTY_DURABLE;
  /** Of the session file: that of the last start. */
  incarnation = 0;

  apply(write: RaftWrite): void {
    const { hardState, snapshot, entries } = this.durable;
    if (write.kind === 'hard-state')
      this.durable = { hardState: write.hardState, snapshot, entries };
    else if (write.kind === 'append')
      this.durable = {
        hardState,
        snapshot,
        entries: [...entries.filter((entry) => entry.index < write.firstIndex), ...write.entries],
      };
    else {
      const kept = write.keepSuffix
        ? entries.filter((entry) => entry.index > write.snapshot.index)
        : [];
      this.durable = { hardState, snapshot: write.snapshot, entries: kept };
    }
  }

  /** Index of the last entry. */
  get lastIndex(): number {
    return this.durable.entries.at(-1)?.index ?? this.durable.snapshot?.index ?? 0;
  }

  copy(): Disk {
    const disk = new Disk();
    disk.durable = this.durable;
    disk.incarnation = this.incarnation;
    return disk;
  }
}
