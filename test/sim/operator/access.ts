/**
 * Rules of access as brokers keep them, by the real decisions, and what must hold of them: nothing
 * is granted that nobody wants with the LogCluster's consent, nothing is taken back that somebody
 * wants so, and what a person granted stays. The law is written down here a second time, right by
 * right.
 */
import { LOG_ACCESS } from '../../../operator/api/kinds.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import {
  operationsField,
  placeField,
  ruleField,
  ruleToMessage,
} from '../../../broker/messages/access.ts';
import { type AccessRule, resourceText } from '../../../base/access.ts';
import type {
  GrantAccessRequest,
  RevokeAccessRequest,
} from '../../../proto/gen/tidemark/v1/access.ts';
import type { ObjectStore } from '../../fixtures/kube/object-store.ts';
import { served } from '../../fixtures/kube/resources.ts';
import { RuleBook } from '../../fixtures/operator/access.ts';
import { Refusal } from './brokers.ts';
import type { SimulatedTime } from './time.ts';

const CRD = { hasStatus: true, hasGeneration: true } as const;
export const ACCESS_TYPE = served(LOG_ACCESS.apiVersion, LOG_ACCESS.kind, LOG_ACCESS.plural, CRD);
/** An operator that stood still may grant what it saw before; longer than it may lead, never. */
const STALE_MS = 60_000;
const WATCH_MS = 200;

interface Wish {
  readonly clusterName: string;
  readonly clusterNamespace?: string;
  readonly serviceAccounts?: readonly string[];
  readonly rules?: readonly {
    readonly resource: string;
    readonly name: string;
    readonly operations: readonly string[];
  }[];
}

interface Consent {
  readonly namespaces: readonly string[];
  readonly topics?: readonly string[];
  readonly operations: readonly string[];
}

export interface AccessModelOptions {
  readonly time: SimulatedTime;
  readonly store: ObjectStore;
  readonly cluster: () => KubeObject | undefined;
  readonly fault: (text: string) => void;
}

export class AccessModel {
  readonly #options: AccessModelOptions;
  readonly book = new RuleBook();
  /** Why brokers refuse to grant this; undefined: they do not. */
  refuses: (rule: AccessRule) => string | undefined = () => undefined;
  /** Rights of people, which nobody may take. */
  readonly #byHand = new Set<string>();
  /** When each right was last wanted with consent, and since when it is without a break. */
  readonly #lawfulMs = new Map<string, number>();
  readonly #lawfulSinceMs = new Map<string, number>();
  /** Grants and revocations that changed something, and those that did not. */
  changes = 0;
  calls = 0;

