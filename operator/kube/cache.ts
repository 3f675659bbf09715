/**
 * What the watches have seen: frozen objects by kind and name, by namespace and by owner. Always
 * somewhat behind the API server; how far is told by {@link ObjectCache.observedVersion}. Only
 * reflectors write to it.
 */
import {
  compareVersions,
  type KubeObject,
  keyOf,
  type ObjectName,
  type ResourceType,
} from './kube-object.ts';

/** What one reflector fills: no two of one cache overlap. */
export interface CacheScope {
  readonly type: ResourceType;
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
}

export type CacheChange =
  | { readonly kind: 'added'; readonly object: KubeObject }
  | { readonly kind: 'modified'; readonly object: KubeObject; readonly previous: KubeObject }
  /**
   * `object` is the last that was seen of it. `isSeen`: it was that when it went; else it is
   * missing from a list, and may have changed before.
   */
  | { readonly kind: 'deleted'; readonly object: KubeObject; readonly isSeen: boolean };

export type CacheListener = (change: CacheChange) => void;

interface Scope {
  readonly namespace: string | undefined;
  /** Everything up to this version is in the cache. */
  version: string;
}

interface Kind {
  readonly objects: Map<string, KubeObject>;
  readonly scopes: Scope[];
}

const NO_OBJECTS: ReadonlyMap<string, KubeObject> = new Map();

export class ObjectCache {
  readonly #kinds = new Map<string, Kind>();
  /** uid of an owner to what it owns, by kind and key. */
  readonly #owned = new Map<string, Map<string, KubeObject>>();
  readonly #listeners = new Set<CacheListener>();
  readonly #onListenerError: (error: unknown) => void;

  /** A listener that throws is reported to `onListenerError`; the others and the watch go on. */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  get(type: ResourceType, name: ObjectName): KubeObject | undefined {
    return this.#objects(type).get(keyOf(name));
  }

  /** In no particular order. */
  list(type: ResourceType, namespace?: string): KubeObject[] {
    const all = [...this.#objects(type).values()];
    return namespace === undefined
      ? all
      : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** Objects of one kind whose ownerReferences name `uid`. */
  ownedBy(uid: string, type: ResourceType): KubeObject[] {
    const id = idOf(type);
    return [...(this.#owned.get(uid)?.values() ?? [])].filter((object) => idOf(object) === id);
  }

  /**
   * Every write of this kind and namespace up to this version is seen here; empty before the first
   * list.
   */
  observedVersion(type: ResourceType, namespace: string | undefined): string {
    const scopes = this.#kinds.get(idOf(type))?.scopes ?? [];
    const scope = scopes.find(
      (each) => each.namespace === undefined || each.namespace === namespace,
    );
    return scope?.version ?? '';
  }

  /**
   * Calls `listener` after each change, in the order in which they came. Returns what ends that.
   */
  subscribe(listener: CacheListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A whole list: what the scope held and the list does not was deleted meanwhile. */
  replace(scope: CacheScope, objects: readonly KubeObject[], version: string): void {
    const kind = this.#kind(scope.type);
    const listed = new Set(objects.map(({ metadata }) => keyOf(metadata)));
    for (const [key, object] of kind.objects) {
      const isInScope =
        scope.namespace === undefined || object.metadata.namespace === scope.namespace;
      if (isInScope && !listed.has(key)) this.#drop(kind, key);
    }
    for (const object of objects) this.#put(kind, object);
    this.advance(scope, version);
  }

  upsert(scope: CacheScope, object: KubeObject): void {
    this.#put(this.#kind(scope.type), object);
    this.advance(scope, object.metadata.resourceVersion ?? '');
  }

  /** `object` as the DELETED event shows it: its version is that of the deletion. */
  remove(scope: CacheScope, object: KubeObject): void {
    this.#drop(this.#kind(scope.type), keyOf(object.metadata), true);
    this.advance(scope, object.metadata.resourceVersion ?? '');
  }

  /** Nothing else happened up to `version`. */
  advance({ type, namespace }: CacheScope, version: string): void {
    const { scopes } = this.#kind(type);
    const scope = scopes.find((each) => each.namespace === namespace);
    if (scope === undefined) scopes.push({ namespace, version });
    else scope.version = version;
  }

  #objects(type: ResourceType): ReadonlyMap<string, KubeObject> {
    return this.#kinds.get(idOf(type))?.objects ?? NO_OBJECTS;
  }

  #kind(type: ResourceType): Kind {
    const id = idOf(type);
    const known = this.#kinds.get(id);
    if (known !== undefined) return known;
    const kind: Kind = { objects: new Map(), scopes: [] };
    this.#kinds.set(id, kind);
    return kind;
  }

  #put(kind: Kind, object: KubeObject): void {
    const key = keyOf(object.metadata);
    const previous = kind.objects.get(key);
    if (previous !== undefined && previous.metadata.uid !== object.metadata.uid) {
      // Deleted and made again under the same name between two looks: two objects, not a change of
      // one.
      this.#drop(kind, key);
      return this.#put(kind, object);
    }
    if (previous !== undefined) {
      if (previous.metadata.resourceVersion === object.metadata.resourceVersion) return;
      this.#disown(key, previous);
    }
    freeze(object);
    kind.objects.set(key, object);
    this.#own(key, object);
    this.#tell(
      previous === undefined ? { kind: 'added', object } : { kind: 'modified', object, previous },
    );
  }

  #drop(kind: Kind, key: string, isSeen = false): void {
    const object = kind.objects.get(key);
    if (object === undefined) return;
    kind.objects.delete(key);
    this.#disown(key, object);
    this.#tell({ kind: 'deleted', object, isSeen });
  }

  #own(key: string, object: KubeObject): void {
    for (const { uid } of object.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(uid) ?? new Map<string, KubeObject>();
      owned.set(`${idOf(object)} ${key}`, object);
      this.#owned.set(uid, owned);
    }
  }

  #disown(key: string, object: KubeObject): void {
    for (const { uid } of object.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(uid);
      owned?.delete(`${idOf(object)} ${key}`);
      if (owned?.size === 0) this.#owned.delete(uid);
    }
  }

  #tell(change: CacheChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}

/** Whether the cached object, if any, is at least as new as `version`. */
export function isAtLeast(object: KubeObject | undefined, version: string): boolean {
  return (
    object !== undefined && compareVersions(object.metadata.resourceVersion ?? '', version) >= 0
  );
}

function idOf({
  apiVersion,
  kind,
}: {
  readonly apiVersion: string;
  readonly kind: string;
}): string {
  return `${apiVersion}/${kind}`;
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freeze(part);
}
