/** What a check of files found, in the order in which it was found; the list is bounded. */

/**
 * `fault`: bytes, or a file, are not what the broker wrote or needs. `note`: what a stop may leave,
 * and the next start removes or builds again.
 */
export type Grade = 'fault' | 'note';

export interface Finding {
  readonly grade: Grade;
  /** Path below the folder that was named. */
  readonly file: string;
  /** First byte that it is about; null: the whole file. */
  readonly position: number | null;
  readonly found: string;
  readonly expected: string;
}

/** Small frames that are all broken would fill the memory; a thousand are enough to see. */
const FINDINGS_MAX = 1_000;

/** Findings of one part of a directory. */
export class Findings {
  /** The first {@link FINDINGS_MAX}. */
  readonly list: Finding[] = [];
  /** All faults, also those that are not listed. */
  faults = 0;
  notes = 0;

  fault(file: string, position: number | null, found: string, expected: string): void {
    this.faults += 1;
    this.#add({ grade: 'fault', file, position, found, expected });
  }

  note(file: string, found: string, expected: string): void {
    this.notes += 1;
    this.#add({ grade: 'note', file, position: null, found, expected });
  }

  #add(finding: Finding): void {
    if (this.list.length < FINDINGS_MAX) this.list.push(finding);
  }
}
