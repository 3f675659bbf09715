/**
 * An orderly stop of a member, up to where its process ends, and back: what was appended is
 * committed, then others lead (rule 22: the old leader drains before it hands over, or records
 * acknowledged by it alone would be lost). Kafka has no way back; here a stop that is called off
 * costs no restart.
 */
import type { OnFact } from '../../../base/events.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { hasLevel, LEVEL_OF_OPTIONS, requireLevel } from '../../metadata/features.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Clock } from '../../../base/clock.ts';
import type { Replica } from '../partitions/replica.ts';
import type { Replicas } from '../partitions/replicas.ts';
import type { Watchers } from '../watchers.ts';

export interface OrderlyStopOptions {
  readonly self: BrokerId;
  readonly clock: Clock;
  readonly stopTimeoutMs: number;
  readonly replicas: Replicas;
  readonly lifecycle: Lifecycle;
  readonly image: () => MetadataImage;
  readonly imageWatchers: Watchers;
  readonly onFact: OnFact;
}

const DRAIN_LOOK_MS = 5;

/** One stop that was begun. */
interface Begun {
  isCancelled: boolean;
  readonly leadersLeft: Promise<number>;
}

export class OrderlyStop {
  readonly #options: OrderlyStopOptions;
  #begun: Begun | null = null;

  constructor(options: OrderlyStopOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the number of partitions that nobody else can lead. Repeated calls share one
   * result. Rejects where the stop is taken back.
   */
  prepare(): Promise<number> {
    this.#begun ??= this.#begin();
    return this.#begun.leadersLeft;
  }

  /**
   * Takes it back: leaderships come home as after a restart. Resolves once this broker's own
   * metadata shows it, at once where no stop was begun. Rejects below the feature level that knows
   * of it, and where another stop begins meanwhile.
   */
  async cancel(): Promise<void> {
    const { self, lifecycle, image, imageWatchers, replicas, onFact } = this.#options;
    requireLevel(image(), LEVEL_OF_OPTIONS, `take back the stop of broker ${self}`);
    const isStopping = (): boolean => image().brokers.get(self)?.stopping === true;
    if (this.#begun === null && !isStopping()) return;
    if (this.#begun !== null) this.#begun.isCancelled = true;
    this.#begun = null;
    await lifecycle.cancelStop();
    await imageWatchers.until(() => !isStopping() || this.#begun !== null);
    if (this.#begun !== null) throw takenOver();
    // What was handed away is led elsewhere by now; what is still led here takes appends again.
    for (const replica of replicas) replica.resume();
    onFact('stop-taken-back', {});
  }

  #begin(): Begun {
    const state = { isCancelled: false };
    return Object.assign(state, { leadersLeft: this.#drain(() => state.isCancelled) });
  }

  async #drain(isCancelled: () => boolean): Promise<number> {
    const { clock, stopTimeoutMs, replicas, lifecycle, onFact } = this.#options;
    const end = clock.monotonicMs() + stopTimeoutMs;
    while (!drainAll(replicas) && !isCancelled() && clock.monotonicMs() < end)
      await this.#pause(DRAIN_LOOK_MS);
    if (isCancelled()) throw new BrokerError('REFUSED', 'The stop was taken back');
    const leadersLeft = await lifecycle.prepareStop(Math.max(0, end - clock.monotonicMs()));
    onFact('leadership-drained', { leadersLeft });
    return leadersLeft;
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(delayMs, resolve);
    });
  }
}

/**
 * Told at every look: leaderships still come in until the controller knows of the stop, and after
 * it where nobody else can lead. True: nothing that is led here waits to be committed.
 */
export function drainAll(replicas: Iterable<Replica>): boolean {
  let isDrained = true;
  for (const replica of replicas) {
    replica.drain();
    if (replica.isLeader && !replica.status().isDrained) isDrained = false;
  }
  return isDrained;
}

/**
 * Metadata says that the broker is stopping, and it may take that back: a request that said so can
 * arrive after the one that took it back.
 */
export function isTakenForStopping(image: MetadataImage, brokerId: BrokerId): boolean {
  return image.brokers.get(brokerId)?.stopping === true && hasLevel(image, LEVEL_OF_OPTIONS);
}

function takenOver(): BrokerError {
  return new BrokerError('REFUSED', 'Cannot take the stop back: another one has begun');
}
