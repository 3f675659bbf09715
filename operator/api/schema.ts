/**
 * The language of the resource tables: a node is one field with its type, bounds, default and
 * description, as OpenAPI v3 has them, and its rules. From the same table come the
 * CustomResourceDefinitions (`crds.ts`) and the operator's own checks (`validate.ts`). Pure. A rule
 * is stated twice, for the API server in CEL and here as a function; tests run the same table of
 * manifests through both. Bounds on every string, list and map are what the API server needs to
 * estimate the cost of CEL.
 */

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A relation between fields, or between an old and a new value. */
export interface Rule {
  /** CEL expression over `self`, and over `oldSelf` in a transition rule. */
  readonly cel: string;
  /** Message, with %s for each of `values`. */
  readonly message: string;
  /**
   * CEL expressions of the values that do not fit. The API server's cost estimate admits `format`,
   * and not `string(number)`.
   */
  readonly values: readonly string[];
  /** Field that the message is about, below the node that has the rule: `.storage.size`. */
  readonly fieldPath?: string;
  /** A transition rule: holds where there is no old value. */
  readonly isTransition?: boolean;
  /**
   * The same in TypeScript: null where the rule holds, else `values`. `never` admits functions of
   * any one type.
   */
  readonly check: (self: never, old: never) => readonly (string | number)[] | null;
}

/** One field. Optional keywords mean what they mean in OpenAPI v3. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description: string;
  readonly default?: Json;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly format?: 'int32' | 'int64' | 'date-time';
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  /** Says what `pattern` allows, for the operator's own message. */
  readonly patternMeaning?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  /** Fields beside `properties` are kept as they are, for somebody else to judge. */
  readonly isOpen?: boolean;
  readonly maxProperties?: number;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly listType?: 'atomic' | 'set' | 'map';
  readonly listMapKeys?: readonly string[];
  /** A quantity: whole number or text. */
  readonly isIntOrString?: boolean;
  readonly rules?: readonly Rule[];
}

type Extras = Omit<Partial<Schema>, 'type' | 'description'>;

/** A node for each field of `T`: a table with a field too many or too few does not compile. */
export type Fields<T> = { readonly [Key in keyof Required<T>]: Schema };

export function object<T>(description: string, properties: Fields<T>, extras: Extras = {}): Schema {
  return { type: 'object', description, properties, ...extras };
}

export function text(description: string, maxLength: number, extras: Extras = {}): Schema {
  return { type: 'string', description, maxLength, ...extras };
}

export function choice(description: string, values: readonly string[], fallback?: string): Schema {
  const given = fallback === undefined ? {} : { default: fallback };
  return { type: 'string', description, enum: values, ...given };
}

export function integer(
  description: string,
  minimum: number,
  maximum: number,
  extras: Extras = {},
): Schema {
  const format = maximum > 2_147_483_647 ? 'int64' : 'int32';
  return { type: 'integer', description, format, minimum, maximum, ...extras };
}

export function boolean(description: string, fallback?: boolean): Schema {
  return fallback === undefined
    ? { type: 'boolean', description }
    : { type: 'boolean', description, default: fallback };
}

/** A list that server-side apply replaces as a whole. */
export function list(
  description: string,
  items: Schema,
  maxItems: number,
  extras: Extras = {},
): Schema {
  return { type: 'array', description, items, maxItems, listType: 'atomic', ...extras };
}

export function map(
  description: string,
  additionalProperties: Schema,
  maxProperties: number,
  extras: Extras = {},
): Schema {
  return { type: 'object', description, additionalProperties, maxProperties, ...extras };
}

/** A point in time that the operator wrote. */
export function time(description: string): Schema {
  return { type: 'string', description, format: 'date-time', maxLength: 40 };
}

/** The node without what OpenAPI does not know, with Kubernetes' own names for the rest. */
export function toOpenApi(schema: Schema): { readonly [key: string]: Json } {
  const { patternMeaning: _, properties, items, additionalProperties, ...rest } = schema;
  const { listType, listMapKeys, isIntOrString, isOpen, rules, default: fallback, ...plain } = rest;
  return {
    ...(plain as { readonly [key: string]: Json }),
    // The API server runs the rules over a default as it stands, before it fills in those of the
    // fields inside.
    ...(fallback === undefined ? {} : { default: withDefaults(schema, fallback) as Json }),
    ...(properties === undefined ? {} : { properties: mapValues(properties, toOpenApi) }),
    ...(items === undefined ? {} : { items: toOpenApi(items) }),
    ...(additionalProperties === undefined
      ? {}
      : { additionalProperties: toOpenApi(additionalProperties) }),
    ...(listType === undefined ? {} : { 'x-kubernetes-list-type': listType }),
    ...(listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': listMapKeys }),
    ...(isIntOrString === true
      ? { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true }
      : {}),
    ...(isOpen === true ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules.map(toValidation) }),
  };
}

function toValidation(rule: Rule): { readonly [key: string]: Json } {
  const { cel, message, values, fieldPath } = rule;
  return {
    rule: cel,
    messageExpression: `${JSON.stringify(message)}.format([${values.join(', ')}])`,
    ...(fieldPath === undefined ? {} : { fieldPath }),
  };
}

/** `value` with the defaults of absent fields, at every depth. */
export function withDefaults(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema;
    return value.map((item: unknown) => withDefaults(items, item));
  }
  if (!isObject(value)) return value;
  const filled: Record<string, unknown> = {};
  for (const [field, part] of Object.entries(value)) {
    const known = schemaOf(schema, field);
    filled[field] = known === undefined ? part : withDefaults(known, part);
  }
  for (const [field, part] of Object.entries(schema.properties ?? {})) {
    if (filled[field] === undefined && part.default !== undefined)
      filled[field] = withDefaults(part, part.default);
  }
  return filled;
}

/** `value` without fields that the schema does not know: a newer one may have more. */
export function knownFields(schema: Schema, value: unknown): unknown {
  const { items, properties, additionalProperties } = schema;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item: unknown) => knownFields(items, item));
  if (!isObject(value) || (properties === undefined && additionalProperties === undefined))
    return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([field, part]) => {
      const known = schemaOf(schema, field);
      if (known === undefined) return schema.isOpen === true ? [[field, part] as const] : [];
      return [[field, knownFields(known, part)] as const];
    }),
  );
}

/** Schema of a field, listed or admitted as one of a map. */
export function schemaOf(schema: Schema, field: string): Schema | undefined {
  return schema.properties?.[field] ?? schema.additionalProperties;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapValues<Value, Result>(
  values: Readonly<Record<string, Value>>,
  change: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]));
}
