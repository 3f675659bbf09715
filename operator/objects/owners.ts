/** Whose an object is. Pure. */

interface Owner {
  readonly kind?: string;
  readonly name?: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** An object, as far as it names its owners. */
interface Owned {
  readonly metadata: object;
}

export function ownersOf(object: Owned | undefined): readonly Owner[] {
  const metadata = object?.metadata as { readonly ownerReferences?: readonly Owner[] } | undefined;
  return metadata?.ownerReferences ?? [];
}

/** Only what says so itself is ours to change. */
export function isControlledBy(object: Owned | undefined, uid: string | undefined): boolean {
  if (uid === undefined) return false;
  return ownersOf(object).some((owner) => owner.uid === uid && owner.controller === true);
}
