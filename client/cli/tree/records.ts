/** `tidemark append` and `tidemark read`. */
import { type Command, Option } from 'commander';
import type { AppendOptions } from '../commands/append.ts';
import type { ReadOptions } from '../commands/read.ts';
import type { Surroundings } from '../output.ts';
import { FIELD_NAMES, parseReadFormat } from '../record-format.ts';
import {
  parseBatchSize,
  parseCount,
  parseCounts,
  parseDelivery,
  parseEnd,
  parseFilter,
  parseHeader,
  parsePattern,
  parseStart,
} from '../units.ts';
import { common, examples } from './shared.ts';

/** `--acks`, as the producer knows it. */
export function acks(): Option {
  return new Option(
    '--acks <level>',
    'how far a record must have come: accepted, written by the leader, committed',
  )
    .choices(['none', 'leader', 'all'])
    .default('all');
}

/** `--compression`. */
export function compression(): Option {
  return new Option('--compression <codec>', 'compression of batches')
    .choices(['none', 'gzip', 'zstd'])
    .default('none');
}

/** `--timeout` of what appends. */
export function deliveryTimeout(): Option {
  return new Option('--timeout <duration>', 'how long to try to deliver a record, 1s to 4m')
    .argParser(parseDelivery)
    .default(120_000, '2m');
}

/** `--plain`. */
function plain(what: string): Option {
  return new Option(
    '--plain',
    `${what} through the given servers alone, which hand it on: for a forwarded port or one load balancer`,
  );
}

/** What a person meets who appends. */
const ABOUT_APPEND = `
Each line is the value of a record. One with a key goes to the partition that its key decides, so that equal
keys stay in order; one without goes to whichever partition is being filled. A record's time is the moment when it was
read, by the clock of this machine. The first record of a new partition often stands at offset 1: leaders write records of
their own, which nobody reads.

With --input json a line is an object as read --format json prints it: value (text, or null for a tombstone) or
valueBase64; and where there are any, key or keyBase64, headers ([{"name": ..., "value" or "valueBase64": ...}]), partition
and timestampMs. Text is UTF-8; other bytes are spelled in base64. offset and leaderEpoch are taken and not used.

Where it stops midway, it says the line, how many records are appended, and with which --skip-lines to go on.`;

/** `--queue` of `read`: what chooses records does not go with it. */
function queue(): Option {
  return new Option(
    '--queue <name>',
    'take records from a queue: each is accepted once it is written. Without --follow it ends when nothing has come for two seconds',
  ).conflicts([
    ...['group', 'alone', 'from', 'to', 'filter', 'partition', 'rack', 'onReset', 'onLoss'],
  ]);
}

/** Adds both. */
export function addRecords(program: Command, around: Surroundings): void {
  const append = common(
    program
      .command('append')
      .argument('<topic>')
      .argument('[files...]', 'files to read; none or -: standard input'),
  )
    .description('append each line of standard input, or of files, as a record')
    .addOption(
      new Option('--input <format>', 'lines: each is a value; json: each is a whole record')
        .choices(['lines', 'json'])
        .default('lines'),
    )
    .addOption(
      new Option(
        '--key-by <regex>',
        'key of a line: the first group, else the whole match; a byte that is no UTF-8 counts as a character',
      )
        .argParser(parsePattern)
        .conflicts('key'),
    )
    .option('--key <key>', 'the same key for every record')
    .option('--partition <number>', 'append to this partition', parseCount(0))
    .option('--repartition', 'with --input json: choose partitions by key, whatever lines say')
    .option('--header <name=value>', 'a header of every record; repeatable', parseHeader)
    .option(
      '--if-offset <offset>',
      'append all records as one batch, or none, and only if no record stands at or above this offset of the partition',
      parseCount(0),
    )
    .addOption(acks())
    .addOption(compression())
    .option(
      '--tombstone',
      'append records without a value: each line is a key, or --key is the only one',
    )
    .option('-0, --null-delimited', 'lines end with a zero byte instead of a newline')
    .option('--skip-lines <count>', 'leave out so many lines, over all files', parseCount(0))
    .option(
      '--batch-bytes-max <size>',
      "largest batch to send, and so the largest record; default: the topic's batchBytesMax",
      parseBatchSize,
    )
    .addOption(plain('append').conflicts(['ifOffset', 'batchBytesMax']))
    .addOption(deliveryTimeout());
  append.addHelpText('after', ABOUT_APPEND);
  examples(
    append,
    "append orders --key-by '^\\S+' < any.log",
    'append orders a.txt b.txt --compression zstd --header source=import',
    'append paths --null-delimited < names-ended-by-zero-bytes',
    'append accounts --tombstone --key account-7',
    'append orders --partition 0 --if-offset 42 < event.txt',
    'append orders --plain --server 127.0.0.1:9641 < any.log',
    'read orders --format json | tidemark append copy --input json',
  ).action(async (topic: string, files: string[], options: AppendOptions) =>
    (await import('../commands/append.ts')).append(topic, files, options, around),
  );
  addRead(program, around);
}

