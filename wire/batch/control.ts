/**
 * The payload of a control batch, which a leader writes itself. Pure. Version 2 adds the end of the
 * data below the batch; leaders of older builds wrote version 1 without it.
 */
import type { BrokerId, Offset } from '../../base/units.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './bytes.ts';
import { refuse, refuseVersion } from './refusal.ts';

/** What a control batch says: a leader opened its epoch. */
export interface ControlRecord {
  readonly kind: 'epoch-start';
  /** The leader. */
  readonly brokerId: BrokerId;
  /**
   * End of the data below this batch: offset of the last record that is no control record, plus 1;
   * 0: there is none. Undefined: the leader was of a build that does not say.
   */
  readonly dataEnd: Offset | undefined;
}

const KIND_EPOCH_START = 1;
const VERSION = 2;
const BYTES_OF_VERSION = [0, 8, 16];

const AT_VERSION = 2;
const AT_BROKER_ID = 4;
const AT_DATA_END = 8;

/** The payload, in the newest version. */
export function controlPayload(control: {
  readonly brokerId: BrokerId;
  readonly dataEnd: Offset;
}): Uint8Array {
  const payload = new Uint8Array(16);
  writeU16(payload, 0, KIND_EPOCH_START);
  writeU16(payload, AT_VERSION, VERSION);
  writeU32(payload, AT_BROKER_ID, control.brokerId);
  writeU64(payload, AT_DATA_END, control.dataEnd);
  return payload;
}

/**
 * Reads the payload of the control batch at `baseOffset`. Throws CORRUPT_BATCH, also where the data
 * would end above the batch.
 */
export function readControl(payload: Uint8Array, baseOffset: Offset): ControlRecord {
  if (payload.length < AT_BROKER_ID)
    refuse(0, 'control bytes', payload.length, `${AT_BROKER_ID} or more`);
  const kind = readU16(payload, 0);
  if (kind !== KIND_EPOCH_START)
    refuse(0, 'control kind', kind, `${KIND_EPOCH_START} (epoch start): this build knows no other`);
  const version = readU16(payload, AT_VERSION);
  if (version < 1 || version > VERSION) refuseVersion(0, 'control version', version, VERSION);
  const bytes = BYTES_OF_VERSION[version] ?? 0;
  if (payload.length !== bytes) refuse(0, 'control bytes', payload.length, `${bytes}`);
  const brokerId = readU32(payload, AT_BROKER_ID);
  if (version === 1) return { kind: 'epoch-start', brokerId, dataEnd: undefined };
  const dataEnd = readU64(payload, AT_DATA_END);
  if (dataEnd > baseOffset)
    refuse(0, 'control dataEnd', dataEnd, `0 to ${baseOffset}, the offset of the batch`);
  return { kind: 'epoch-start', brokerId, dataEnd };
}
