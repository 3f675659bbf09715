/**
 * Checks of what was stored or sent as JSON, before it is believed. A fault is DATA_CORRUPT and
 * names the field, its value and what is allowed.
 */
import { BrokerError } from './errors.ts';

/**
 * Checks a value and returns it with its type, or throws {@link BrokerError} DATA_CORRUPT naming
 * `path`.
 */
export type Check<T> = (value: unknown, path: string) => T;

/** The value of a JSON text. Throws {@link BrokerError} DATA_CORRUPT. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BrokerError('DATA_CORRUPT', `Cannot read ${what}: it is not JSON`, {}, cause);
  }
}

/** Refuses the value at `path`. */
export function refuseValue(path: string, value: unknown, required: string): never {
  const shown = JSON.stringify(value) ?? String(value);
  throw new BrokerError(
    'DATA_CORRUPT',
    `Cannot read data: ${path} is ${shown.slice(0, 100)}, must be ${required}`,
  );
}

/** Text. */
export const string: Check<string> = (value, path) =>
  typeof value === 'string' ? value : refuseValue(path, value, 'a string');
/** True or false. */
export const boolean: Check<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : refuseValue(path, value, 'true or false');
/** A safe integer. */
export const integer: Check<number> = (value, path) =>
  Number.isSafeInteger(value) ? (value as number) : refuseValue(path, value, 'a whole number');
/** A safe integer of 0 or greater. */
export const count: Check<number> = (value, path) =>
  integer(value, path) >= 0 ? (value as number) : refuseValue(path, value, '0 or greater');

/** One of the values. */
export function oneOf<T extends string | number>(values: readonly T[]): Check<T> {
  return (value, path) =>
    values.includes(value as T)
      ? (value as T)
      : refuseValue(path, value, values.map((allowed) => JSON.stringify(allowed)).join(' or '));
}

/**
 * A field of a later feature level: absent in what was written before it, or where it holds its
 * default.
 */
export function defaulted<T>(check: Check<T>, value: T): Check<T> {
  return (given, path) => (given === undefined ? value : check(given, path));
}

/** A list of such items. */
export function listOf<T>(item: Check<T>): Check<T[]> {
  return (value, path) =>
    Array.isArray(value)
      ? value.map((element, index) => item(element, `${path}[${String(index)}]`))
      : refuseValue(path, value, 'a list');
}

/** An object of such values under any names. */
export function mapOf<T>(item: Check<T>): Check<ReadonlyMap<string, T>> {
  return (value, path) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? new Map(Object.entries(value).map(([name, each]) => [name, item(each, `${path}.${name}`)]))
      : refuseValue(path, value, 'an object');
}

/** An object of texts under any names. */
export const textsByName: Check<Readonly<Record<string, string>>> = (value, path) =>
  Object.fromEntries(mapOf(string)(value, path));

/**
 * An object with exactly these fields: one more is from a newer build, and dropping it could change
 * what the record means.
 */
export function shape<T extends object>(
  fields: { readonly [K in keyof T]: Check<T[K]> },
): Check<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return refuseValue(path, value, 'an object');
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined)
      refuseValue(
        `${path}.${unknown}`,
        (value as Record<string, unknown>)[unknown],
        'absent: this build does not know the field',
      );
    const checked = names.map((name) => [
      name,
      fields[name]((value as Record<string, unknown>)[name], `${path}.${name}`),
    ]);
    return Object.fromEntries(checked) as T;
  };
}
