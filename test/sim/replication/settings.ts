/** What a seed makes of its world: drawn once, in this order, or every seed is another world. */
import type { Random } from '../../../base/random.ts';

export interface Settings {
  min: number;
  mode: 'in-sync' | 'quorum';
  lossy: boolean;
  unclean: boolean;
  retire: boolean;
  /** At each tick the leader keeps so many batches below HW; -1: no such retention. */
  keep: number;
  /** Disks lose their first segments. */
  beginnings: boolean;
  /** A disk loses what was acknowledged, and its broker claims that nothing happened. */
  quiet: boolean;
  switches: boolean;
  weakAcks: boolean;
  /**
   * Brokers die behind slow links and are back at once: what the dead one stated arrives after
   * the next one has registered.
   */
  ghosts: boolean;
  /**
   * Leaders are cut off with records of their own, and the next ones with their epoch start
   * (figure 8 of the Raft paper).
   */
  figure8: boolean;
  /**
   * The controller hears a leader no more, though its followers do, and one of them is told late.
   */
  unheard: boolean;
}

export function drawSettings(random: Random, brokerCount: number): Settings {
  const settings: Settings = {
    min: random.chance(0.8) ? 2 : 1 + random.below(3),
    mode: random.chance(0.5) ? 'in-sync' : 'quorum',
    lossy: random.chance(0.7),
    unclean: random.chance(0.3),
    retire: random.chance(0.3),
    keep: random.chance(0.3) ? random.pick([0, 1, 10, 30, 100]) : -1,
    beginnings: random.chance(0.3),
    quiet: random.chance(0.4),
    switches: random.chance(0.3),
    weakAcks: random.chance(0.3),
    ghosts: random.chance(0.3),
    figure8: random.chance(0.3),
    unheard: random.chance(0.3),
  };
  // Nobody can be spared: what cannot be removed must be distrusted.
  const tightness = settings.ghosts ? 0.7 : 0.2;
  if (settings.mode === 'in-sync' && random.chance(tightness)) settings.min = brokerCount;
  return settings;
}
