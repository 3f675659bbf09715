/**
 * When a pod template is made anew, and when the recorded one is kept. Pure. A template is recorded
 * on the StatefulSet together with the fields of the spec that it was made from; as long as these
 * are the same, it stays as it is, whatever a newer operator would make of them. So an upgrade of
 * the operator restarts no broker, and a change of replicas does not either.
 */
import { LIVE_FIELDS } from '../api/broker-config.ts';
import { podShapeOf } from '../api/listeners.ts';
import { isObject } from '../api/schema.ts';
import type { BrokerConfig, LogClusterSpec } from '../api/types.ts';
import { readLogClusterSpec } from '../api/validate.ts';
import type { PodTemplateSpec } from './pod.ts';

/** A template as the StatefulSet's annotations hold it. */
export interface RecordedTemplate {
  readonly template: PodTemplateSpec;
  /** {@link templateInputs} of the spec that it was made from. */
  readonly inputs: string;
}

/**
 * Fields of the spec that shape a pod, as text. Every one of them restarts brokers when it changes,
 * and no other field does. What is empty is the same as what is absent.
 */
export function templateInputs(spec: LogClusterSpec): string {
  return inputsWith(spec, () => false);
}

/**
 * Whether a template that was made from `recorded` is still that of the spec. What counts is what
 * this operator makes of both: a field that it knows and the one before did not has its default in
 * both, and moves no pod. An option that was not live to the operator that made it stands in its
 * pods, so it counts there as it did then.
 */
export function isMadeFrom(
  recorded: string,
  spec: LogClusterSpec,
  render: (spec: LogClusterSpec) => PodTemplateSpec,
): boolean {
  const { config = {} } = parsed(recorded) ?? {};
  if (recorded === inputsWith(spec, (field) => config[field] !== undefined)) return true;
  const before = recordedSpec(recorded, spec);
  if (before === null) return false;
  const inPods = Object.keys(config).filter((field) => LIVE_FIELDS.has(field));
  return (
    inPods.every((field) => config[field] === spec.config[field]) &&
    canonicalJson(render(before)) === canonicalJson(render(spec))
  );
}

/** The spec with the inputs that were recorded; null where they are none. */
function recordedSpec(recorded: string, spec: LogClusterSpec): LogClusterSpec | null {
  const inputs = parsed(recorded);
  if (inputs === null) return null;
  // What may be absent from a record was absent from its spec.
  const { image: _, clusterId: __, clientTls: ___, auth: ____, ...besides } = spec;
  const { listeners: _____, resources: ______, ...rest } = besides;
  const { spec: before, faults } = readLogClusterSpec({ ...rest, ...inputs });
  return faults.length > 0 ? null : before;
}

/** @param isInPod whether a live option is set in the pods all the same */
function inputsWith(spec: LogClusterSpec, isInPod: (field: string) => boolean): string {
  const { image, resources, rack, podTemplate, clusterId, clientTls, auth } = spec;
  // Absent, and not empty, where there are none: so it is in every record of before.
  const listeners = spec.listeners?.length ? spec.listeners.map(podShapeOf) : undefined;
  const config = Object.fromEntries(
    Object.entries(spec.config).filter(([field]) => !LIVE_FIELDS.has(field) || isInPod(field)),
  );
  const inputs = { image, config, resources, rack, podTemplate, clusterId, clientTls, auth };
  return canonicalJson({ ...inputs, listeners });
}

function parsed(inputs: string): { readonly config?: BrokerConfig } | null {
  try {
    const value: unknown = JSON.parse(inputs);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** 16 hexadecimal digits: the same for equal templates, whatever the order of their fields. */
export function templateHash(template: PodTemplateSpec): string {
  return hash64(canonicalJson(template));
}

/** JSON with sorted keys, without what is undefined. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, part]) => `${JSON.stringify(key)}:${canonicalJson(part)}`);
  return `{${fields.join(',')}}`;
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/**
 * FNV-1a of 64 bits, over UTF-16 units, low byte first. It tells templates of one cluster apart and
 * keeps no secret.
 */
function hash64(text: string): string {
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    for (const byte of [unit & 0xff, unit >> 8])
      hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return hash.toString(16).padStart(16, '0');
}
