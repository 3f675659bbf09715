/**
 * One of several copies of the operator acts: the one that holds a Lease of coordination.k8s.io and
 * renews it.
 *
 * Nobody's clock is compared with another's. A candidate takes a lease over when it has itself
 * watched it, on its own monotonic clock, stay unchanged for the whole duration that the holder
 * declared. A holder believes in its lease for a shorter time, from the moment before it asked for
 * the renewal: it has stopped before anyone else may begin. That margin is all there is between the
 * two, so {@link LeaderLease.isLeading} is to be asked right before each destructive call, and such
 * calls carry uid and resourceVersion besides.
 */
import { jittered, type Random } from './backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { microTime } from './kube-object.ts';
import { sleep } from '../../process/sleep.ts';
import type { KubeClient } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import type { KubeObject, ObjectName, ResourceType } from './kube-object.ts';

export interface LeaderLeaseOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly name: ObjectName;
  /** Unique to this start of this process: a pod's name alone is not. */
  readonly identity: string;
  /** Asked before the lease is taken, which goes with its owner. Absent: none. */
  readonly owner?: () => Promise<LeaseOwner>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onStarted: () => void;
  /** Called once; from then on it never leads again. The process should end. */
  readonly onLost: (why: string) => void;
  readonly onError: (error: unknown) => void;
  readonly timing?: LeaseTiming;
}

/**
 * `gone`: whoever is to own the lease is deleted, and this process about to be, so that no lease is
 * made any more; it would be left behind.
 */
export type LeaseOwner =
  | 'none'
  | 'gone'
  | {
      readonly apiVersion: string;
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
    };

export interface LeaseTiming {
  /** Others wait this long for a sign of the holder. */
  readonly durationMs: number;
  /** The holder stops after this long without a renewal. */
  readonly renewMsMax: number;
  readonly retryMs: number;
}

export const LEASE: ResourceType = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  isNamespaced: true,
};

const TIMING: LeaseTiming = { durationMs: 15_000, renewMsMax: 10_000, retryMs: 2_000 };
const RETRY_SHARE = 0.2;

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
  readonly [field: string]: unknown;
}

/** The lease as last seen, and when by our own clock. */
interface Sighting {
  readonly lease: KubeObject;
  readonly atMs: number;
}

/** Both clocks, taken before the request that renewed the lease. */
interface Renewal {
  readonly nowMs: number;
  readonly wallMs: number;
}

export class LeaderLease {
  readonly #options: LeaderLeaseOptions;
  readonly #timing: LeaseTiming;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #seen: Sighting | undefined;
  #renewal: Renewal | undefined;
  #isLost = false;
  #cancelExpiry: () => void = () => undefined;

  /** Throws RangeError unless retry, renewal and duration grow in this order. */
  constructor(options: LeaderLeaseOptions) {
    this.#options = options;
    this.#timing = options.timing ?? TIMING;
    const { durationMs, renewMsMax, retryMs } = this.#timing;
    if (
      !(
        durationMs > renewMsMax &&
        renewMsMax > retryMs * (1 + RETRY_SHARE) &&
        retryMs > 0 &&
        durationMs % 1_000 === 0
      )
    ) {
      throw new RangeError(
        `lease timing: durationMs ${durationMs} must be whole seconds above renewMsMax ${renewMsMax}, that above 1.2 times retryMs ${retryMs}, that above 0`,
      );
    }
  }