function addRead(program: Command, around: Surroundings): void {
  const read = common(
    program.command('read').argument('[topic]', 'only with --queue it may be left out'),
  )
    .description('read records, up to the end as it is now, or on and on with --follow')
    .addOption(
      new Option(
        '--from <where>',
        'earliest, latest, an offset (any plain number, also 2026), @milliseconds or a date of ISO 8601; without a zone it is UTC',
      )
        .argParser(parseStart)
        .default('earliest'),
    )
    .option(
      '--to <where>',
      'stop before this offset, or before the first record at or after this moment, in each partition',
      parseEnd,
    )
    .option('--filter <key=...>', 'only records with exactly this key', parseFilter)
    .option('-f, --follow', 'go on with records as they are committed')
    .option('-n, --max <count>', 'stop after so many records', parseCount(1))
    .option('-p, --partition <number>', 'only this partition; may be repeated', parseCounts(0))
    .addOption(
      new Option(
        '--format <format>',
        `raw: the bytes as they were appended; text: with partition and offset; json: a line each; or a template of ${FIELD_NAMES.map((name) => `{${name}}`).join(' ')}, \\t and \\n`,
      ).argParser(parseReadFormat),
    )
    .option(
      '--group <name>',
      'read as a member of a group, which shares partitions with its other members: go on where it stopped, and commit what was written. --from counts where it has no cursor yet; what --filter leaves out is passed for good',
    )
    .option(
      '--alone',
      'with --group: read all partitions, or those of --partition, without being a member; refused while the group has members',
    )
    .addOption(queue())
    .addOption(plain('read').conflicts(['group', 'alone', 'queue', 'rack', 'onReset', 'onLoss']))
    .option('--rack <name>', 'read from in-sync replicas in this rack, where there are any')
    .option('-k, --keys', 'show keys too (raw: key, tab, value; of a tombstone the key alone)')
    .option('-0, --null-delimited', 'end raw records with a zero byte instead of a newline')
    .addOption(
      new Option('--on-reset <policy>', 'where the position is gone')
        .choices(['fail', 'earliest', 'latest'])
        .default('fail'),
    )
    .addOption(
      new Option(
        '--on-loss <policy>',
        'where an unclean election may have lost records: tell it on standard error and go on, or fail',
      )
        .choices(['tell', 'fail'])
        .default('tell'),
    );
  read.addHelpText(
    'after',
    `
Default format: text on a terminal, json with --output json, else raw.

A moment is compared with the times that producers gave their records, by their own clocks; dates are shown in UTC, and one
without a zone is read as UTC. Order holds within a partition. Offsets may have gaps, and the first record of a partition is
often at 1: leaders write records of their own, which nobody reads. For the same reason the END that
tidemark topic offsets shows is above the number of records.`,
  );
  examples(
    read,
    'read orders --from earliest --follow',
    'read orders --from 2026-01-31T12:00:00Z --max 10 --format json',
    'read orders --from 2026-01-31 --to 2026-02-01 --filter key=k1',
    'read orders --partition 0 --format raw > copy.log',
    String.raw`read orders --format '{partition}:{offset}\t{key}\t{value}'`,
    'read orders --follow --rack rack-2',
    'read orders --group billing --follow',
    'read --queue jobs --max 10',
    'read orders --plain --server 127.0.0.1:9641',
  ).action(async (topic: string | undefined, options: ReadOptions) =>
    (await import('../commands/read.ts')).read(topic, options, around),
  );
}
