/** How bytes that are no batch of this build are refused. Pure. */
import { BrokerError } from '../../base/errors.ts';

/** Throws CORRUPT_BATCH for a field of the frame at byte `at`. */
export function refuse(at: number, field: string, value: number | string, allowed: string): never {
  throw new BrokerError(
    'CORRUPT_BATCH',
    `Cannot read batch at byte ${at}: ${field} is ${value}, must be ${allowed}`,
  );
}

/**
 * Throws CORRUPT_BATCH for a version that this build does not read, and says of one from the future
 * that it is newer.
 */
export function refuseVersion(at: number, field: string, version: number, newest: number): never {
  const allowed = newest === 1 ? '1' : `1 to ${newest}`;
  if (version <= newest) refuse(at, field, version, allowed);
  throw new BrokerError(
    'CORRUPT_BATCH',
    `Cannot read batch at byte ${at}: ${field} is ${version}, which is newer: this build reads up to ${newest}`,
  );
}
