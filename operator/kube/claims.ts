/**
 * Which of several operators looks after a resource: each has a Lease beside it that names one.
 * Operators that know nothing of each other, each with a lead of its own, would else write the same
 * objects for ever, one against the other. All copies of one operator claim under one name: which
 * of them acts is for {@link LeaderLease} to say.
 *
 * As there, nobody's clock is compared with another's: a claim is taken over once it was watched to
 * stay unchanged for its whole duration, and believed in for a shorter time.
 */
import type { Clock } from '../../base/clock.ts';
import type { KubeClient } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import { keyOf, microTime } from './kube-object.ts';
import type { KubeObject } from './kube-object.ts';
import { LEASE } from './leader-lease.ts';

export interface ClaimsOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  /** Of this operator, all its copies alike. */
  readonly holder: string;
  readonly clock: Clock;
  /** Claims cannot be made here: told once, and all else goes on without them. */
  readonly onForbidden: (error: KubeError) => void;
}

/** Others wait so long for a sign of the holder. */
const DURATION_MS = 60_000;
/** The holder stops after so long without a renewal. */
const BELIEF_MS = 45_000;
const RENEW_MS = 20_000;
/** A race for it was lost just now, to whom shows the next look. */
const SOMEBODY = '';

interface Claim {
  /** Last seen of the Lease, and when it was first seen like that. */
  version: string | undefined;
  seenMs: number;
  /** Before the request that was granted; -Infinity: not held. */
  renewedMs: number;
}

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #claims = new Map<string, Claim>();
  #isForbidden = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** Whether this operator may act on the resource with this key right now. */
  isHeld(key: string): boolean {
    const renewedMs = this.#claims.get(key)?.renewedMs ?? Number.NEGATIVE_INFINITY;
    return this.#isForbidden || this.#options.clock.monotonicMs() - renewedMs < BELIEF_MS;
  }

  /**
   * Claims a resource, or renews. Resolves to null where it is this operator's, else to whoever has
   * it, empty where that is not known yet. Rejects with what the API server says.
   *
   * @param leaseName beside the resource, which it goes with
   */
  async take(owner: KubeObject, leaseName: string, signal: AbortSignal): Promise<string | null> {
    const key = keyOf(owner.metadata);
    const { clock } = this.#options;
    const known = this.#claims.get(key);
    const isFresh = known !== undefined && clock.monotonicMs() - known.renewedMs < RENEW_MS;
    if (this.#isForbidden || isFresh) return null;
    const claim = known ?? {
      version: undefined,
      seenMs: clock.monotonicMs(),
      renewedMs: Number.NEGATIVE_INFINITY,
    };
    this.#claims.set(key, claim);
    try {
      return await this.#write(claim, owner, leaseName, signal);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.reason === 'Conflict' || error.reason === 'AlreadyExists') {
        claim.renewedMs = Number.NEGATIVE_INFINITY;
        return SOMEBODY;
      }
      if (error.reason !== 'Forbidden') throw error;
      this.#isForbidden = true;
      this.#options.onForbidden(error);
      return null;
    }
  }

  forget(key: string): void {
    this.#claims.delete(key);
  }

  async #write(
    claim: Claim,
    owner: KubeObject,
    leaseName: string,
    signal: AbortSignal,
  ): Promise<string | null> {
    const { client, clock, holder } = this.#options;
    const { namespace } = owner.metadata;
    const lease = await client.get(LEASE, { namespace, name: leaseName }, { signal });
    const nowMs = clock.monotonicMs();
    const before = (lease?.['spec'] ?? {}) as { readonly holderIdentity?: string };
    const { holderIdentity = holder } = before;
    const isOurs = holderIdentity === holder;
    if (lease !== undefined && lease.metadata.resourceVersion !== claim.version) {
      claim.version = lease.metadata.resourceVersion;
      claim.seenMs = nowMs;
    }
    if (!isOurs) claim.renewedMs = Number.NEGATIVE_INFINITY;
    if (!isOurs && nowMs - claim.seenMs < DURATION_MS) return holderIdentity;
    const spec = {
      ...before,
      holderIdentity: holder,
      leaseDurationSeconds: DURATION_MS / 1_000,
      renewTime: microTime(clock.wallMs()),
    };
    const written =
      lease === undefined
        ? await client.create(LEASE, leaseOf(owner, leaseName, spec), { signal })
        : await client.replace(LEASE, { ...lease, spec }, { signal });
    claim.version = written.metadata.resourceVersion;
    claim.seenMs = nowMs;
    claim.renewedMs = nowMs;
    return null;
  }
}

/** It goes with the resource. */
function leaseOf(
  { apiVersion, kind, metadata }: KubeObject,
  name: string,
  spec: object,
): KubeObject {
  const { namespace, name: ownerName, uid } = metadata;
  return {
    apiVersion: LEASE.apiVersion,
    kind: LEASE.kind,
    metadata: {
      name,
      namespace,
      ownerReferences: [{ apiVersion, kind, name: ownerName, uid: uid ?? '' }],
    },
    spec,
  };
}
