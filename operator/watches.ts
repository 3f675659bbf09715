/** The watches that fill the operator's cache: which kinds, in which namespaces. */
import type { Kind, KubeObject } from './api/kinds.ts';
import {
  CLAIM,
  DISRUPTION_BUDGET,
  LOG_ACCESS,
  LOG_CLUSTER,
  LOG_TOPIC,
  NETWORK_POLICY,
  NODE,
  POD,
  SERVICE,
  STATEFUL_SET,
} from './api/kinds.ts';
import { BROKER_SELECTOR, FIELD_MANAGER } from './api/names.ts';
import { Reflector, type ReflectorOptions } from './kube/reflector.ts';

const WATCHED: readonly Kind[] = [
  LOG_CLUSTER,
  LOG_TOPIC,
  STATEFUL_SET,
  POD,
  CLAIM,
  SERVICE,
  DISRUPTION_BUDGET,
];

/**
 * Of kinds of which a cluster may have thousands that are nobody's here. Of the others those of
 * somebody else matter too, where they have our names.
 */
const SELECTORS: ReadonlyMap<Kind, string> = new Map([
  [POD, BROKER_SELECTOR],
  [CLAIM, BROKER_SELECTOR],
]);

/** Without what the API server notes of fields of others: that is a third of an object. */
function ownClaims(object: KubeObject): KubeObject {
  const { managedFields, ...metadata } = object.metadata as KubeObject['metadata'] & {
    readonly managedFields?: readonly { readonly manager?: string }[];
  };
  if (managedFields === undefined) return object;
  const ours = managedFields.filter(({ manager }) => manager === FIELD_MANAGER);
  return { ...object, metadata: { ...metadata, managedFields: ours } };
}

export interface WatchesOptions {
  /** None: all. */
  readonly namespaces: readonly string[];
  /** Of LogClusters; empty: all. */
  readonly selector: string;
  readonly canReadNodes: boolean;
  readonly makesPolicies: boolean;
}

export class Watches {
  readonly #reflectors: readonly Reflector[];
  /**
   * Apart: where the definition of LogAccess is not there, as with an older chart, or may not be
   * read, all else goes on.
   */
  readonly #access: readonly Reflector[];

  constructor(options: WatchesOptions, machinery: Omit<ReflectorOptions, 'type' | 'namespace'>) {
    const { namespaces, selector, canReadNodes, makesPolicies } = options;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    const reflectorsOf = (types: readonly Kind[]): Reflector[] =>
      types.flatMap((type) =>
        (type.isNamespaced ? scopes : [undefined]).map((namespace) => {
          const labelSelector = SELECTORS.get(type) ?? (type === LOG_CLUSTER ? selector : '');
          const given = labelSelector === '' ? {} : { labelSelector };
          return new Reflector({ ...machinery, type, namespace, ...given, keep: ownClaims });
        }),
      );
    this.#reflectors = reflectorsOf([
      ...WATCHED,
      ...(makesPolicies ? [NETWORK_POLICY] : []),
      ...(canReadNodes ? [NODE] : []),
    ]);
    this.#access = reflectorsOf([LOG_ACCESS]);
  }

  get all(): readonly Reflector[] {
    return [...this.#reflectors, ...this.#access];
  }

  /** The cache holds whole lists of everything but LogAccess. */
  get hasSynced(): boolean {
    return this.#reflectors.every(({ hasSynced }) => hasSynced);
  }

  whenSynced(): Promise<unknown> {
    return Promise.all(this.#reflectors.map((reflector) => reflector.whenSynced()));
  }

  /** The same with LogAccess: perhaps never. */
  whenAllSynced(): Promise<unknown> {
    return Promise.all(this.all.map((reflector) => reflector.whenSynced()));
  }

  start(): void {
    for (const reflector of this.all) reflector.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((reflector) => reflector.stop()));
  }
}
