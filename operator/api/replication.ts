/**
 * Replication of a cluster's topics and of one topic: fields, and the rules between them. Pure.
 * Source of the rules: docs/rules.md#sync-set-and-q (quorum mode needs three replicas) and rule 8
 * (min above the replication factor is refused, never clamped).
 */
import { REPLICATION_FACTOR_MAX } from '../../base/limits.ts';
import { boolean, choice, integer } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { CommitMode } from './types.ts';

export { MIN_OF_CLUSTER } from '../../base/units.ts';

const COMMIT_MODES: readonly CommitMode[] = ['InSync', 'Quorum'];
/** A majority of two is both, so quorum mode would promise what it cannot give. */
const QUORUM_REPLICATION_FACTOR_MIN = 3;

/** Fields that both resources have; a LogTopic leaves out what its LogCluster is to decide. */
interface Replication {
  readonly replicationFactor?: number;
  readonly minInSyncReplicas?: number;
  readonly commitMode?: CommitMode;
  readonly acceptWriteStops: boolean;
}

interface Defaults {
  readonly replicationFactor: number;
  readonly minInSyncReplicas: number;
  readonly commitMode: CommitMode;
}

export function replicationFields(defaults?: Defaults): {
  readonly replicationFactor: Schema;
  readonly minInSyncReplicas: Schema;
  readonly commitMode: Schema;
  readonly acceptWriteStops: Schema;
} {
  const fallback = (name: 'replicationFactor' | 'minInSyncReplicas'): { default?: number } =>
    defaults === undefined ? {} : { default: defaults[name] };
  const whose =
    defaults === undefined
      ? "Absent: as the topic has it, at first the LogCluster's."
      : 'For topics of this cluster that state none, whoever makes them.';
  return {
    replicationFactor: integer(
      `Copies of each partition. ${whose}`,
      1,
      REPLICATION_FACTOR_MAX,
      fallback('replicationFactor'),
    ),
    minInSyncReplicas: integer(
      `Fewest trusted replicas in sync that let an append in; an acknowledged record survives the loss of one disk fewer. ${defaults === undefined ? "Absent: as the topic has it, at first the LogCluster's, which it then follows. 0: follows the LogCluster's, whatever it had (feature level 16 of the brokers)." : whose} Applied live.`,
      defaults === undefined ? 0 : 1,
      REPLICATION_FACTOR_MAX,
      fallback('minInSyncReplicas'),
    ),
    commitMode: choice(
      `Who must hold a record before it is acknowledged: InSync, every replica in sync; Quorum, a majority of them and never fewer than minInSyncReplicas. ${whose} Applied live.`,
      COMMIT_MODES,
      defaults?.commitMode,
    ),
    acceptWriteStops: boolean(
      "Permits minInSyncReplicas equal to replicationFactor, knowing that every stop of a broker, the operator's own restarts included, then stops appends to its partitions.",
      false,
    ),
  };
}

const BOTH = 'has(self.minInSyncReplicas) && has(self.replicationFactor)';

/**
 * Rules between the fields of {@link replicationFields}. Each holds where a field that it names is
 * absent.
 */
export const REPLICATION_RULES: readonly Rule[] = [
  {
    cel: `!(${BOTH}) || self.minInSyncReplicas <= self.replicationFactor`,
    message: 'minInSyncReplicas is %s, must be at most replicationFactor (%s)',
    values: ['self.minInSyncReplicas', 'self.replicationFactor'],
    fieldPath: '.minInSyncReplicas',
    check: ({ minInSyncReplicas: min, replicationFactor: factor }: Replication) =>
      min === undefined || factor === undefined || min <= factor ? null : [min, factor],
  },
  {
    // One copy has no other reading, so it needs no consent.
    cel: `!(${BOTH}) || self.replicationFactor == 1 || self.minInSyncReplicas != self.replicationFactor || self.acceptWriteStops`,
    message:
      'minInSyncReplicas is %s, must be below replicationFactor (%s): each restart of a broker would stop appends; set acceptWriteStops to accept that',
    values: ['self.minInSyncReplicas', 'self.replicationFactor'],
    fieldPath: '.minInSyncReplicas',
    check: ({
      minInSyncReplicas: min,
      replicationFactor: factor,
      acceptWriteStops,
    }: Replication) =>
      min === undefined || min !== factor || factor === 1 || acceptWriteStops
        ? null
        : [min, factor],
  },
  {
    cel: `!has(self.commitMode) || self.commitMode != 'Quorum' || !has(self.replicationFactor) || self.replicationFactor >= ${QUORUM_REPLICATION_FACTOR_MIN}`,
    message: `commitMode is Quorum, must be InSync while replicationFactor (%s) is below ${QUORUM_REPLICATION_FACTOR_MIN}`,
    values: ['self.replicationFactor'],
    fieldPath: '.commitMode',
    check: ({ commitMode, replicationFactor: factor }: Replication) =>
      commitMode !== 'Quorum' || factor === undefined || factor >= QUORUM_REPLICATION_FACTOR_MIN
        ? null
        : [factor],
  },
];

/** The fields of a node that are text: the only ones that {@link immutable} reads. */
type Texts = Readonly<Record<string, string | undefined>>;

/**
 * A field of text that keeps the value it was made with, absent included. The rule belongs to the
 * node that has the field.
 */
export function immutable(field: string): Rule {
  const shown = (self: string): string => `(has(${self}.${field}) ? ${self}.${field} : "absent")`;
  return {
    cel: `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
    message: `${field} is %s, must stay %s`,
    values: [shown('self'), shown('oldSelf')],
    fieldPath: `.${field}`,
    isTransition: true,
    check: (self: Texts, old: Texts) =>
      self[field] === old[field] ? null : [self[field] ?? 'absent', old[field] ?? 'absent'],
  };
}
