/**
 * The format of `topic export`: lines of JSON, the first one about the topic, then one for each
 * record, the last one with counts. Every line ends with the CRC-32 of its bytes before, and the
 * last one has that of all before it, so that a line that was changed, lost, doubled or moved is
 * noticed, and so is a file that was cut. docs/json.md states the format. Pure.
 */
import { crc32 } from 'node:zlib';
import { PARTITIONS_PER_TOPIC_MAX, REPLICATION_FACTOR_MAX } from '../../base/limits.ts';
import type { ConsumedRecord, TopicConfig } from '../index.ts';
import { TOPIC_CONFIG } from '../admin-types.ts';
import {
  type Check,
  count,
  fault,
  flag,
  listOf,
  named,
  shape,
  size,
  text,
  whole,
} from '../check.ts';
import { CliError } from './exit.ts';
import { parsedObject, type RecordFields, recordFromObject, recordToJson } from './record-json.ts';

/** What the first line says. */
export interface TopicHead {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: TopicConfig;
}

/** A record of the file, which has a partition and an offset. */
export type FileRecord = RecordFields & { readonly partition: number; readonly offset: number };

/** What a line is. */
export type TopicFileEntry =
  | { readonly kind: 'head'; readonly head: TopicHead }
  | { readonly kind: 'record'; readonly record: FileRecord }
  | { readonly kind: 'end' };

const FORMAT = 'tidemark-topic';
const VERSION = 1;
/** `,"crc":"01234567"}` at the end of every line. */
const SEAL = /^,"crc":"([0-9a-f]{8})"\}$/;
const SEAL_LENGTH = 18;

const exactly =
  (allowed: unknown): Check =>
  (value, name) =>
    value === allowed ? [] : [fault(name, value, JSON.stringify(allowed))];

const HEAD = shape({
  format: exactly(FORMAT),
  version: exactly(VERSION),
  topic: named,
  topicId: text,
  partitions: whole(1, PARTITIONS_PER_TOPIC_MAX),
  replicationFactor: whole(1, REPLICATION_FACTOR_MAX),
  config: TOPIC_CONFIG,
});

const END = shape({
  end: flag,
  records: size,
  partitions: listOf(shape({ partition: count, records: size })),
  fileCrc: text,
});

interface EndFields {
  readonly records: number;
  readonly partitions: readonly { readonly partition: number; readonly records: number }[];
  readonly fileCrc: string;
}

/** Writes the lines of a file, in order. */
export class TopicFileWriter {
  readonly #counts: number[];
  #crc = 0;
  #records = 0;

  constructor(partitions: number) {
    this.#counts = Array.from({ length: partitions }, () => 0);
  }

  get records(): number {
    return this.#records;
  }

  head(head: TopicHead): string {
    return this.#line({ format: FORMAT, version: VERSION, ...head });
  }

  record(record: ConsumedRecord): string {
    this.#records += 1;
    this.#counts[record.partition] = (this.#counts[record.partition] ?? 0) + 1;
    return this.#line(recordToJson(record));
  }

  end(): string {
    const partitions = this.#counts.map((records, partition) => ({ partition, records }));
    return this.#line({ end: true, records: this.#records, partitions, fileCrc: hex(this.#crc) });
  }

  #line(value: unknown): string {
    const body = JSON.stringify(value).slice(0, -1);
    const line = `${body},"crc":"${hex(crc32(body))}"}\n`;
    this.#crc = crc32(line, this.#crc);
    return line;
  }
}

/** Reads and checks the lines of a file, in order. */
export class TopicFileReader {
  readonly #counts = new Map<number, number>();
  readonly #offsets = new Map<number, number>();
  #head: TopicHead | undefined;
  #crc = 0;
  #records = 0;
  #lines = 0;
  #isEnded = false;

  /** Lines that were read, the last one included. */
  get lines(): number {
    return this.#lines;
  }

  /** The next line, without its newline. Throws INVALID_ARGUMENT: it is not what was written. */
  read(bytes: Uint8Array): TopicFileEntry {
    this.#lines += 1;
    if (this.#isEnded) throw refused('it stands behind the last line');
    const found = unsealed(bytes);
    const entry = this.#entryOf(found);
    this.#crc = crc32('\n', crc32(bytes, this.#crc));
    return entry;
  }

  /** Throws INVALID_ARGUMENT where the last line is missing. */
  finish(): void {
    if (this.#isEnded) return;
    throw refused(
      this.#head === undefined
        ? 'it is empty, must begin with the line about the topic'
        : `it is cut: after ${this.#records} records the last line, with the counts, is missing`,
    );
  }

  #entryOf(found: unknown): TopicFileEntry {
    if (this.#head === undefined) return this.#readHead(found);
    if (typeof found === 'object' && found !== null && 'end' in found) return this.#readEnd(found);
    return this.#readRecord(found, this.#head);
  }

  #readHead(found: unknown): TopicFileEntry {
    refuse(HEAD(found, ''));
    const { topic, topicId, partitions, replicationFactor, config } = found as TopicHead;
    this.#head = { topic, topicId, partitions, replicationFactor, config };
    return { kind: 'head', head: this.#head };
  }

  #readRecord(found: unknown, { partitions }: TopicHead): TopicFileEntry {
    const { partition, offset, ...fields } = recordFromObject(found);
    if (partition === undefined || partition >= partitions)
      throw refused(fault('partition', partition, `0 to ${partitions - 1}`));
    const before = this.#offsets.get(partition) ?? -1;
    if (offset === undefined || offset <= before)
      throw refused(fault('offset', offset, `above ${before}, the one before it`));
    if (fields.timestampMs === undefined) throw refused('timestampMs is missing');
    this.#offsets.set(partition, offset);
    this.#counts.set(partition, (this.#counts.get(partition) ?? 0) + 1);
    this.#records += 1;
    return { kind: 'record', record: { ...fields, partition, offset } };
  }

  #readEnd(found: unknown): TopicFileEntry {
    refuse(END(found, ''));
    const { records, partitions, fileCrc } = found as EndFields;
    if (records !== this.#records)
      throw refused(`records is ${records}, and there are ${this.#records} before it`);
    for (const { partition, records: stated } of partitions) {
      const counted = this.#counts.get(partition) ?? 0;
      if (stated !== counted)
        throw refused(`partition ${partition} has ${counted} records, must have ${stated}`);
    }
    if (fileCrc !== hex(this.#crc))
      throw refused(`the lines before it have the CRC-32 ${hex(this.#crc)}, must have ${fileCrc}`);
    this.#isEnded = true;
    return { kind: 'end' };
  }
}

function unsealed(bytes: Uint8Array): unknown {
  const at = Math.max(0, bytes.length - SEAL_LENGTH);
  const [, stated] = SEAL.exec(Buffer.from(bytes.subarray(at)).toString('latin1')) ?? [];
  if (stated === undefined)
    throw refused('it is cut, or no line of an exported topic: no "crc" ends it');
  const body = bytes.subarray(0, at);
  const found = hex(crc32(body));
  if (found !== stated)
    throw refused(`it has the CRC-32 ${found}, must have ${stated}: it was changed`);
  return parsedObject(Buffer.concat([body, Buffer.from('}')]));
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

function refuse(faults: readonly string[]): void {
  if (faults.length > 0) throw refused(faults.join('; '));
}

function refused(reason: string): CliError {
  return new CliError('INVALID_ARGUMENT', reason);
}
