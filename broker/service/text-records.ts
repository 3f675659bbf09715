/** Records of topics of the cluster's own: text, in frames of no producer. */
import { crc32 } from 'node:zlib';

import { BrokerError } from '../../base/errors.ts';
import { decodeBatch, encodeBatch } from '../../wire/records/batch.ts';
import type { TextRecords } from '../runtime/ports.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true });
const ENCODER = new TextEncoder();

export const TEXT_RECORDS: TextRecords = {
  encode: (records, timestampMs) =>
    encodeBatch(
      records.map(({ key, value }) => ({
        key: ENCODER.encode(key),
        value: value === null ? null : ENCODER.encode(value),
        timestampMs,
      })),
      { codec: 0, recordCrc: true },
      crc32,
    ),
  decode: (bytes, at) => {
    const { header, records } = decodeBatch(bytes, at, crc32);
    const texts = records.map(({ key, value, offset }) => {
      if (key === undefined)
        throw new BrokerError('UNDECODABLE', `Record ${offset} has no key, must have one`);
      return { offset, key: textOf(key), value: value === null ? null : textOf(value) };
    });
    return { header, records: texts };
  },
};

function textOf(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw new BrokerError('UNDECODABLE', 'A record holds no text', {}, cause);
  }
}
