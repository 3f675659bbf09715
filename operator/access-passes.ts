/**
 * Passes over the LogAccess resources of one LogCluster: observe, decide, act, tell. A queue of its
 * own, by cluster, so that what is refused holds up nothing else, and so that what two resources
 * want is seen together. It begins only when LogAccess resources have been listed: an empty cache
 * would take every right back.
 */
import { OutdatedError } from './act/outdated.ts';
import { isUnreachable } from './act/carry-out.ts';
import { reasonOf } from '../base/reason.ts';
import { placeKey, resourceText } from '../base/access.ts';
import type { ObjectName } from './api/kinds.ts';
import { LOG_ACCESS, LOG_CLUSTER } from './api/kinds.ts';
import type { LogCluster } from './api/types.ts';
import { readLogClusterSpec } from './api/validate.ts';
import { type AccessChange, type AccessObservation, planAccess } from './decide/access.ts';
import { counted, listed } from './decide/service.ts';
import type { Action, EventNote } from './decide/types.ts';
import { keyOf, nameOf, type KubeObject } from './kube/kube-object.ts';
import { askAccess, clusterKeyOf, readLogAccesses } from './observe/access.ts';
import type { BrokerCalls } from './observe/broker-admin.ts';
import type { ObjectCache } from './kube/cache.ts';
import type { PassResult } from './runtime/reconciler.ts';

/** Between looks at what others may have changed at the brokers. */
const LOOK_AGAIN_MS = 60_000;
/** Between questions to a controller that does not answer. */
const ASK_AGAIN_MS = 5_000;
/** Own writes show in the caches within milliseconds. */
const CATCH_UP_MS = 100;

export interface AccessPassesOptions {
  readonly cache: ObjectCache;
  readonly admin: BrokerCalls;
  readonly wallMs: () => number;
  /** Where the last pass over a cluster found its controller; null: nowhere; absent: none yet. */
  readonly controllerOf: (clusterKey: string) => string | null | undefined;
  /** Whether a LogCluster would be seen here, if it were there. */
  readonly wouldSee: (cluster: ObjectName) => boolean;
  /** Own writes that the cache does not show yet. */
  readonly hasPending: (key: string) => boolean;
  readonly forget: (key: string) => void;
  /**
   * Carries out an action for a cluster, as long as this operator leads and the cluster is its own;
   * null: of no cluster.
   */
  readonly perform: (
    key: string,
    cluster: LogCluster | null,
    action: Action,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly tell: (regarding: KubeObject, events: readonly EventNote[]) => void;
}

/** What became of the changes of one pass. */
interface Outcome {
  readonly revoked: readonly AccessChange[];
  /** What brokers said of granting, by place. */
  readonly refused: ReadonlyMap<string, string>;
  /** The first of those that failed. */
  readonly failure: Error | null;
}

export class AccessPasses {
  readonly #options: AccessPassesOptions;

  constructor(options: AccessPassesOptions) {
    this.#options = options;
  }

  /** Every cluster that there is, or that a LogAccess names. */
  allKeys(): string[] {
    const { cache } = this.#options;
    const clusters = cache.list(LOG_CLUSTER).map(({ metadata }) => keyOf(metadata));
    const named = cache.list(LOG_ACCESS).map(clusterKeyOf);
    return [...new Set([...clusters, ...named.filter((key) => key !== null)])];
  }

  async pass(key: string, signal: AbortSignal): Promise<PassResult> {
    const { cache, admin, controllerOf, wouldSee, hasPending, forget } = this.#options;
    const own = accessKey(key);
    if (hasPending(own)) return { requeueAfterMs: CATCH_UP_MS };
    const cluster = cache.get(LOG_CLUSTER, nameOf(key));
    const resources = readLogAccesses(cache, key);
    if (cluster === undefined) {
      if (resources.length === 0) forget(own);
      // Another operator may see it: whoever does writes.
      if (resources.length === 0 || !wouldSee(nameOf(key))) return { isGone: true };
      const nothing = { cluster: null, clusterName: key, faults: [], known: null, resources };
      await this.#conclude(own, nothing, signal, new Map());
      return {};
    }
    const controllerAddress = controllerOf(key);
    // The cluster's own pass comes first, and asks for this one again.
    if (controllerAddress === undefined) return {};
    const { spec, faults } = readLogClusterSpec(cluster['spec']);
    const known =
      controllerAddress === null ? null : await askAccess(admin, controllerAddress, signal);
    const observation: AccessObservation & { readonly cluster: LogCluster } = {
      cluster: { ...cluster, spec } as unknown as LogCluster,
      clusterName: key,
      faults: faults.map(({ message }) => message),
      known,
      resources,
    };
    const { changes, isCut } = planAccess(observation, this.#options.wallMs());
    const { revoked, refused, failure } = await this.#change(own, observation, changes, signal);
    this.#tellRevoked(cluster, revoked);
    const hasWritten = await this.#conclude(own, observation, signal, refused);
    if (failure !== null) throw failure;
    if (changes.length > 0 || isCut || hasWritten) return { requeueAfterMs: CATCH_UP_MS };
    // One that answers no more is asked again; where none is known, the cluster's own pass looks.
    if (known === null) return controllerAddress === null ? {} : { requeueAfterMs: ASK_AGAIN_MS };
    return resources.length === 0 ? {} : { requeueAfterMs: LOOK_AGAIN_MS };
  }

  /** Each by itself: one that is refused stops no other. */
  async #change(
    own: string,
    { cluster }: AccessObservation & { readonly cluster: LogCluster },
    changes: readonly AccessChange[],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const revoked: AccessChange[] = [];
    const refused = new Map<string, string>();
    let failure: Error | null = null;
    for (const change of changes) {
      try {
        await this.#options.perform(own, cluster, change, signal);
        if (change.kind === 'revoke-access') revoked.push(change);
      } catch (error) {
        if (signal.aborted || error instanceof OutdatedError || isUnreachable(error)) throw error;
        failure ??= new Error(`${change.kind}: ${reasonOf(error)}`, { cause: error });
        if (change.kind === 'grant-access') refused.set(placeKey(change.rule), reasonOf(error));
      }
    }
    return { revoked, refused, failure };
  }

  /** True where a status was written. */
  async #conclude(
    own: string,
    observation: AccessObservation & { readonly cluster: LogCluster | null },
    signal: AbortSignal,
    refused: Outcome['refused'],
  ): Promise<boolean> {
    const { statuses } = planAccess(observation, this.#options.wallMs(), refused);
    for (const { resource, status, events } of statuses) {
      const action: Action = { kind: 'write-access-status', of: resource.metadata, status };
      await this.#options.perform(own, observation.cluster, action, signal);
      this.#options.tell(resource as unknown as KubeObject, events);
    }
    return statuses.length > 0;
  }

  #tellRevoked(cluster: KubeObject, revoked: readonly AccessChange[]): void {
    if (revoked.length === 0) return;
    const texts = revoked.map(
      ({ rule }) => `${rule.operations.join(', ')} of ${resourceText(rule)} from ${rule.principal}`,
    );
    const note = `Took back ${counted(revoked.length, 'rule')} that LogAccess had given: ${listed(texts)}`;
    this.#options.tell(cluster, [{ reason: 'AccessRevoked', note }]);
  }
}

/** Of what is expected for the LogAccess resources of a cluster: a cluster may have this name. */
function accessKey(key: string): string {
  return `logaccess ${key}`;
}
