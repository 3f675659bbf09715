/**
 * Changes of sync sets on their way from this broker's leaders to the controller. One request is
 * under way at a time, with all that waited for it: when a broker comes back, every leader has a
 * change in the same second, and thousands of calls of their own would starve the heartbeats
 * beside them. What waits is bounded by the leaders here, which have one change under way each.
 */
import { SYNC_SET_CHANGES_MAX } from '../../../base/limits.ts';
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type {
  AlterSyncSetRequest,
  ControllerRequest,
  Decision,
  SyncSetChange,
} from '../../metadata/controller-types.ts';
import { hasLevel, LEVEL_OF_CHANGES } from '../../metadata/features.ts';
import type { MetadataImage } from '../../metadata/types.ts';

/** Requests of one change that are under way at a time, to a controller that takes no others. */
const SINGLES_MAX = 16;
const DEADLINE_MS = 2_000;

export interface ChangeRequestsOptions {
  readonly clock: Pick<Clock, 'soon'>;
  readonly image: () => MetadataImage;
  /** Who asks, as it is registered now. */
  readonly sender: () => Pick<AlterSyncSetRequest, 'brokerId' | 'brokerEpoch'>;
  readonly decide: (request: ControllerRequest, deadlineMs: number) => Promise<Decision>;
}

interface Waiting {
  readonly change: SyncSetChange;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class ChangeRequests {
  readonly #options: ChangeRequestsOptions;
  #waiting: Waiting[] = [];
  #isAsking = false;

  constructor(options: ChangeRequestsOptions) {
    this.#options = options;
  }

  /** Resolves once the change is committed; rejects with why not, or that it is not known. */
  propose(change: SyncSetChange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      this.#askSoon();
    });
  }

  #askSoon(): void {
    if (this.#isAsking || this.#waiting.length === 0) return;
    this.#isAsking = true;
    this.#options.clock.soon(() => {
      void this.#ask().then(() => {
        this.#isAsking = false;
        this.#askSoon();
      });
    });
  }

  /** Settles all that it takes, and never rejects. */
  async #ask(): Promise<void> {
    const takesMany = hasLevel(this.#options.image(), LEVEL_OF_CHANGES);
    const asked = this.#waiting.splice(0, takesMany ? SYNC_SET_CHANGES_MAX : SINGLES_MAX);
    if (takesMany) return this.#askMany(asked);
    const answers = asked.map(({ change, resolve, reject }) =>
      this.#options
        .decide({ kind: 'alter-sync-set', ...this.#options.sender(), ...change }, DEADLINE_MS)
        .then(() => resolve(), reject),
    );
    await Promise.all(answers);
  }

  async #askMany(asked: readonly Waiting[]): Promise<void> {
    const { decide, sender } = this.#options;
    const changes = asked.map(({ change }) => change);
    try {
      const reply = await decide({ kind: 'alter-sync-sets', ...sender(), changes }, DEADLINE_MS);
      const outcomes = reply.kind === 'alter-sync-sets' ? reply.outcomes : [];
      if (outcomes.length !== asked.length)
        throw new BrokerError(
          'OUTCOME_UNKNOWN',
          `Cannot tell what became of ${asked.length} changes of sync sets: the answer is for others`,
        );
      for (const [at, { resolve, reject }] of asked.entries()) {
        const outcome = outcomes[at];
        if (outcome instanceof BrokerError) reject(outcome);
        else resolve();
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
