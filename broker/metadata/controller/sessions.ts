/**
 * When each broker was last heard, on the monotonic clock of this controller, and which connections
 * are being probed. Times only: whether a broker is fenced stands in the image.
 */
import type { BrokerEpoch, BrokerId, MonotonicMs } from '../../../base/units.ts';
import type { BrokerState } from '../types.ts';

interface Session {
  readonly brokerEpoch: BrokerEpoch;
  lastHeardMs: MonotonicMs;
  /** Silent for a whole session, or fenced for a reason: not awaited any more. */
  isExpired: boolean;
  /** Said that its disk failed: this incarnation is never unfenced again. */
  isCondemned: boolean;
  /** Its connection was reset and nothing was heard since. */
  isWatched: boolean;
  isProbing: boolean;
  lastProbeMs: MonotonicMs;
  /**
   * Partitions whose leadership was already put to an election for the sake of this broker's stop.
   */
  readonly handedOver: Set<string>;
}

export class Sessions {
  readonly #timeoutMs: number;
  readonly #sessions = new Map<BrokerId, Session>();

  /**
   * Everybody registered gets a full session: a new controller cannot know who was silent for how
   * long.
   */
  constructor(
    brokers: Iterable<BrokerState>,
    options: { readonly timeoutMs: number; readonly nowMs: MonotonicMs },
  ) {
    this.#timeoutMs = options.timeoutMs;
    for (const broker of brokers) this.begin(broker.brokerId, broker.brokerEpoch, options.nowMs);
  }

  /** A new incarnation. */
  begin(brokerId: BrokerId, brokerEpoch: BrokerEpoch, nowMs: MonotonicMs): void {
    this.#sessions.set(brokerId, {
      brokerEpoch,
      lastHeardMs: nowMs,
      isExpired: false,
      isCondemned: false,
      isWatched: false,
      isProbing: false,
      lastProbeMs: Number.NEGATIVE_INFINITY,
      handedOver: new Set(),
    });
  }

  /** The broker was removed. */
  forget(brokerId: BrokerId): void {
    this.#sessions.delete(brokerId);
  }

  heard(brokerId: BrokerId, nowMs: MonotonicMs): void {
    const session = this.#sessions.get(brokerId);
    if (session === undefined) return;
    session.lastHeardMs = nowMs;
    session.isWatched = false;
  }

  /** The broker was fenced, whatever its timer says. */
  expire(brokerId: BrokerId): void {
    const session = this.#sessions.get(brokerId);
    if (session !== undefined) session.isExpired = true;
  }

  /** The broker was unfenced. */
  revive(brokerId: BrokerId): void {
    const session = this.#sessions.get(brokerId);
    if (session !== undefined) session.isExpired = false;
  }

  condemn(brokerId: BrokerId): void {
    const session = this.#sessions.get(brokerId);
    if (session === undefined) return;
    session.isExpired = true;
    session.isCondemned = true;
  }

  isCondemned(brokerId: BrokerId): boolean {
    return this.#sessions.get(brokerId)?.isCondemned === true;
  }

  /** Whether a broker that is fenced is still expected back within its session. */
  isAwaited(brokerId: BrokerId): boolean {
    return this.#sessions.get(brokerId)?.isExpired === false;
  }

  /** Brokers whose session ends now. Each is returned once. */
  takeExpired(nowMs: MonotonicMs): BrokerId[] {
    const silent = [...this.#sessions].filter(
      ([, session]) => !session.isExpired && nowMs - session.lastHeardMs >= this.#timeoutMs,
    );
    for (const [, session] of silent) session.isExpired = true;
    return silent.map(([brokerId]) => brokerId).toSorted((a, b) => a - b);
  }

  /** Time in which this controller did not run does not count as anybody's silence. */
  forgive(gapMs: number): void {
    for (const session of this.#sessions.values()) session.lastHeardMs += gapMs;
  }

  /** Probe this broker as soon as {@link takeProbes} is asked, and again until it is heard. */
  watch(brokerId: BrokerId): void {
    const session = this.#sessions.get(brokerId);
    if (session !== undefined) session.isWatched = true;
  }

  /**
   * Brokers to be probed now: at most one probe per broker is in flight, and `intervalMs` lies
   * between two.
   */
  takeProbes(nowMs: MonotonicMs, intervalMs: number): BrokerId[] {
    const due = [...this.#sessions].filter(
      ([, session]) =>
        session.isWatched &&
        !session.isExpired &&
        !session.isProbing &&
        nowMs - session.lastProbeMs >= intervalMs,
    );
    for (const [, session] of due) {
      session.isProbing = true;
      session.lastProbeMs = nowMs;
    }
    return due.map(([brokerId]) => brokerId);
  }

  /** A probe came back. */
  probed(brokerId: BrokerId, brokerEpoch: BrokerEpoch): void {
    const session = this.#sessions.get(brokerId);
    if (session !== undefined && session.brokerEpoch === brokerEpoch) session.isProbing = false;
  }

  /**
   * Remembers a handover for a stop; false when it was tried before, so that a leadership is not
   * put to election for ever.
   */
  noteHandover(brokerId: BrokerId, key: string): boolean {
    const session = this.#sessions.get(brokerId);
    if (session === undefined || session.handedOver.has(key)) return false;
    session.handedOver.add(key);
    return true;
  }

  /** The stop is taken back: another one tries anew. */
  forgetHandovers(brokerId: BrokerId): void {
    this.#sessions.get(brokerId)?.handedOver.clear();
  }

  hasHandedOver(brokerId: BrokerId, key: string): boolean {
    return this.#sessions.get(brokerId)?.handedOver.has(key) === true;
  }
}
