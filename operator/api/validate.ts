/**
 * The operator's own check of a LogCluster, LogTopic or LogAccess: fills in defaults and reports
 * every fault, from the tables that the CustomResourceDefinitions are made of. Pure. The API server
 * has checked most of it already; this is for objects from an older definition, for tools without a
 * cluster, and for tests.
 */
import { LOG_CLUSTER_RULES, logClusterSpecSchema } from './log-cluster.ts';
import { logAccessSpecSchema } from './log-access.ts';
import { logTopicSpecSchema } from './log-topic.ts';
import { isObject, knownFields, schemaOf, withDefaults } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { LogAccessSpec, LogClusterSpec, LogTopicSpec } from './types.ts';

/** One fault. */
export interface Fault {
  /** `spec.storage.size`. */
  readonly path: string;
  readonly value: unknown;
  /** Names field, value and what is allowed. */
  readonly message: string;
}

/** `spec` has its defaults, and may be used only where `faults` is empty. */
export interface Checked<Spec> {
  readonly spec: Spec;
  readonly faults: readonly Fault[];
}

/** @param previous the spec that this one replaces, complete; transition rules hold without one */
export function validateLogCluster(
  spec: unknown,
  previous?: LogClusterSpec,
): Checked<LogClusterSpec> {
  return check<LogClusterSpec>(logClusterSpecSchema, spec, previous);
}

/** As {@link validateLogCluster}, of what this operator knows: a newer schema may have more. */
export function readLogClusterSpec(spec: unknown): Checked<LogClusterSpec> {
  return validateLogCluster(knownFields(logClusterSpecSchema, isObject(spec) ? spec : {}));
}

/** The same of a LogTopic. */
export function readLogTopicSpec(spec: unknown): Checked<LogTopicSpec> {
  return validateLogTopic(knownFields(logTopicSpecSchema, isObject(spec) ? spec : {}));
}

/** The same of a LogAccess. */
export function readLogAccessSpec(spec: unknown): Checked<LogAccessSpec> {
  return validateLogAccess(knownFields(logAccessSpecSchema, isObject(spec) ? spec : {}));
}

/** Faults of a LogCluster's name, which becomes that of Services and host names. */
export function logClusterNameFaults(name: string): readonly Fault[] {
  return ruleFaults(LOG_CLUSTER_RULES, { metadata: { name } }, undefined, '').map((fault) => ({
    ...fault,
    path: 'metadata.name',
    value: name,
  }));
}

/** @param previous the spec that this one replaces, complete; transition rules hold without one */
export function validateLogTopic(spec: unknown, previous?: LogTopicSpec): Checked<LogTopicSpec> {
  return check<LogTopicSpec>(logTopicSpecSchema, spec, previous);
}

/** @param previous the spec that this one replaces, complete; transition rules hold without one */
export function validateLogAccess(spec: unknown, previous?: LogAccessSpec): Checked<LogAccessSpec> {
  return check<LogAccessSpec>(logAccessSpecSchema, spec, previous);
}

function check<Spec>(schema: Schema, given: unknown, previous: Spec | undefined): Checked<Spec> {
  const spec = withDefaults(schema, given);
  const structural = structuralFaults(schema, spec, 'spec');
  // Rules may count on the types of what they read, as in the API server.
  const faults =
    structural.length > 0 ? structural : relationFaults(schema, spec, previous, 'spec');
  return { spec: spec as Spec, faults };
}

type Fields = Readonly<Record<string, unknown>>;

function structuralFaults(schema: Schema, value: unknown, path: string): Fault[] {
  const allowed = allowedValue(schema, value);
  if (allowed !== null) {
    const message = `${nameOf(path)} is ${shown(value)}, must be ${allowed}`;
    return [{ path, value, message }];
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined
      ? []
      : value.flatMap((item, index) => structuralFaults(items, item, `${path}[${index}]`));
  }
  return isObject(value) ? fieldFaults(schema, value, path) : [];
}

