/**
 * What the metadata log must hold after a stop: every answered write, and of the unanswered ones
 * the first few (P1).
 */
import type { Durable, Entry, RaftWrite } from '../../../broker/raft/types.ts';

const EMPTY: Durable = { hardState: { term: 0, vote: null }, snapshot: null, entries: [] };

function apply(state: Durable, write: RaftWrite): Durable {
  switch (write.kind) {
    case 'hard-state':
      return { ...state, hardState: write.hardState };
    case 'append': {
      const kept = state.entries.filter(({ index }) => index < write.firstIndex);
      return { ...state, entries: [...kept, ...write.entries] };
    }
    case 'snapshot': {
      const { snapshot, keepSuffix } = write;
      const kept = state.entries.filter(({ index }) => index > snapshot.index);
      return { ...state, snapshot, entries: keepSuffix ? kept : [] };
    }
  }
}

export class QuorumModel {
  settled: Durable = EMPTY;
  /** Asked and not answered, in order. */
  pending: RaftWrite[] = [];
  incarnation = 0;

  get asked(): Durable {
    return this.pending.reduce(apply, this.settled);
  }

  /** Index of the last entry that was asked. */
  get lastIndex(): number {
    const { entries, snapshot } = this.asked;
    return entries.at(-1)?.index ?? snapshot?.index ?? 0;
  }

  /** Index that the log begins behind. */
  get firstIndex(): number {
    return (this.asked.snapshot?.index ?? 0) + 1;
  }

  entry(index: number): Entry | null {
    return this.asked.entries.find((entry) => entry.index === index) ?? null;
  }

  answer(writes: readonly RaftWrite[]): string | null {
    for (const write of writes) {
      if (this.pending[0] !== write) return 'a quorum write was answered out of order';
      this.pending.shift();
      this.settled = apply(this.settled, write);
    }
    return null;
  }

  /** Compares what a start loaded. Returns a fault, or null, and then goes on from there. */
  find(found: Durable): string | null {
    let state = this.settled;
    for (const write of [...this.pending, null]) {
      if (JSON.stringify(state) === JSON.stringify(found)) {
        this.settled = state;
        this.pending = [];
        return null;
      }
      if (write !== null) state = apply(state, write);
    }
    return `the quorum log holds ${brief(found)}, must hold ${brief(this.settled)}, or up to ${brief(state)}`;
  }
}

function brief({ hardState, snapshot, entries }: Durable): string {
  const range =
    entries.length === 0 ? 'no entries' : `${entries[0]?.index}-${entries.at(-1)?.index}`;
  return `term ${hardState.term}, snapshot ${snapshot?.index ?? 0}, ${range}`;
}
