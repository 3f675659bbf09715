/** What a mutation is: a rule turned off by an exact edit, and what must notice. */

export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** Simulators that run from a command. */
export const SIMULATORS = [
  'cluster',
  'group-members',
  'groups',
  'queues',
  'replication',
  'raft',
  'storage',
] as const;

/** Something that passes on the sound sources and must fail on the edited ones. */
export type Catcher =
  | {
      readonly level: 'unit' | 'scenario' | 'sim';
      readonly file: string;
      /** Tests whose names hold this; absent: all of the file. */
      readonly title?: string;
    }
  | {
      readonly simulator: (typeof SIMULATORS)[number];
      readonly seeds: readonly number[];
    };

export interface Mutation {
  readonly id: string;
  /** Of docs/rules.md: a rule, P-rule, invariant or heading. */
  readonly rule: string;
  /** What is turned off. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Each alone must notice. */
  readonly caughtBy: readonly Catcher[];
  /** Why nothing can notice: another rule that does the same, and where. Then nothing is named. */
  readonly coveredBy?: string;
  /** Why nothing catches it, though something should. */
  readonly survives?: string;
  /** Runs in `npm test`. */
  readonly inGate?: true;
}

/** Seeds 1 to `last`. */
export function seedsTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
