/**
 * What one seed does to its group: each seed switches on a random subset of the faults, so that
 * every mixture comes up.
 */
import type { Random } from '../../../base/random.ts';

export interface Profile {
  readonly nodeCount: number;
  /** Wanted numbers of voters, one after another. */
  readonly voterCounts: readonly number[];
  readonly resizeMs: number;
  readonly faultMs: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly delayMsMax: number;
  readonly syncMsMax: number;
  readonly proposePeriodMs: number;
  readonly readPeriodMs: number;
  readonly compactBytes: number;
  /** 0: never. */
  readonly crashPeriodMs: number;
  readonly downMsMax: number;
  readonly partitionPeriodMs: number;
  readonly partitionMsMax: number;
  /**
   * Small ones carry an entry or two, so that old entries and a new leader's barrier travel apart.
   */
  readonly appendBytesMax: number;
  readonly transferPeriodMs: number;
  readonly diskLossPeriodMs: number;
  /**
   * Share of leaders that fall before they have committed anything of their term: the ground of
   * thesis figure 3.7.
   */
  readonly leaderCrashRate: number;
  /**
   * Share of the controller's turns in which it asks any leader for any change of voters, ready or
   * not.
   */
  readonly recklessRate: number;
  /** Share of messages after which a copy follows that no honest replica would send. */
  readonly absurdRate: number;
}

export function drawProfile(random: Random): Profile {
  const sometimes = (value: number): number => (random.chance(0.6) ? value : 0);
  const isWild = random.chance(0.4);
  const diskLossPeriodMs = sometimes(600);
  const leaderCrashRate = random.pick([0, 0, 0.9]);
  const nodeCount = random.pick([3, 5, 6]);
  return {
    nodeCount,
    voterCounts: random.pick([nodeCount >= 5 ? [3, 5, 3] : [3], [3], [3, 1, 3]]),
    resizeMs: 2500,
    faultMs: 8000,
    lossRate: sometimes(random.pick([0.01, 0.05, 0.15])),
    duplicateRate: sometimes(0.1),
    delayMsMax: random.pick([4, 20, 100, 400]),
    syncMsMax: random.pick([2, 10, 40, 300]),
    proposePeriodMs: random.pick([10, 30, 80]),
    readPeriodMs: 20,
    compactBytes: random.pick([600, 2000, 10_000]),
    crashPeriodMs: sometimes(isWild ? 150 : 1000),
    downMsMax: isWild ? 250 : 1500,
    partitionPeriodMs: sometimes(isWild ? 300 : 2000),
    partitionMsMax: isWild ? 600 : 4000,
    appendBytesMax: random.pick([60, 120, 400]),
    transferPeriodMs: sometimes(700),
    diskLossPeriodMs,
    leaderCrashRate,
    recklessRate: diskLossPeriodMs === 0 ? random.pick([0, 0.5]) : 0,
    absurdRate: sometimes(0.05),
  };
}

/**
 * Nothing happens but that leaders fall early, one after another: old entries and new barriers meet
 * (thesis figure 3.7).
 */
export const FALLING_LEADERS: Partial<Profile> = {
  nodeCount: 3,
  voterCounts: [3],
  lossRate: 0,
  delayMsMax: 10,
  syncMsMax: 10,
  proposePeriodMs: 10,
  crashPeriodMs: 700,
  downMsMax: 800,
  partitionPeriodMs: 0,
  appendBytesMax: 60,
  transferPeriodMs: 0,
  diskLossPeriodMs: 0,
  leaderCrashRate: 1,
  recklessRate: 0,
  absurdRate: 0,
};
