/**
 * Records of queues that were read for their owners: whoever is leased one is sent it from here.
 * Bounded by bytes, for all queues of a broker; what is not here any more is read again.
 */
import type { DecodedRecord } from '../../../wire/records/record-set.ts';
import { recordBytes } from '../../../wire/records/record-set.ts';
import type { LeaderEpoch, Offset, PartitionKey } from '../../../base/units.ts';

/** Of an entry, beside its record. */
const ENTRY_BYTES = 200;

export class RecordCache {
  readonly #bytesMax: number;
  /** The oldest first. */
  readonly #records = new Map<string, DecodedRecord>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  keep(partition: PartitionKey, record: DecodedRecord, epoch: LeaderEpoch): void {
    this.take(partition, record.offset, epoch);
    this.#records.set(keyOf(partition, record.offset, epoch), copyOf(record));
    this.#bytes += bytesOf(record);
    for (const [key, each] of this.#records) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#records.delete(key);
      this.#bytes -= bytesOf(each);
    }
  }

  /** It is kept no longer; undefined: it is not here. */
  take(partition: PartitionKey, offset: Offset, epoch: LeaderEpoch): DecodedRecord | undefined {
    const key = keyOf(partition, offset, epoch);
    const found = this.#records.get(key);
    if (found === undefined) return undefined;
    this.#records.delete(key);
    this.#bytes -= bytesOf(found);
    return found;
  }
}

function keyOf(partition: PartitionKey, offset: Offset, epoch: LeaderEpoch): string {
  return `${partition}/${String(offset)}/${String(epoch)}`;
}

/** As it was decoded it is a view of its batch, and would keep all of that alive. */
function copyOf(record: DecodedRecord): DecodedRecord {
  const { key, value, headers } = record;
  return {
    ...record,
    key: key && new Uint8Array(key),
    value: value && new Uint8Array(value),
    headers: headers.map((header) => ({ ...header, value: new Uint8Array(header.value) })),
  };
}

function bytesOf(record: DecodedRecord): number {
  return ENTRY_BYTES + recordBytes(record);
}
