/**
 * The payload of a control batch, which a leader writes itself. Pure. Version 2 of an epoch start
 * adds the end of the data below the batch; leaders of older builds wrote version 1 without it.
 */
import type { BrokerId, Offset } from '../../base/units.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './bytes.ts';
import { refuse, refuseVersion } from './refusal.ts';

/** What a control batch says. */
export type ControlRecord = EpochStartRecord | TrimRecord;

interface ControlFields {
  /** The leader. */
  readonly brokerId: BrokerId;
  /**
   * End of the data below this batch: offset of the last record that is no control record, plus 1;
   * 0: there is none. Undefined: the leader was of a build that does not say.
   */
  readonly dataEnd: Offset | undefined;
}

/** A leader opened its epoch. */
export interface EpochStartRecord extends ControlFields {
  readonly kind: 'epoch-start';
}

/** Somebody asked that the log begin at `trimTo`, which is at or below this batch. */
export interface TrimRecord extends ControlFields {
  readonly kind: 'trim';
  readonly trimTo: Offset;
}

const KIND_EPOCH_START = 1;
const KIND_TRIM = 2;
/** Newest version of a kind, and the bytes of each. */
const EPOCH_START = { version: 2, bytes: [0, 8, 16] };
const TRIM = { version: 1, bytes: [0, 24] };

const AT_VERSION = 2;
const AT_BROKER_ID = 4;
const AT_DATA_END = 8;
const AT_TRIM_TO = 16;

/** The payload, in the newest version: of a trim where `trimTo` is given. */
export function controlPayload(control: {
  readonly brokerId: BrokerId;
  readonly dataEnd: Offset;
  readonly trimTo?: Offset | undefined;
}): Uint8Array {
  const { brokerId, dataEnd, trimTo } = control;
  const { version, bytes } = trimTo === undefined ? EPOCH_START : TRIM;
  const payload = new Uint8Array(bytes[version] ?? 0);
  writeU16(payload, 0, trimTo === undefined ? KIND_EPOCH_START : KIND_TRIM);
  writeU16(payload, AT_VERSION, version);
  writeU32(payload, AT_BROKER_ID, brokerId);
  writeU64(payload, AT_DATA_END, dataEnd);
  if (trimTo !== undefined) writeU64(payload, AT_TRIM_TO, trimTo);
  return payload;
}

/**
 * Reads the payload of the control batch at `baseOffset`. Throws CORRUPT_BATCH, also where the data
 * would end, or the log begin, above the batch.
 */
export function readControl(payload: Uint8Array, baseOffset: Offset): ControlRecord {
  if (payload.length < AT_BROKER_ID)
    refuse(0, 'control bytes', payload.length, `${AT_BROKER_ID} or more`);
  const kind = readU16(payload, 0);
  if (kind !== KIND_EPOCH_START && kind !== KIND_TRIM)
    refuse(
      0,
      'control kind',
      kind,
      `${KIND_EPOCH_START} (epoch start) or ${KIND_TRIM} (trim): this build knows no other`,
    );
  const known = kind === KIND_TRIM ? TRIM : EPOCH_START;
  const version = readU16(payload, AT_VERSION);
  if (version < 1 || version > known.version)
    refuseVersion(0, 'control version', version, known.version);
  const bytes = known.bytes[version] ?? 0;
  if (payload.length !== bytes) refuse(0, 'control bytes', payload.length, `${bytes}`);
  const brokerId = readU32(payload, AT_BROKER_ID);
  if (payload.length < AT_TRIM_TO) return { kind: 'epoch-start', brokerId, dataEnd: undefined };
  const dataEnd = offsetBelow('control dataEnd', readU64(payload, AT_DATA_END), baseOffset);
  if (kind === KIND_EPOCH_START) return { kind: 'epoch-start', brokerId, dataEnd };
  const trimTo = offsetBelow('control trimTo', readU64(payload, AT_TRIM_TO), baseOffset);
  return { kind: 'trim', brokerId, dataEnd, trimTo };
}

function offsetBelow(field: string, offset: Offset, baseOffset: Offset): Offset {
  if (offset > baseOffset) refuse(0, field, offset, `0 to ${baseOffset}, the offset of the batch`);
  return offset;
}
