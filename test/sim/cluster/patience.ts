/**
 * What strikes of several steps wait with: simulated time, and calls that are made until granted.
 */
import { type Admin, TidemarkError } from '../../../client/index.ts';
import type { PartitionState } from '../../../broker/metadata/types.ts';
import type { Ground } from './ground.ts';

const LOOK_MS = 50;
const TRY_AGAIN_MS = 300;

export class Patience {
  readonly ground: Ground;
  readonly admin: Admin;
  /** Strikes go on: false once healing has begun. */
  readonly isOn: () => boolean;

  constructor(ground: Ground, admin: Admin, isOn: () => boolean) {
    this.ground = ground;
    this.admin = admin;
    this.isOn = isOn;
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.ground.time.after(ms, resolve));
  }

  /** Resolves with whether it came to be within the time. */
  async until(isSo: () => boolean, withinMs: number): Promise<boolean> {
    for (let waitedMs = 0; !isSo(); waitedMs += LOOK_MS) {
      if (waitedMs >= withinMs) return false;
      await this.pause(LOOK_MS);
    }
    return true;
  }

  /**
   * Calls until it is granted, or refused with a code that says that an earlier try did it.
   * Resolves with whether that was so within the time.
   */
  async insist(
    what: string,
    call: () => Promise<unknown>,
    doneCode: string,
    withinMs: number,
  ): Promise<boolean> {
    const endMs = this.ground.time.nowMs + withinMs;
    while (this.ground.time.nowMs < endMs) {
      try {
        await call();
        this.ground.note(`done ${what}`);
        return true;
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        this.ground.note(`${what}: ${error.code} ${error.message.slice(0, 120)}`);
        if (error.code === doneCode) return true;
      }
      await this.pause(TRY_AGAIN_MS);
    }
    return false;
  }
}

/** A partition as the newest metadata has it. */
export type RowOf = (topic: string, partition: number) => PartitionState | null;
