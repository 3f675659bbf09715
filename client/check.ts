/**
 * Checks what programs hand in, where it comes in: types are not there when JavaScript runs. A
 * check names every fault of a value, so that one error tells them all.
 */
import { types } from 'node:util';
import { printable } from '../base/printable.ts';
import { TidemarkError } from './errors.ts';

/** The faults of a value that goes by `name` in messages; none: it may be taken. */
export type Check = (value: unknown, name: string) => readonly string[];

const NONE: readonly string[] = [];
const SHOWN_LENGTH_MAX = 60;
/** Not U, which is said as in Uint8Array. */
const VOWELS: ReadonlySet<string> = new Set(['A', 'E', 'I', 'O']);
const UINT32_MAX = 0xffff_ffff;

/** What came, in words: `"5"` is a string, `5` a number, `a DataView` an object of that class. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (types.isProxy(value)) return 'a Proxy';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = className(value);
  if (name === '' || name === 'Object') return 'an object';
  return `${VOWELS.has(name[0] ?? '') ? 'an' : 'a'} ${name}`;
}

function className(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { readonly constructor?: unknown } | null;
  const own =
    prototype === null ? undefined : Object.getOwnPropertyDescriptor(prototype, 'constructor');
  const maker: unknown = own?.value;
  return typeof maker === 'function' ? maker.name : '';
}

/** In quotes, with what a terminal would act on made visible. */
function quoted(text: string): string {
  const isLong = text.length > SHOWN_LENGTH_MAX;
  const visible = printable(JSON.stringify(isLong ? text.slice(0, SHOWN_LENGTH_MAX) : text));
  return isLong ? `${visible}...` : visible;
}

/** `name is what came, must be what may`. */
export function fault(name: string, value: unknown, allowed: string): string {
  return `${name} is ${shown(value)}, must be ${allowed}`;
}

function when(isGood: (value: unknown) => boolean, allowed: string): Check {
  return (value, name) => (isGood(value) ? NONE : [fault(name, value, allowed)]);
}

/** Text that UTF-8 can hold: no half of a surrogate pair. */
export const text: Check = when(
  (value) => typeof value === 'string' && value.isWellFormed(),
  'a string of well-formed Unicode',
);

/** A name: text that is not empty. */
export const named: Check = when(
  (value) => typeof value === 'string' && value !== '' && value.isWellFormed(),
  'a string that is not empty',
);

export const flag: Check = when((value) => typeof value === 'boolean', 'true or false');

export const callable: Check = when((value) => typeof value === 'function', 'a function');

/** An `AbortSignal`, of whichever realm. */
export const signal: Check = when(
  (value) => typeof value === 'object' && value !== null && value instanceof AbortSignal,
  'an AbortSignal',
);

/** An integer within bounds, both allowed. */
export function whole(min: number, max: number): Check {
  return when(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    `${min} to ${max}`,
  );
}

/** A number of brokers, partitions and the like, as it travels. */
export const count: Check = whole(0, UINT32_MAX);
/** A bound of a size or a time, as it travels: which may be negative is for the cluster to say. */
export const bound: Check = when(Number.isSafeInteger, 'an integer');
/** A size, an offset or a time. */
export const size: Check = whole(0, Number.MAX_SAFE_INTEGER);

/** One of these words. */
export function oneOf(...words: readonly string[]): Check {
  const allowed =
    words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return when((value) => typeof value === 'string' && words.includes(value), allowed);
}

/** Absent, or as `check` says. */
export function optional(check: Check): Check {
  return (value, name) => (value === undefined ? NONE : check(value, name));
}

/** An array without holes. */
export function listOf(check: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value)) return [fault(name, value, 'an array')];
    return Array.from({ length: value.length }, (_, at) =>
      at in value ? check(value[at] as unknown, `${name}[${at}]`) : [`${name}[${at}] is missing`],
    ).flat();
  };
}

/** An object of these fields and no others. `name` is empty for the options of a call. */
export function shape(fields: Readonly<Record<string, Check>>): Check {
  const names = Object.keys(fields);
  return (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || isBinary(value))
      return [
        fault(name === '' ? 'what was given' : name, value, `an object of ${names.join(', ')}`),
      ];
    const path = name === '' ? '' : `${name}.`;
    const unknown = Object.keys(value).filter((key) => !names.includes(key));
    const found = value as Readonly<Record<string, unknown>>;
    return [
      ...unknown.map(
        (key) => `${quoted(`${path}${key}`)} is not known, allowed are ${names.join(', ')}`,
      ),
      ...names.flatMap((key) => fields[key]!(found[key], `${path}${key}`)),
    ];
  };
}

function isBinary(value: object): boolean {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}

/** Any names, each with a value as `check` says. */
export function recordOf(check: Check): Check {
  return (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return [fault(name, value, 'an object')];
    return Object.entries(value).flatMap(([key, one]) => check(one, `${name}[${quoted(key)}]`));
  };
}

/** Throws INVALID_ARGUMENT with every fault. `doing` as in "Cannot make producer". */
export function refuseFaults(doing: string, faults: readonly string[]): void {
  if (faults.length > 0)
    throw new TidemarkError('INVALID_ARGUMENT', `Cannot ${doing}: ${faults.join('; ')}`);
}

/** What `check` finds in the argument of a call, thrown. */
export function checkArgument(doing: string, check: Check, value: unknown, name = ''): void {
  refuseFaults(doing, check(value, name));
}

/** The options of a call without those that are undefined, which mean the same as absent ones. */
export function present<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}