  constructor(options: AccessModelOptions) {
    this.#options = options;
    options.time.after(0, () => this.#watch());
  }

  /** One admin call. Throws {@link Refusal}. */
  call(method: string, request: unknown): unknown {
    if (method === 'ListAccess')
      return { rules: this.book.rules.map(ruleToMessage), administrators: [] };
    const before = this.book.image.access;
    this.calls += 1;
    if (method === 'GrantAccess') {
      const { rule, forLogAccess } = request as GrantAccessRequest;
      this.#grant(ruleField(rule), forLogAccess);
    } else if (method === 'RevokeAccess') {
      const { principal, resource, operations, forLogAccess } = request as RevokeAccessRequest;
      const place = placeField(principal, resource);
      this.#revoke(
        { ...place, operations: operationsField('operations', operations) },
        forLogAccess,
      );
    } else throw new Error(`the model has no ${method}`);
    if (before !== this.book.image.access) this.changes += 1;
    const gone = [...this.#byHand].filter((right) => !this.#rights().includes(right));
    for (const right of gone) this.#options.fault(`${right} was a person's, and is gone`);
    return { rule: undefined };
  }

  /** A person grants. */
  grantByHand(principal: string, text: string): void {
    this.book.byHand(principal, text);
    const [operations = '', resource = ''] = text.split(' ');
    for (const operation of operations.split(','))
      this.#byHand.add(`${principal} ${operation} ${resource}`);
  }

  /** The brokers have what is wanted with consent, what people granted, and nothing else. */
  get isSettled(): boolean {
    const wanted = [...new Set([...this.#lawful(), ...this.#byHand])].toSorted();
    return JSON.stringify(this.#rights().toSorted()) === JSON.stringify(wanted);
  }

  #grant(rule: AccessRule, isGiven: boolean): void {
    const why = this.refuses(rule);
    if (why !== undefined) throw new Refusal(why);
    this.#note();
    for (const right of rightsOf(rule)) {
      const lawfulMs = this.#lawfulMs.get(right) ?? Number.NEGATIVE_INFINITY;
      if (this.#options.time.monotonicMs - lawfulMs > STALE_MS)
        this.#options.fault(`${right} is granted, which nobody wants with consent`);
    }
    if (!isGiven) this.#options.fault('the operator grants as if it were a person');
    this.book.grant(rule, isGiven);
  }

  #revoke(rule: AccessRule, isGiven: boolean): void {
    this.#note();
    for (const right of rightsOf(rule)) {
      const sinceMs = this.#lawfulSinceMs.get(right) ?? Number.POSITIVE_INFINITY;
      if (this.#options.time.monotonicMs - sinceMs > STALE_MS)
        this.#options.fault(`${right} is taken back, which is wanted with consent`);
    }
    this.book.revoke(rule, isGiven);
  }

  #rights(): string[] {
    return this.book.rules.flatMap(rightsOf);
  }

  #watch(): void {
    this.#note();
    this.#options.time.after(WATCH_MS, () => this.#watch());
  }

  #note(): void {
    const nowMs = this.#options.time.monotonicMs;
    const lawful = this.#lawful();
    for (const right of lawful) {
      this.#lawfulMs.set(right, nowMs);
      if (!this.#lawfulSinceMs.has(right)) this.#lawfulSinceMs.set(right, nowMs);
    }
    for (const right of this.#lawfulSinceMs.keys())
      if (!lawful.has(right)) this.#lawfulSinceMs.delete(right);
  }

  #lawful(): ReadonlySet<string> {
    const { store } = this.#options;
    return new Set(
      store.list(ACCESS_TYPE, undefined).flatMap(({ metadata, ...object }) => {
        const { namespace = '' } = metadata;
        const { clusterName, clusterNamespace = namespace, ...wish } = object['spec'] as Wish;
        const cluster = this.#options.cluster();
        const isMeant =
          cluster?.metadata.name === clusterName && cluster.metadata.namespace === clusterNamespace;
        const consents = isMeant ? consentsOf(cluster) : [];
        return (wish.rules ?? []).flatMap(({ resource, name, operations }) =>
          operations
            .filter((operation) =>
              consents.some((consent) => allows(consent, { namespace, name, operation })),
            )
            .flatMap((operation) =>
              (wish.serviceAccounts ?? []).map(
                (account) =>
                  `system:serviceaccount:${namespace}:${account} ${operation} ${resource}:${name}`,
              ),
            ),
        );
      }),
    );
  }
}

function consentsOf(cluster: KubeObject): readonly Consent[] {
  const { access = [] } = cluster['spec'] as {
    readonly access?: readonly Consent[] | null;
  };
  return access ?? [];
}

function allows(
  { namespaces, topics = [], operations }: Consent,
  asked: { readonly namespace: string; readonly name: string; readonly operation: string },
): boolean {
  return (
    namespaces.includes(asked.namespace) &&
    operations.includes(asked.operation) &&
    topics.some((topic) =>
      topic.endsWith('*') ? asked.name.startsWith(topic.slice(0, -1)) : asked.name === topic,
    )
  );
}

function rightsOf({ principal, kind, name, operations }: AccessRule): string[] {
  return operations.map((operation) => `${principal} ${operation} ${resourceText({ kind, name })}`);
}
