/**
 * How the keys and values of a topic become bytes and come back: a topic with codecs types its
 * producer and its consumer. Must not know how records travel.
 */
import { types } from 'node:util';
import { fault, shown } from './check.ts';
import type { Bytes } from './values.ts';

/** To bytes and back. Either way may take time. What it throws becomes the caller's error. */
export interface Codec<Input, Output = Input> {
  /** Named in errors. */
  readonly name: string;
  readonly encode: (value: Input) => Bytes | Promise<Bytes>;
  readonly decode: (bytes: Uint8Array) => Output | Promise<Output>;
}

/** A topic whose keys and values have codecs: made by {@link topic}, taken wherever a name is. */
export interface TypedTopic<KeyInput, KeyOutput, ValueInput, ValueOutput> {
  readonly name: string;
  readonly key: Codec<KeyInput, KeyOutput>;
  readonly value: Codec<ValueInput, ValueOutput>;
}

/** Any typed topic. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- Inputs are contravariant.
export type AnyTopic = TypedTopic<any, unknown, any, unknown>;

/** What topics without a codec have: strings and bytes in, bytes out. */
const plain: Codec<Bytes, Uint8Array> = {
  name: 'plain',
  encode: (value) => value,
  decode: (bytes) => bytes,
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array> = {
  name: 'bytes',
  encode: (value) => {
    if (types.isUint8Array(value)) return value;
    throw new TypeError(fault('it', value, 'a Uint8Array'));
  },
  decode: (found) => found,
};

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(found: Uint8Array): string {
  try {
    return strictUtf8.decode(found);
  } catch (cause) {
    throw new TypeError('it is no valid UTF-8', { cause });
  }
}

/** Text as UTF-8. */
export const text: Codec<string> = {
  name: 'text',
  encode: (value: unknown) => {
    if (typeof value === 'string') return value;
    throw new TypeError(fault('it', value, 'a string'));
  },
  decode: textOf,
};

/** What a schema finds: a value, or what is wrong. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One thing that is wrong. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Version 1 of https://standardschema.dev, which Zod, Valibot, ArkType and others implement. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/**
 * JSON in UTF-8. A schema checks values on their way in, where the value itself is written, and on
 * their way out, where what the schema makes of it is handed out. What JSON cannot hold (NaN, a
 * Map, a hole in an array) is refused instead of being written as something else.
 */
export function json<Input = unknown, Output = Input>(
  schema?: StandardSchema<Input, Output>,
): Codec<Input, Output> {
  const validate = schema === undefined ? undefined : validatorOf(schema);
  return {
    name: 'json',
    encode: (value) => {
      const found = validate?.(value);
      if (found instanceof Promise)
        return found.then((result) => (refuseIssues(result), jsonOf(value)));
      if (found !== undefined) refuseIssues(found);
      return jsonOf(value);
    },
    decode: (found) => {
      const value: unknown = JSON.parse(textOf(found));
      if (validate === undefined) return value as Output;
      const result = validate(value);
      return result instanceof Promise ? result.then(refuseIssues) : refuseIssues(result);
    },
  };
}

function validatorOf<Input, Output>(
  schema: StandardSchema<Input, Output>,
): StandardSchema<Input, Output>['~standard']['validate'] {
  const standard = (schema as Partial<StandardSchema<Input, Output>> | null)?.['~standard'];
  if (standard?.version !== 1 || typeof standard.validate !== 'function')
    throw new TypeError(
      `Cannot make codec: schema is ${shown(schema)}, must have "~standard" of version 1 (https://standardschema.dev)`,
    );
  return (value) => {
    const found = standard.validate(value);
    // A promise of another library is one all the same.
    return 'then' in found ? Promise.resolve(found) : found;
  };
}

function refuseIssues<Output>(result: StandardResult<Output>): Output {
  if (result.issues === undefined) return result.value;
  throw new TypeError(
    result.issues
      .map(({ message, path = [] }) => {
        const place = path
          .map((step) => String(typeof step === 'object' ? step.key : step))
          .join('.');
        return place === '' ? message : `${place}: ${message}`;
      })
      .join('; '),
  );
}

function jsonOf(value: unknown): string {
  const lost = lostInJson(value, '', new Set());
  if (lost !== undefined) throw new TypeError(`JSON cannot hold ${lost}`);
  return JSON.stringify(value);
}

/** What JSON would leave out or write as something else; undefined: nothing. */
function lostInJson(value: unknown, path: string, above: Set<object>): string | undefined {
  const at = path === '' ? '' : ` at ${path.slice(1)}`;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${value}${at}`;
  if (typeof value !== 'object') return `${shown(value)}${at}`;
  if (above.has(value)) return `a circle${at}`;
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === 'function' && !Buffer.isBuffer(value)) return undefined;
  const isPlain = Array.isArray(value) || isRecord(value);
  if (!isPlain) return `${shown(value)}${at}`;
  above.add(value);
  const entries = Array.isArray(value)
    ? Array.from(value, (one: unknown, index): [string, unknown] => [`${index}`, one])
    : // A property that is undefined is as good as absent.
      Object.entries(value).filter(([, one]) => one !== undefined);
  for (const [key, one] of entries) {
    const lost = lostInJson(one, `${path}.${key}`, above);
    if (lost !== undefined) return lost;
  }
  above.delete(value);
  return undefined;
}

/** An object of fields, or of a class of the program: not one that keeps its contents elsewhere. */
function isRecord(value: object): boolean {
  return !(
    types.isMap(value) ||
    types.isSet(value) ||
    types.isRegExp(value) ||
    types.isPromise(value) ||
    types.isAnyArrayBuffer(value) ||
    ArrayBuffer.isView(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    value instanceof Error
  );
}

/** Codecs of a topic; without one: strings and bytes in, bytes out. */
export interface TopicCodecs<KeyInput, KeyOutput, ValueInput, ValueOutput> {
  readonly key?: Codec<KeyInput, KeyOutput>;
  readonly value?: Codec<ValueInput, ValueOutput>;
}

/** A topic with codecs, to be given to producers and consumers in place of its name. */
export function topic<
  KeyInput = Bytes,
  KeyOutput = Uint8Array,
  ValueInput = Bytes,
  ValueOutput = Uint8Array,
>(
  name: string,
  codecs: TopicCodecs<KeyInput, KeyOutput, ValueInput, ValueOutput> = {},
): TypedTopic<KeyInput, KeyOutput, ValueInput, ValueOutput> {
  const { key = plain, value = plain } = codecs;
  return Object.freeze({ name, key, value }) as TypedTopic<
    KeyInput,
    KeyOutput,
    ValueInput,
    ValueOutput
  >;
}
