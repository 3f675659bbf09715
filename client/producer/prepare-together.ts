/**
 * Records that a program appends at an expected end, checked and encoded: they travel in a batch of
 * their own, all of them or none. Must not know how records travel.
 */
import { RECORDS_PER_BATCH_MAX } from '../../base/limits.ts';
import { checkArgument, count, fault, optional, shape, signal, size } from '../check.ts';
import { TidemarkError } from '../errors.ts';
import { type PreparedRecord, prepare } from './prepare.ts';
import type { AppendedBatch, AppendOptions, ProducerSettings, RecordMetadata } from './types.ts';

const OPTIONS = shape({
  ifOffset: size,
  ifLeaderEpoch: optional(count),
  signal: optional(signal),
});

/**
 * The first record, with the others behind it; a promise where a codec takes time. Throws
 * INVALID_ARGUMENT. @param nowMs time of those that state none
 */
export function prepareTogether(
  records: unknown,
  options: AppendOptions,
  { acks, idempotent }: Pick<ProducerSettings, 'acks' | 'idempotent'>,
  nowMs: number,
): PreparedRecord | Promise<PreparedRecord> {
  checkArgument('append records', OPTIONS, options);
  if (acks !== 'all') throw refused(`the producer's ${fault('acks', acks, 'all')}`);
  if (!idempotent) throw refused(`the producer's ${fault('idempotent', idempotent, 'true')}`);
  if (!Array.isArray(records)) throw refused(fault('records', records, 'an array'));
  const { length } = records;
  if (length < 1 || length > RECORDS_PER_BATCH_MAX)
    throw refused(fault('the number of records', length, `1 to ${RECORDS_PER_BATCH_MAX}`));
  const prepared = Array.from({ length }, (_, at) => prepare(records[at] as unknown, nowMs));
  const { ifOffset: offset, ifLeaderEpoch: leaderEpoch = 0 } = options;
  const together = (all: readonly PreparedRecord[]): PreparedRecord => {
    const [first, ...rest] = all as readonly [PreparedRecord, ...PreparedRecord[]];
    all.forEach((record, at) => checkPlace(record, at, first));
    return { ...first, group: { rest, expectedEnd: { offset, leaderEpoch } } };
  };
  const ready: PreparedRecord[] = [];
  for (const one of prepared) if (!(one instanceof Promise)) ready.push(one);
  if (ready.length === length) return together(ready);
  return Promise.all(prepared.map((one) => Promise.resolve(one))).then(together);
}

/** What the caller is told, of what is known of the first record. */
export function appendedOf({ partition, offset }: RecordMetadata, records: number): AppendedBatch {
  return { partition, baseOffset: offset, nextOffset: offset < 0 ? -1 : offset + records };
}

/** The end of one partition is expected, so the program must know which one. */
function checkPlace(record: PreparedRecord, at: number, first: PreparedRecord): void {
  const { topic, partition, key } = record;
  if (topic !== first.topic)
    throw refused(fault(`records[${at}].topic`, topic, `"${first.topic}", as of records[0]`));
  if (partition === undefined && key === undefined)
    throw refused(`records[${at}] has neither partition nor key, must have one of them`);
}

function refused(reason: string): TidemarkError {
  return new TidemarkError('INVALID_ARGUMENT', `Cannot append records: ${reason}`);
}
