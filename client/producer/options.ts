/** Defaults and bounds of a producer's options. Rejects, never repairs, and reports every fault at once. */
import { TidemarkError } from '../errors.ts';
import type { ProducerOptions, ProducerSettings } from './types.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const DEFAULTS = {
  acks: 'all',
  compression: 'none',
  idempotent: true,
  lingerMs: 0,
  batchBytes: 128 * KIB,
  batchBytesMax: MIB,
  bufferBytesMax: 32 * MIB,
  deliveryTimeoutMs: 120_000,
} as const;

const NUMBERS = [
  ['lingerMs', 0, 60_000],
  ['batchBytes', 1, 8 * MIB],
  ['batchBytesMax', KIB, 8 * MIB - KIB],
  ['bufferBytesMax', MIB, 4 * KIB * MIB],
  ['deliveryTimeoutMs', 1_000, 3_600_000],
] as const;

/** The settings that these options mean. Throws INVALID_ARGUMENT. */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  const settings: ProducerSettings = { ...DEFAULTS, ...options };
  const faults: string[] = NUMBERS.flatMap(([name, min, max]) => {
    const value = settings[name];
    const isAllowed = Number.isSafeInteger(value) && value >= min && value <= max;
    return isAllowed ? [] : [`${name} is ${value}, must be ${min} to ${max}`];
  });
  const { acks, compression, batchBytes, batchBytesMax, bufferBytesMax } = settings;
  if (!['none', 'leader', 'all'].includes(acks))
    faults.push(`acks is "${acks}", must be none, leader or all`);
  if (!['none', 'gzip', 'zstd'].includes(compression)) {
    faults.push(`compression is "${compression}", must be none, gzip or zstd`);
  }
  if (batchBytes > batchBytesMax)
    faults.push(`batchBytes is ${batchBytes}, must be at most batchBytesMax (${batchBytesMax})`);
  // Less would let one batch fill the buffer, and nothing could gather behind it.
  if (bufferBytesMax < 2 * batchBytesMax) {
    faults.push(
      `bufferBytesMax is ${bufferBytesMax}, must be at least twice batchBytesMax (${batchBytesMax})`,
    );
  }
  if (faults.length > 0)
    throw new TidemarkError('INVALID_ARGUMENT', `Cannot make producer: ${faults.join('; ')}`);
  return settings;
}
