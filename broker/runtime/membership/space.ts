/**
 * A full data volume makes a broker wait, not leave: it is told when it begins and ends, and what
 * needs room is tried again.
 */
import type { Clock } from '../../../base/clock.ts';
import type { OnFact } from '../../../base/events.ts';
import type { BrokerEpoch } from '../../../base/units.ts';
import { isShortage } from '../ports.ts';
import type { Disk } from '../ports.ts';

const SESSION_RETRY_MS = 1_000;

/** Tells when the volume falls below its reserve, and when it is above again. */
export class SpaceWatch {
  readonly #disk: Pick<Disk, 'shortage' | 'freeBytes'>;
  readonly #onFact: OnFact;
  #isFull = false;

  constructor(disk: Pick<Disk, 'shortage' | 'freeBytes'>, onFact: OnFact) {
    this.#disk = disk;
    this.#onFact = onFact;
  }

  look(): void {
    const reason = this.#disk.shortage();
    if ((reason !== null) === this.#isFull) return;
    this.#isFull = reason !== null;
    if (reason === null) this.#onFact('disk-has-room', { freeBytes: this.#disk.freeBytes() });
    else this.#onFact('disk-full', { reason });
  }
}

/** Writes the session file, again and again while it finds no room. Rejects when the disk fails. */
export async function writeSession(
  around: {
    readonly disk: Pick<Disk, 'writeSession'>;
    readonly clock: Pick<Clock, 'after'>;
    readonly onFact: OnFact;
  },
  epoch: BrokerEpoch,
): Promise<void> {
  for (;;) {
    try {
      await around.disk.writeSession(epoch);
      return;
    } catch (error) {
      if (!isShortage(error)) throw error;
      around.onFact('session-waits', { reason: String(error) });
      await new Promise<void>((resolve) => {
        around.clock.after(SESSION_RETRY_MS, resolve);
      });
    }
  }
}
