/**
 * Turns the ends of connections into reports that a peer is gone: one for a death, however many
 * connections it had, and none for an attempt that never reached it. The controller answers each
 * report with a probe, so a repeated one costs work and a missing one costs seconds.
 */
import type { BrokerId } from '../../base/units.ts';

/** One established connection or stream. */
export interface Link {
  readonly brokerId: BrokerId;
}

export class Presence {
  /** Links whose end would be news. */
  readonly #links = new Map<BrokerId, Set<Link>>();
  readonly #report: (brokerId: BrokerId) => void;

  constructor(report: (brokerId: BrokerId) => void) {
    this.#report = report;
  }

  /** A connection stands: the peer was alive a moment ago. */
  established(brokerId: BrokerId): Link {
    const link = { brokerId };
    const links = this.#links.get(brokerId);
    if (links === undefined) this.#links.set(brokerId, new Set([link]));
    else links.add(link);
    return link;
  }

  /** It ended in order, or we ended it. */
  ended(link: Link | null): void {
    if (link === null) return;
    const links = this.#links.get(link.brokerId);
    if (links?.delete(link) === true && links.size === 0) this.#links.delete(link.brokerId);
  }

  /** It broke. Others to the same peer that stood at that moment are part of the same news. */
  lost(link: Link | null): void {
    if (link === null || this.#links.get(link.brokerId)?.has(link) !== true) return;
    this.#links.delete(link.brokerId);
    this.#report(link.brokerId);
  }
}
