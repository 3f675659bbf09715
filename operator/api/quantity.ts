/**
 * Quantities of Kubernetes and durations of retention, from text to numbers. Pure. Only the forms
 * that the schemas' patterns admit.
 */

const FACTORS: Readonly<Record<string, number>> = {
  m: 0.001,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A number, then one of {@link FACTORS}. */
export const QUANTITY_PATTERN = '^[0-9]{1,12}([.][0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$';
/** The same for sizes: not zero, no thousandths. */
export const SIZE_PATTERN = '^[1-9][0-9]{0,11}([.][0-9]{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$';
export const RETENTION_TIME_PATTERN = '^(forever|[1-9][0-9]{0,8}(ms|s|m|h|d))$';
export const RETENTION_SIZE_PATTERN =
  '^(unlimited|[1-9][0-9]{0,11}([.][0-9]{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?)$';
/** What the broker calls `forever` and `unlimited`. */
export const UNBOUNDED = -1;

/** Value of a quantity, or NaN where the text is none. Exact up to 2^53. */
export function quantityValue(quantity: string | number): number {
  const match = /^(?<number>\d+(?:[.]\d+)?)(?<unit>[a-zA-Z]*)$/.exec(String(quantity));
  const factor = FACTORS[match?.groups?.['unit'] ?? '?'];
  return factor === undefined ? Number.NaN : Number(match?.groups?.['number']) * factor;
}

/** `7d` in milliseconds; -1 for `forever`; NaN where the text is neither. */
export function retentionTimeMs(time: string): number {
  if (time === 'forever') return UNBOUNDED;
  const match = /^(?<number>\d+)(?<unit>[a-z]+)$/.exec(time);
  const factor = DURATION_MS[match?.groups?.['unit'] ?? '?'];
  return factor === undefined ? Number.NaN : Number(match?.groups?.['number']) * factor;
}

/** `10Gi` in whole bytes; -1 for `unlimited`; NaN where the text is neither. */
export function retentionSizeBytes(size: string): number {
  return size === 'unlimited' ? UNBOUNDED : Math.floor(quantityValue(size));
}
