/**
 * The payload of a control batch, which a leader writes itself. Pure. Version 2 of an epoch start
 * adds the end of the data below the batch; leaders of older builds wrote version 1 without it.
 */
import type { BrokerId, Offset, WallMs } from '../../base/units.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './bytes.ts';
import { refuse, refuseVersion } from './refusal.ts';

/** What a control batch says. */
export type ControlRecord = EpochStartRecord | TrimRecord | CompactionRecord;

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

/** What every replica makes of its log once the batch is committed: rules K1 to K4. */
export interface CompactionMark {
  /** X: a record below it stays only while no later record of its key stands below it too. */
  readonly upTo: Offset;
  /** D: tombstones below it go. At or below `upTo`. */
  readonly tombstonesBelow: Offset;
  /** P: producers that wrote nothing at or above it are forgotten. At or below `upTo`. */
  readonly producersBelow: Offset;
  /** The largest id that was forgotten so far; 0: none was. */
  readonly forgottenIdMax: number;
  /** What D becomes next: X of this batch or of an earlier one, at or above D. */
  readonly agingTo: Offset;
  /** When a leader ordered that one, by its clock. */
  readonly agingSinceMs: WallMs;
}

/** The leader orders a compaction. */
export interface CompactionRecord extends ControlFields {
  readonly kind: 'compaction';
  readonly compaction: CompactionMark;
}

const KIND_EPOCH_START = 1;
const KIND_TRIM = 2;
const KIND_COMPACTION = 3;
/** Newest version of a kind, and the bytes of each. */
const KINDS: Readonly<Record<number, { readonly version: number; readonly bytes: number[] }>> = {
  [KIND_EPOCH_START]: { version: 2, bytes: [0, 8, 16] },
  [KIND_TRIM]: { version: 1, bytes: [0, 24] },
  [KIND_COMPACTION]: { version: 1, bytes: [0, 64] },
};

const AT_VERSION = 2;
const AT_BROKER_ID = 4;
const AT_DATA_END = 8;
const AT_TRIM_TO = 16;
const AT_COMPACTION = 16;
/** Fields of a {@link CompactionMark} in their order: here, and in the journal of a broker. */
export const COMPACTION_FIELDS = [
  'upTo',
  'tombstonesBelow',
  'producersBelow',
  'forgottenIdMax',
  'agingTo',
  'agingSinceMs',
] as const satisfies readonly (keyof CompactionMark)[];

/** What a leader writes into a control batch: a trim or a compaction, else an epoch start. */
export interface ControlContent {
  readonly brokerId: BrokerId;
  readonly dataEnd: Offset;
  readonly trimTo?: Offset | undefined;
  readonly compaction?: CompactionMark | undefined;
}

/** The payload, in the newest version. */
export function controlPayload(control: ControlContent): Uint8Array {
  const { brokerId, dataEnd, trimTo, compaction } = control;
  const kind = kindOf(control);
  const { version, bytes } = KINDS[kind] ?? refuseKind(kind);
  const payload = new Uint8Array(bytes[version] ?? 0);
  writeU16(payload, 0, kind);
  writeU16(payload, AT_VERSION, version);
  writeU32(payload, AT_BROKER_ID, brokerId);
  writeU64(payload, AT_DATA_END, dataEnd);
  if (trimTo !== undefined) writeU64(payload, AT_TRIM_TO, trimTo);
  if (compaction !== undefined)
    COMPACTION_FIELDS.forEach((field, index) => {
      writeU64(payload, AT_COMPACTION + 8 * index, compaction[field]);
    });
  return payload;
}

function kindOf({ trimTo, compaction }: ControlContent): number {
  if (compaction !== undefined) return KIND_COMPACTION;
  return trimTo === undefined ? KIND_EPOCH_START : KIND_TRIM;
}

/**
 * Reads the payload of the control batch at `baseOffset`. Throws CORRUPT_BATCH, also where the data
 * would end, the log begin, or a compaction reach, above the batch.
 */
export function readControl(payload: Uint8Array, baseOffset: Offset): ControlRecord {
  if (payload.length < AT_BROKER_ID)
    refuse(0, 'control bytes', payload.length, `${AT_BROKER_ID} or more`);
  const kind = readU16(payload, 0);
  const known = KINDS[kind] ?? refuseKind(kind);
  const version = readU16(payload, AT_VERSION);
  if (version < 1 || version > known.version)
    refuseVersion(0, 'control version', version, known.version);
  const bytes = known.bytes[version] ?? 0;
  if (payload.length !== bytes) refuse(0, 'control bytes', payload.length, `${bytes}`);
  const brokerId = readU32(payload, AT_BROKER_ID);
  if (payload.length < AT_TRIM_TO) return { kind: 'epoch-start', brokerId, dataEnd: undefined };
  const dataEnd = offsetBelow('control dataEnd', readU64(payload, AT_DATA_END), baseOffset);
  if (kind === KIND_EPOCH_START) return { kind: 'epoch-start', brokerId, dataEnd };
  if (kind === KIND_COMPACTION)
    return { kind: 'compaction', brokerId, dataEnd, compaction: readMark(payload, baseOffset) };
  const trimTo = offsetBelow('control trimTo', readU64(payload, AT_TRIM_TO), baseOffset);
  return { kind: 'trim', brokerId, dataEnd, trimTo };
}

function readMark(payload: Uint8Array, baseOffset: Offset): CompactionMark {
  const [
    upTo = 0,
    tombstonesBelow = 0,
    producersBelow = 0,
    forgottenIdMax = 0,
    agingTo = 0,
    since,
  ] = COMPACTION_FIELDS.map((_, index) => readU64(payload, AT_COMPACTION + 8 * index));
  const mark = {
    upTo: offsetBelow('control upTo', upTo, baseOffset),
    tombstonesBelow,
    producersBelow,
    forgottenIdMax,
    agingTo,
    agingSinceMs: since ?? 0,
  };
  const fault = compactionFault(mark);
  if (fault !== null) refuse(0, `control ${fault.field}`, fault.value, fault.allowed);
  return mark;
}

/** What no leader can have ordered, or null: how the offsets of a mark lie to each other. */
export function compactionFault(
  mark: CompactionMark,
): { readonly field: string; readonly value: number; readonly allowed: string } | null {
  const { upTo, tombstonesBelow, producersBelow, agingTo, forgottenIdMax, agingSinceMs } = mark;
  const allowed = '0 to 2^53 - 1';
  if (!Number.isSafeInteger(forgottenIdMax))
    return { field: 'forgottenIdMax', value: forgottenIdMax, allowed };
  if (!Number.isSafeInteger(agingSinceMs))
    return { field: 'agingSinceMs', value: agingSinceMs, allowed };
  const above = (field: string, value: Offset) =>
    value > upTo ? { field, value, allowed: `0 to ${upTo}, where it compacts to` } : null;
  return (
    above('tombstonesBelow', tombstonesBelow) ??
    above('producersBelow', producersBelow) ??
    above('agingTo', agingTo) ??
    (agingTo < tombstonesBelow
      ? { field: 'agingTo', value: agingTo, allowed: `${tombstonesBelow} to ${upTo}` }
      : null)
  );
}

function refuseKind(kind: number): never {
  refuse(
    0,
    'control kind',
    kind,
    '1 (epoch start), 2 (trim) or 3 (compaction): this build knows no other',
  );
}

function offsetBelow(field: string, offset: Offset, baseOffset: Offset): Offset {
  if (offset > baseOffset) refuse(0, field, offset, `0 to ${baseOffset}, the offset of the batch`);
  return offset;
}
