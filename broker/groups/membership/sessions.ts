/**
 * How long each member is believed to live, on the coordinator's clock. None of it is stored: a new
 * coordinator begins all sessions anew.
 */
import type { MonotonicMs } from '../../../base/units.ts';
import type { MembershipImage, MemberValue } from './image.ts';
import { TICK_MS } from './types.ts';

interface Session {
  deadlineMs: MonotonicMs;
  /** Epoch of the last view that the member has applied. */
  applied: number;
}

export class Sessions {
  readonly #byGroup = new Map<string, Map<string, Session>>();
  #nowMs: MonotonicMs;

  constructor(nowMs: MonotonicMs) {
    this.#nowMs = nowMs;
  }

  /** Where this process slept, no member could say that it lives: that time does not count. */
  tick(nowMs: MonotonicMs): void {
    const sleptMs = nowMs - this.#nowMs - 2 * TICK_MS;
    if (sleptMs > 0)
      for (const sessions of this.#byGroup.values())
        for (const session of sessions.values()) session.deadlineMs += sleptMs;
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /**
   * All members of the image, and no others, as if each had just been heard.
   *
   * @param longerMs so long another coordinator may yet answer, and let members go on
   */
  beginAll(image: MembershipImage, longerMs: number): void {
    for (const name of this.#byGroup.keys())
      if (!image.groups.has(name)) this.#byGroup.delete(name);
    for (const [group, { members }] of image.groups)
      for (const [memberId, member] of members) this.begin(group, memberId, member, longerMs);
  }

  begin(group: string, memberId: string, member: MemberValue, longerMs = 0): void {
    const sessions = this.#byGroup.get(group) ?? new Map<string, Session>();
    this.#byGroup.set(group, sessions);
    const applied = sessions.get(memberId)?.applied ?? 0;
    const lastsMs = member.isAway ? member.returnMs : member.sessionMs;
    sessions.set(memberId, { deadlineMs: this.#nowMs + lastsMs + longerMs, applied });
  }

  /** It lives, and has applied the view of this epoch. True if that is news. */
  renew(group: string, memberId: string, sessionMs: number, applied: number): boolean {
    const session = this.#byGroup.get(group)?.get(memberId);
    if (session === undefined) return false;
    session.deadlineMs = Math.max(session.deadlineMs, this.#nowMs + sessionMs);
    if (applied <= session.applied) return false;
    session.applied = applied;
    return true;
  }

  /** It ends in so many milliseconds, unless it ends sooner. */
  shrink(group: string, memberId: string, graceMs: number): void {
    const session = this.#byGroup.get(group)?.get(memberId);
    if (session !== undefined)
      session.deadlineMs = Math.min(session.deadlineMs, this.#nowMs + graceMs);
  }

  end(group: string, memberId: string): void {
    const sessions = this.#byGroup.get(group);
    sessions?.delete(memberId);
    if (sessions?.size === 0) this.#byGroup.delete(group);
  }

  applied(group: string, memberId: string): number {
    return this.#byGroup.get(group)?.get(memberId)?.applied ?? 0;
  }

  /** Those that are over. */
  *over(): Generator<readonly [group: string, memberId: string]> {
    for (const [group, sessions] of this.#byGroup)
      for (const [memberId, { deadlineMs }] of sessions)
        if (deadlineMs <= this.#nowMs) yield [group, memberId];
  }
}
