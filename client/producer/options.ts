/**
 * Defaults and bounds of a producer's options. Rejects, never repairs, and reports every fault at
 * once.
 */
import { FRAME_BYTES_MAX } from '../../base/limits.ts';
import { callable, flag, oneOf, optional, present, refuseFaults, shape, whole } from '../check.ts';
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
  whenFull: 'wait',
  deliveryTimeoutMs: 120_000,
} as const;

const OPTIONS = shape({
  acks: optional(oneOf('none', 'leader', 'all')),
  compression: optional(oneOf('none', 'gzip', 'zstd')),
  idempotent: optional(flag),
  lingerMs: optional(whole(0, 60_000)),
  batchBytes: optional(whole(1, 8 * MIB)),
  batchBytesMax: optional(whole(KIB, FRAME_BYTES_MAX - KIB)),
  bufferBytesMax: optional(whole(MIB, 4 * KIB * MIB)),
  whenFull: optional(oneOf('wait', 'fail')),
  deliveryTimeoutMs: optional(whole(1_000, 3_600_000)),
  onDelivery: optional(callable),
});

/** The settings that these options mean. Throws INVALID_ARGUMENT. */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  const faults = [...OPTIONS(options, '')];
  refuseFaults('make producer', faults);
  const settings: ProducerSettings = { ...DEFAULTS, ...present(options) };
  const { batchBytes, batchBytesMax, bufferBytesMax } = settings;
  if (batchBytes > batchBytesMax)
    faults.push(`batchBytes is ${batchBytes}, must be at most batchBytesMax (${batchBytesMax})`);
  // Less would let one batch fill the buffer, and nothing could gather behind it.
  if (bufferBytesMax < 2 * batchBytesMax) {
    faults.push(
      `bufferBytesMax is ${bufferBytesMax}, must be at least twice batchBytesMax (${batchBytesMax})`,
    );
  }
  refuseFaults('make producer', faults);
  return settings;
}