  /**
   * Whether this process may act right now. Also false when the wall clock has run ahead: a machine
   * that slept does not count that time on its monotonic clock.
   */
  isLeading(): boolean {
    if (this.#renewal === undefined || this.#isLost) return false;
    const { clock } = this.#options;
    const { renewMsMax } = this.#timing;
    return (
      clock.monotonicMs() - this.#renewal.nowMs < renewMsMax &&
      clock.wallMs() - this.#renewal.wallMs < renewMsMax
    );
  }

  /** Starts once. */
  start(): void {
    this.#running ??= this.#run(this.#stop.signal);
  }

  /**
   * Gives the lease away, if held, so that the next need not wait. Call it when no work is under
   * way any more.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#cancelExpiry();
    if (!this.isLeading()) return;
    try {
      await this.#release();
    } catch (error) {
      this.#options.onError(error);
    }
    this.#isLost = true;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#isLost) {
      await this.#attempt(signal);
      if (this.#isLost) return;
      await sleep(
        this.#options.clock,
        jittered(this.#timing.retryMs, RETRY_SHARE, this.#options.random),
        signal,
      );
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    try {
      await this.#tryHold(signal);
    } catch (error) {
      if (error instanceof KubeError && ['Conflict', 'AlreadyExists'].includes(error.reason)) {
        // Somebody wrote: look again at once, for a holder must know whether it was another.
        this.#seen = undefined;
        if (this.#renewal !== undefined) await this.#lookAgain();
        return;
      }
      this.#options.onError(error);
    }
  }

  async #lookAgain(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#options.onError(error);
    }
  }

  async #tryHold(signal: AbortSignal): Promise<void> {
    const { client, clock, name } = this.#options;
    // A holder writes over what it wrote last; a candidate must see what the holder did since.
    const lease =
      this.#renewal !== undefined && this.#seen !== undefined
        ? this.#seen.lease
        : await this.#look();
    if (this.#isLost || (lease !== undefined && !this.#mayTake(lease))) return;
    const owner = this.#renewal === undefined ? await this.#options.owner?.() : 'none';
    if (owner === 'gone' || signal.aborted) return;
    const owned = owner === undefined || owner === 'none' ? {} : { ownerReferences: [owner] };
    const started: Renewal = { nowMs: clock.monotonicMs(), wallMs: clock.wallMs() };
    const spec = this.#renewed(specOf(lease), started.wallMs);
    const call = this.#call();
    const written =
      lease === undefined
        ? await client.create(
            LEASE,
            {
              apiVersion: LEASE.apiVersion,
              kind: LEASE.kind,
              metadata: { ...name, ...owned },
              spec,
            },
            call,
          )
        : await client.replace(
            LEASE,
            { ...lease, metadata: { ...lease.metadata, ...owned }, spec },
            call,
          );
    if (this.#isLost) return;
    this.#see(written);
    const isFirst = this.#renewal === undefined;
    this.#renewal = started;
    this.#watchExpiry(started);
    if (isFirst && !signal.aborted) this.#options.onStarted();
  }

  async #look(): Promise<KubeObject | undefined> {
    const lease = await this.#options.client.get(LEASE, this.#options.name, this.#call());
    if (
      lease !== undefined &&
      lease.metadata.resourceVersion !== this.#seen?.lease.metadata.resourceVersion
    )
      this.#see(lease);
    const holder = specOf(lease).holderIdentity ?? '';
    if (this.#renewal !== undefined && holder !== this.#options.identity) {
      this.#lose(holder === '' ? 'the lease was taken away' : `${holder} holds the lease`);
    }
    return lease;
  }

  #see(lease: KubeObject): void {
    this.#seen = { lease, atMs: this.#options.clock.monotonicMs() };
  }

  #mayTake(lease: KubeObject): boolean {
    const { holderIdentity = '', leaseDurationSeconds = 0 } = specOf(lease);
    // Ours although we do not lead: the answer to our request was lost.
    if (holderIdentity === '' || holderIdentity === this.#options.identity) return true;
    return (
      this.#seen !== undefined &&
      this.#options.clock.monotonicMs() - this.#seen.atMs >= leaseDurationSeconds * 1_000
    );
  }

  #renewed(before: LeaseSpec, wallMs: number): LeaseSpec {
    const { identity } = this.#options;
    const isMine = before.holderIdentity === identity;
    const renewTime = microTime(wallMs);
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: this.#timing.durationMs / 1_000,
      renewTime,
      acquireTime: isMine ? (before.acquireTime ?? renewTime) : renewTime,
      leaseTransitions: (before.leaseTransitions ?? 0) + (isMine ? 0 : 1),
    };
  }

  async #release(): Promise<void> {
    const lease = this.#seen?.lease;
    if (lease === undefined) return;
    const { holderIdentity: _, ...rest } = specOf(lease);
    // An empty name is refused by some versions of the API server; an absent one by none. Nor is a
    // duration of zero taken.
    const spec = {
      ...rest,
      leaseDurationSeconds: 1,
      renewTime: microTime(this.#options.clock.wallMs()),
    };
    await this.#options.client.replace(
      LEASE,
      { ...lease, spec },
      { timeoutMs: this.#timing.retryMs },
    );
  }

  #watchExpiry({ nowMs }: Renewal): void {
    const { clock } = this.#options;
    this.#cancelExpiry();
    const leftMs = nowMs + this.#timing.renewMsMax - clock.monotonicMs();
    this.#cancelExpiry = clock.after(Math.max(0, leftMs), () =>
      this.#lose(`no renewal within ${this.#timing.renewMsMax} ms`),
    );
  }

  #lose(why: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#cancelExpiry();
    this.#options.onLost(why);
  }

  /**
   * A request that hangs must leave time for another before the lease is given up. None is
   * cancelled: its outcome would be unknown.
   */
  #call(): { timeoutMs: number } {
    return { timeoutMs: this.#timing.renewMsMax / 2 };
  }
}

function specOf(lease: KubeObject | undefined): LeaseSpec {
  return (lease?.['spec'] ?? {}) as LeaseSpec;
}
