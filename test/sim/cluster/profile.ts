/**
 * What one seed does: drawn once, so that each seed has its own mixture of faults, and printed with
 * a failure.
 */
import type { Random } from '../../../base/random.ts';
import type { TopicConfig } from '../../../client/index.ts';
import { type DiskProfile, SOUND_DISK } from '../kit/disk-faults.ts';
import type { NetworkProfile } from '../kit/sim-network.ts';

/** Kinds of events that may strike; each has a weight in the schedule, 0 for off. */
export const FAULTS = [
  'kill',
  'kill-two',
  'power-loss',
  'orderly-stop',
  'roll-all',
  'stall',
  'cut',
  'cut-one-way',
  'break-connection',
  'clock-jump',
  'disk-stall',
  'io-error',
  'bit-flip',
  'empty-disk',
  'lose-folder',
  'lose-file',
  'rollback',
  'full-disk',
  'min',
  'mode',
  'retention',
  'reassign',
  'elect',
  'remake',
  'unclean',
  'remove',
  'double',
  'take-name',
  'trim',
] as const;

export type Fault = (typeof FAULTS)[number];

/** Strikes that a run is made for: with topics, programs or brokers of their own. */
const RARE: readonly Fault[] = ['remake', 'unclean', 'remove', 'double', 'take-name'];
/** Such ones, drawn after all else: what seeds drew before these were there stays. */
const RARE_AND_LATE: readonly Fault[] = ['trim'];

/** Of topics that are compacted, and of the passes over their logs. */
export interface CompactionProfile {
  readonly config: Pick<
    TopicConfig,
    'tombstoneRetentionMs' | 'compactionDirtyPercent' | 'compactionLagMinMs' | 'compactionLagMaxMs'
  >;
  /** So few that passes take their time, and are struck. */
  readonly bytesPerSecond: number;
}

export interface Profile {
  readonly brokers: number;
  readonly chaosMs: number;
  /** Mean pause between two faults. */
  readonly faultEveryMs: number;
  readonly weights: Readonly<Record<Fault, number>>;
  readonly network: NetworkProfile;
  readonly disk: DiskProfile;
  readonly diskBytes: number;
  readonly appendEveryMs: number;
  readonly valueBytesMax: number;
  /** After healing, every broker is restarted in turn under load. */
  readonly isRolled: boolean;
  /** Null: no topic is compacted. */
  readonly compaction: CompactionProfile | null;
}

/** Lossy replica events: fewer than m = 2 per repair window keep the promise. */
export const LOSSY: readonly Fault[] = [
  'power-loss',
  'io-error',
  'bit-flip',
  'empty-disk',
  'lose-folder',
  'lose-file',
  'rollback',
  'unclean',
  'remove',
  'double',
];

const RARE_CHANCE = 0.2;

/** The same run with these strikes alone, all as likely. */
export function withMixture(profile: Profile, faults: readonly Fault[]): Profile {
  const weights = Object.fromEntries(
    FAULTS.map((fault) => [fault, faults.includes(fault) ? 1 : 0]),
  ) as Record<Fault, number>;
  return { ...profile, weights };
}

export function drawProfile(random: Random): Profile {
  const weights = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
  for (const fault of FAULTS)
    if (!RARE.includes(fault) && !RARE_AND_LATE.includes(fault) && random.chance(0.5))
      weights[fault] = 1 + random.below(4);
  // Damage that nobody has met yet is not repaired: for as long as it lies there, it is the one
  // lossy event of its window.
  if (weights['bit-flip'] > 0)
    for (const fault of LOSSY) if (fault !== 'bit-flip') weights[fault] = 0;
  const isRough = random.chance(0.5);
  const profile = {
    brokers: random.pick([3, 3, 4, 5]),
    chaosMs: 20_000 + random.below(30_000),
    faultEveryMs: random.pick([800, 1_500, 3_000]),
    weights,
    network: {
      latencyMsMin: 0.1,
      latencyMsMax: random.pick([0.5, 2, 20]),
      breakChance: isRough ? random.pick([0.0001, 0.001, 0.005]) : 0,
      lateChance: random.pick([0, 0.3, 0.8]),
      duplicateChance: isRough ? random.pick([0, 0.01, 0.1]) : 0,
    },
    disk: {
      ...SOUND_DISK,
      delayMs: random.pick([
        [0, 0.2],
        [0, 2],
        [0, 10],
      ] as const),
      stallRate: random.pick([0, 0, 0.0005]),
      stallMs: 2_000,
      shortWriteRate: random.pick([0, 0.01]),
    },
    diskBytes: random.chance(0.8) ? 2 ** 40 : 2 ** 20 * random.pick([48, 64]),
    appendEveryMs: random.pick([10, 30, 80]),
    valueBytesMax: random.pick([40, 400, 4_000]),
    isRolled: false,
  };
  for (const fault of RARE) {
    const weight = random.chance(RARE_CHANCE) ? 1 + random.below(4) : 0;
    if (weights['bit-flip'] === 0 || !LOSSY.includes(fault)) weights[fault] = weight;
  }
  const isRolled = random.chance(RARE_CHANCE);
  for (const fault of RARE_AND_LATE)
    weights[fault] = random.chance(RARE_CHANCE) ? 1 + random.below(4) : 0;
  const compaction = random.chance(RARE_CHANCE) ? drawCompaction(random) : null;
  return { ...profile, isRolled, compaction };
}

export function drawCompaction(random: Random): CompactionProfile {
  const compactionLagMinMs = random.pick([0, 0, 2_000]);
  return {
    config: {
      tombstoneRetentionMs: random.pick([0, 1_000, 4_000]),
      compactionDirtyPercent: random.pick([1, 20, 50]),
      compactionLagMinMs,
      compactionLagMaxMs: random.pick([-1, -1, compactionLagMinMs + 2_000]),
    },
    bytesPerSecond: random.pick([65_536, 262_144, 33_554_432]),
  };
}
