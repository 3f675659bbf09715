/**
 * The broker's own say when its pod is deleted: whoever asks is answered once the stop harms
 * nothing, or the broker has waited for as long as it may. The budget of an operator that watches
 * makes all of this needless; without one, an eviction meets the same question here
 * (docs/rules.md#careful-operator). Looks and waits, and changes nothing: anybody may ask.
 */
import type { OnFact } from '../../base/events.ts';
import { reasonOf } from '../../base/reason.ts';
import { STOP_VETO_AWAY_MS_MAX, STOP_VETO_MS_MAX } from '../../base/stop-veto.ts';
import type { StopVeto } from '../metadata/safety.ts';
import type { Cluster } from './cluster.ts';
import { imageWithin } from './decisions.ts';
import { askQuorum } from './quorum-call.ts';

/** Between two looks. */
const LOOK_MS = 500;
/** An answer of the controller takes milliseconds. */
const ASK_MS = 2_000;

/** Whoever asks meanwhile shares the answer of the first. */
export class StopGate {
  readonly #cluster: Cluster;
  readonly #onFact: OnFact;
  #opening: Promise<void> | null = null;

  constructor(cluster: Cluster, onFact: OnFact) {
    this.#cluster = cluster;
    this.#onFact = onFact;
  }

  /** Never rejects. */
  whenOpen(): Promise<void> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    const { clock } = this.#cluster;
    const begunMs = clock.monotonicMs();
    for (let isTold = false; ; isTold = true) {
      const veto = await this.#veto();
      if (veto === null) return;
      const { reason, isRecovering } = veto;
      if (!isTold) this.#onFact('stop-waits', { reason });
      const waitedMs = clock.monotonicMs() - begunMs;
      if (waitedMs + LOOK_MS > (isRecovering ? STOP_VETO_MS_MAX : STOP_VETO_AWAY_MS_MAX)) {
        this.#onFact('stop-unsafe', { reason, waitedMs: Math.round(waitedMs) });
        return;
      }
      await new Promise<void>((resolve) => {
        clock.after(LOOK_MS, resolve);
      });
    }
  }

  /** By metadata that is no older than this call. */
  async #veto(): Promise<StopVeto | null> {
    const { broker } = this.#cluster;
    // One that is not in service takes nothing away.
    if (broker.phase() !== 'serving') return null;
    try {
      const own = { deadlineMs: ASK_MS, principal: '' };
      const { commitIndex } = await askQuorum(this.#cluster, false, own);
      const { index } = await imageWithin(broker, (image) => image.index >= commitIndex, ASK_MS);
      if (index >= commitIndex) return broker.stopVeto();
      return { reason: 'the newest metadata has not come', isRecovering: false };
    } catch (error) {
      const reason = `the controller does not answer: ${reasonOf(error)}`;
      return { reason, isRecovering: false };
    }
  }
}
