/**
 * When a pod template is made anew, and when the recorded one is kept. Pure. A template is recorded on the StatefulSet together with the fields of the spec
 * that it was made from; as long as these are the same, it stays as it is, whatever a newer operator would make of them. So an upgrade of the operator
 * restarts no broker, and a change of replicas does not either.
 */
import { LIVE_FIELDS } from '../api/broker-config.ts';
import type { BrokerConfig, LogClusterSpec } from '../api/types.ts';
import type { PodTemplateSpec } from './pod.ts';

/** A template as the StatefulSet's annotations hold it. */
export interface RecordedTemplate {
  readonly template: PodTemplateSpec;
  /** {@link templateInputs} of the spec that it was made from. */
  readonly inputs: string;
}

/**
 * Fields of the spec that shape a pod, as text. Every one of them restarts brokers when it changes, and no other field does. What is empty is the
 * same as what is absent.
 */
export function templateInputs(spec: LogClusterSpec): string {
  return inputsWith(spec, () => false);
}

/**
 * Whether a template that was made from `recorded` is still that of the spec. An option that was not live to the operator that made it stands in its pods, so it
 * counts there as it did then.
 */
export function isMadeFrom(recorded: string, spec: LogClusterSpec): boolean {
  const { config = {} } = parsed(recorded);
  return recorded === inputsWith(spec, (field) => config[field] !== undefined);
}

/** @param isInPod whether a live option is set in the pods all the same */
function inputsWith(spec: LogClusterSpec, isInPod: (field: string) => boolean): string {
  const { image, resources, rack, podTemplate, clusterId } = spec;
  const config = Object.fromEntries(
    Object.entries(spec.config).filter(([field]) => !LIVE_FIELDS.has(field) || isInPod(field)),
  );
  return canonicalJson({ image, config, resources, rack, podTemplate, clusterId });
}

function parsed(inputs: string): { readonly config?: BrokerConfig } {
  try {
    return (JSON.parse(inputs) ?? {}) as { readonly config?: BrokerConfig };
  } catch {
    return {};
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

/** FNV-1a of 64 bits, over UTF-16 units, low byte first. It tells templates of one cluster apart and keeps no secret. */
function hash64(text: string): string {
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    for (const byte of [unit & 0xff, unit >> 8])
      hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return hash.toString(16).padStart(16, '0');
}
