/**
 * "Wait for my own write." A pass that decides on a cache which does not show what the last pass
 * did would do it twice, or undo it. So each write leaves an expectation, and a pass begins only
 * when the cache has caught up with all of them. Source: stale controller handling, KEP-5647.
 */
import { isAtLeast, type ObjectCache } from './cache.ts';
import {
  compareVersions,
  type KubeObject,
  keyOf,
  type ObjectName,
  type ResourceType,
} from './kube-object.ts';

interface Expectation {
  readonly type: ResourceType;
  readonly name: ObjectName;
  readonly uid: string;
  /** Undefined: a deletion is expected. */
  readonly version: string | undefined;
}

export class Expectations {
  readonly #cache: ObjectCache;
  /**
   * By key of the queue, then by object: a later write to an object stands for the earlier ones.
   */
  readonly #expected = new Map<string, Map<string, Expectation>>();

  constructor(cache: ObjectCache) {
    this.#cache = cache;
  }

  /**
   * `written` is the answer of the API server to a create, apply, patch or replace made for `key`.
   */
  expectWrite(key: string, type: ResourceType, written: KubeObject): void {
    const { uid = '', resourceVersion = '' } = written.metadata;
    this.#expect(key, { type, name: written.metadata, uid, version: resourceVersion });
  }

  /**
   * The object with this uid was deleted for `key`: its end, or its deletionTimestamp, is to be
   * seen.
   */
  expectDeletion(key: string, type: ResourceType, name: ObjectName, uid: string): void {
    this.#expect(key, { type, name, uid, version: undefined });
  }

  /** What the cache does not show yet, in words; empty when a pass may trust it. */
  pending(key: string): string[] {
    const expected = this.#expected.get(key);
    if (expected === undefined) return [];
    for (const [id, expectation] of expected) if (this.#isMet(expectation)) expected.delete(id);
    if (expected.size === 0) this.#expected.delete(key);
    return [...expected.values()].map(describe);
  }

  /** The owner of `key` is gone. */
  forget(key: string): void {
    this.#expected.delete(key);
  }

  #expect(key: string, expectation: Expectation): void {
    const expected = this.#expected.get(key) ?? new Map<string, Expectation>();
    expected.set(
      `${expectation.type.apiVersion}/${expectation.type.kind} ${keyOf(expectation.name)}`,
      expectation,
    );
    this.#expected.set(key, expected);
  }

  #isMet({ type, name, uid, version }: Expectation): boolean {
    const cached = this.#cache.get(type, name);
    if (version === undefined) {
      return cached?.metadata.uid !== uid || cached.metadata.deletionTimestamp !== undefined;
    }
    if (isAtLeast(cached, version)) return true;
    // Not here, or older: met all the same if the cache has moved past the write, for then somebody
    // deleted it since.
    return compareVersions(this.#cache.observedVersion(type, name.namespace), version) >= 0;
  }
}

function describe({ type, name, version }: Expectation): string {
  const object = `${type.kind} ${keyOf(name)}`;
  return version === undefined ? `deletion of ${object}` : `${object} at version ${version}`;
}
