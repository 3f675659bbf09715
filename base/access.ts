/**
 * Rules of access as values, for all who state, keep, judge or show them: a principal may do
 * operations to a resource. What no rule allows is denied; no rule denies. Pure.
 */
import { NAME_LENGTH_MAX } from './limits.ts';
import { printable } from './printable.ts';

/** Words of operations, in the order in which they are shown. */
export const ACCESS_OPERATIONS = [
  'append',
  'read',
  'describe',
  'group',
  'create',
  'alter',
  'delete',
  'administer',
] as const;
export type AccessOperation = (typeof ACCESS_OPERATIONS)[number];

/** Kinds of what they are done to, and the operations that each kind knows. */
export const ACCESS_RESOURCES = {
  topic: ['append', 'read', 'describe', 'create', 'alter', 'delete'],
  group: ['describe', 'group', 'delete'],
  producer: ['append', 'describe'],
  cluster: ['describe', 'administer'],
} as const satisfies Readonly<Record<string, readonly AccessOperation[]>>;
export type AccessKind = keyof typeof ACCESS_RESOURCES;
export const ACCESS_KINDS = Object.keys(ACCESS_RESOURCES) as readonly AccessKind[];

/** One thing: a topic, a group or a producer by its name; the cluster has none. */
export interface AccessResource {
  readonly kind: AccessKind;
  readonly name: string;
}

/** Which principals, and which resources: exact texts, or with `*` at the end all that begin so. */
export interface AccessPlace {
  readonly principal: string;
  readonly kind: AccessKind;
  /** Of the cluster: empty. */
  readonly name: string;
}

/** At one place there is one rule. */
export interface AccessRule extends AccessPlace {
  /** Each once, in the order of {@link ACCESS_OPERATIONS}; at least one. */
  readonly operations: readonly AccessOperation[];
  /**
   * Those of them that LogAccess resources gave, and a person did not: what the operator may take
   * back. In the same order; absent: none.
   */
  readonly given?: readonly AccessOperation[];
}

/** Whoever comes in at a listener that asks nobody who they are. */
export const ANONYMOUS = 'anonymous';

/**
 * How principals begin: by a certificate, by a token of a file, by an issuer's token, and accounts
 * of pods as Kubernetes writes them.
 */
export const PRINCIPAL_SCHEMES = ['cert:', 'token:', 'oidc:', 'system:serviceaccount:'] as const;

/** Characters of a principal: a subject of many parts, or a SPIFFE URI as long as they get. */
export const PRINCIPAL_LENGTH_MAX = 512;

/** What is wrong with the text of a principal, or null. */
export function principalFault(text: string): string | null {
  if (text.length > PRINCIPAL_LENGTH_MAX)
    return `principal has ${String(text.length)} characters, must have ${String(PRINCIPAL_LENGTH_MAX)} or fewer`;
  if (text.toWellFormed() !== text || printable(text) !== text)
    return `principal is '${text}', must be of characters that can be printed`;
  const isNamed = PRINCIPAL_SCHEMES.some(
    (scheme) => text.startsWith(scheme) && text.length > scheme.length,
  );
  return isNamed || text === ANONYMOUS
    ? null
    : `principal is '${text}', must begin with one of ${PRINCIPAL_SCHEMES.join(' ')}`;
}

/** What is wrong with principals of a rule: as {@link principalFault}, or `*` for all of them. */
export function principalPatternFault(text: string): string | null {
  return text === '*' ? null : principalFault(text);
}

/** What is wrong with the place of a rule: one sentence a fault. */
export function placeFaults({ principal, kind, name }: AccessPlace): string[] {
  const faults = [principalPatternFault(principal), nameFault(kind, name)];
  return faults.filter((fault) => fault !== null);
}

/** What is wrong with a rule: one sentence a fault. */
export function ruleFaults(rule: AccessRule): string[] {
  const known: readonly AccessOperation[] = ACCESS_RESOURCES[rule.kind];
  const wrong = rule.operations.filter((operation) => !known.includes(operation));
  const { given } = rule;
  return [
    ...placeFaults(rule),
    ...(rule.operations.length === 0 ? ['operations are none, must be one or more'] : []),
    ...wrong.map(
      (operation) =>
        `operation is '${operation}', must be one of ${known.join(', ')} for a ${rule.kind}`,
    ),
    ...(given === undefined ||
    (given.length > 0 && given.every((each) => rule.operations.includes(each)))
      ? []
      : [`given is [${given.join(', ')}], must be some of the operations, or absent`]),
  ];
}

function nameFault(kind: AccessKind, name: string): string | null {
  if (kind === 'cluster')
    return name === '' ? null : `name is '${name}', must be empty for the cluster`;
  // A pattern is one character longer than the longest name that it may begin.
  if (name.length >= 1 && name.length <= NAME_LENGTH_MAX + 1 && printable(name) === name)
    return null;
  return `name of a ${kind} is '${name}', must be 1 to ${String(NAME_LENGTH_MAX)} characters that can be printed, or so many with * behind them`;
}

/** The same for the same place, and for no other. */
export function placeKey({ principal, kind, name }: AccessPlace): string {
  return JSON.stringify([principal, kind, name]);
}

/** Each once, in the order of {@link ACCESS_OPERATIONS}. */
export function sortedOperations(given: Iterable<AccessOperation>): readonly AccessOperation[] {
  const wanted = new Set(given);
  return ACCESS_OPERATIONS.filter((operation) => wanted.has(operation));
}

/** A resource as people write it: `topic:orders`, or `cluster`. */
export function resourceText({ kind, name }: AccessResource): string {
  return kind === 'cluster' ? kind : `${kind}:${name}`;
}

/** What {@link resourceText} writes; null for any other text. */
export function readResource(text: string): AccessResource | null {
  const colon = text.indexOf(':');
  const word = colon < 0 ? text : text.slice(0, colon);
  const kind = ACCESS_KINDS.find((each) => each === word);
  if (kind === undefined || (kind === 'cluster') !== colon < 0) return null;
  return { kind, name: colon < 0 ? '' : text.slice(colon + 1) };
}
