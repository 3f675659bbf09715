/** Where a pass reads objects from. */
import type { Kind, KubeObject, ObjectName } from '../api/kinds.ts';

/** The caches. */
export interface ObjectSource {
  get(type: Kind, name: ObjectName): KubeObject | undefined;
  list(type: Kind, namespace?: string): KubeObject[];
}

/** The API server itself. */
export interface UncachedSource {
  get(
    type: Kind,
    name: ObjectName,
    options: { readonly signal: AbortSignal },
  ): Promise<KubeObject | undefined>;
  list(
    type: Kind,
    options: { readonly labelSelector: string; readonly signal: AbortSignal },
  ): Promise<{ readonly items: readonly KubeObject[] }>;
  refusalOfPatch(
    type: Kind,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: { readonly signal: AbortSignal },
  ): Promise<string | null>;
}