function fieldFaults(schema: Schema, value: Fields, path: string): Fault[] {
  const known = Object.keys(schema.properties ?? {});
  const missing = (schema.required ?? [])
    .filter((field) => value[field] === undefined)
    .map((field) => ({
      path: `${path}.${field}`,
      value: undefined,
      message: `${field} is missing`,
    }));
  const present = Object.entries(value).flatMap(([field, part]) => {
    const partPath = `${path}.${field}`;
    const partSchema = schemaOf(schema, field);
    if (part === undefined || (partSchema === undefined && schema.isOpen === true)) return [];
    if (partSchema !== undefined) return structuralFaults(partSchema, part, partPath);
    const message = `${field} is not a field, must be one of ${known.join(', ')}`;
    return [{ path: partPath, value: part, message }];
  });
  return [...missing, ...present];
}

/** What the node allows, where it does not allow `value`; else null. */
function allowedValue(schema: Schema, value: unknown): string | null {
  if (schema.isIntOrString === true) {
    if (typeof value === 'number' && Number.isInteger(value)) return null;
    return typeof value === 'string' ? allowedText(schema, value) : 'a whole number or a text';
  }
  const { type } = schema;
  if (type === undefined) return null;
  switch (type) {
    case 'object': {
      const { maxProperties = Number.POSITIVE_INFINITY } = schema;
      if (!isObject(value)) return 'an object';
      return Object.keys(value).length <= maxProperties ? null : `at most ${maxProperties} fields`;
    }
    case 'array':
      return Array.isArray(value) ? allowedList(schema, value) : 'a list';
    case 'string':
      return typeof value === 'string' ? allowedText(schema, value) : 'a text';
    case 'integer': {
      const { minimum = -Infinity, maximum = Infinity } = schema;
      if (Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum)
        return null;
      return `a whole number from ${minimum} to ${maximum}`;
    }
    case 'boolean':
      return typeof value === 'boolean' ? null : 'true or false';
  }
}

function allowedText(schema: Schema, value: string): string | null {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern } = schema;
  if (schema.enum !== undefined)
    return schema.enum.includes(value) ? null : `one of ${schema.enum.join(', ')}`;
  if (value.length < minLength || value.length > maxLength)
    return `of ${minLength} to ${maxLength} characters`;
  if (pattern === undefined || new RegExp(pattern).test(value)) return null;
  return schema.patternMeaning ?? `like ${pattern}`;
}

function allowedList(schema: Schema, value: readonly unknown[]): string | null {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (value.length < minItems || value.length > maxItems)
    return `a list of ${minItems} to ${maxItems} items`;
  if (schema.listType !== 'set' || new Set(value).size === value.length) return null;
  return 'a list without repetitions';
}

function relationFaults(schema: Schema, value: unknown, old: unknown, path: string): Fault[] {
  const own = ruleFaults(schema.rules ?? [], value, old, path);
  const { items } = schema;
  // Which item of before it was, nobody knows: rules about changes do not hold inside of lists.
  if (Array.isArray(value) && items !== undefined)
    return [
      ...own,
      ...value.flatMap((item, index) =>
        relationFaults(items, item, undefined, `${path}[${index}]`),
      ),
    ];
  if (!isObject(value)) return own;
  const before = isObject(old) ? old : {};
  const inner = Object.entries(value).flatMap(([field, part]) => {
    const partSchema = schemaOf(schema, field);
    if (partSchema === undefined || part === undefined) return [];
    return relationFaults(partSchema, part, before[field], `${path}.${field}`);
  });
  return [...own, ...inner];
}

function ruleFaults(rules: readonly Rule[], value: unknown, old: unknown, path: string): Fault[] {
  return rules.flatMap((rule) => {
    if (rule.isTransition === true && old === undefined) return [];
    const misfits = rule.check(value as never, old as never);
    if (misfits === null) return [];
    const message = misfits.reduce<string>(
      (text, misfit) => text.replace('%s', () => String(misfit)),
      rule.message,
    );
    const fieldPath = `${path}${rule.fieldPath ?? ''}`;
    return [{ path: fieldPath, value: valueAt(value, rule.fieldPath ?? ''), message }];
  });
}

function valueAt(value: unknown, fieldPath: string): unknown {
  return fieldPath
    .split('.')
    .filter((name) => name !== '')
    .reduce<unknown>((part, name) => (isObject(part) ? part[name] : undefined), value);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

/** A value in a message: long ones are cut, since a person has to read it. */
const SHOWN_LENGTH_MAX = 100;

function shown(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`;
}
