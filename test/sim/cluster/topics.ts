/** The topics of a run: two in all runs, and those that a strike of the profile is for. */
import type { Admin, TopicConfig } from '../../../client/index.ts';
import type { CompactionProfile, Profile } from './profile.ts';

export interface SimTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Records are retired while it runs. */
  readonly isRetired: boolean;
  /** It is deleted and made again while it runs. */
  readonly isRemade: boolean;
  /** It consents to unclean elections: what they report may be lost. */
  readonly mayLose: boolean;
  /** It is compacted: its records have keys. */
  readonly isKeyed: boolean;
  /** Stands over what all of them have. */
  readonly config: TopicConfig;
}

const COMMON = { segmentBytes: 65_536, batchBytesMax: 16_384, minInSyncReplicas: 2 };
/** Far longer than a run: whatever clocks do, nothing of it expires. */
const KEPT = { retentionMs: 3_600_000, segmentMs: 1_000 };
const RETIRED = { retentionMs: 4_000, segmentMs: 1_000, retentionBytes: 262_144 };

export const PLAIN = {
  partitions: 2,
  replicationFactor: 3,
  isRetired: false,
  isRemade: false,
  mayLose: false,
  isKeyed: false,
  config: KEPT,
};

export const REMADE: SimTopic = { ...PLAIN, name: 'remade', isRemade: true };

/** Its logs are made to begin later, at offsets that somebody names. */
export const TRIMMED: SimTopic = { ...PLAIN, name: 'trimmed', isRetired: true };

/** Racers append to it, and everybody else. */
export const RACED: SimTopic = { ...PLAIN, name: 'raced' };

/** Two replicas, of which one may go on alone: the death of one and the loss of the other do it. */
export const UNCLEAN: SimTopic = {
  ...PLAIN,
  name: 'unclean',
  replicationFactor: 2,
  mayLose: true,
  config: { ...KEPT, minInSyncReplicas: 1, uncleanElection: true },
};

export function topicsOf(profile: Pick<Profile, 'weights' | 'compaction'>): readonly SimTopic[] {
  const { weights, compaction } = profile;
  return [
    { ...PLAIN, name: 'kept' },
    { ...PLAIN, name: 'retired', isRetired: true, config: RETIRED },
    ...(weights.remake > 0 ? [REMADE] : []),
    ...(weights.unclean > 0 ? [uncleanOf(compaction)] : []),
    ...(weights.trim > 0 ? [TRIMMED] : []),
    ...(compaction === null ? [] : compactedOf(compaction)),
  ];
}

/** What it loses may be what others were dropped for. */
function uncleanOf(compaction: Profile['compaction']): SimTopic {
  if (compaction === null) return UNCLEAN;
  const config = { ...UNCLEAN.config, ...compaction.config, cleanup: 'compact' } as const;
  return { ...UNCLEAN, isKeyed: true, config };
}

function compactedOf({ config }: CompactionProfile): readonly SimTopic[] {
  const keyed = { ...PLAIN, isKeyed: true };
  return [
    { ...keyed, name: 'compacted', config: { ...KEPT, ...config, cleanup: 'compact' } },
    { ...keyed, name: 'both', isRetired: true, config: { ...RETIRED, ...config, cleanup: 'both' } },
  ];
}

export function creationOf(topic: SimTopic): Parameters<Admin['createTopic']>[0] {
  const { name, partitions, replicationFactor, config } = topic;
  return { name, partitions, replicationFactor, config: { ...COMMON, ...config } };
}
