/** `tidemark append` and `tidemark read`. */
import { type Command, Option } from 'commander';
import type { AppendOptions } from '../commands/append.ts';
import type { ReadOptions } from '../commands/read.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseCounts, parsePattern, parseStart, parseWait } from '../units.ts';
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
      new Option('--key-by <regex>', 'key of a line: the first group, else the whole match')
        .argParser(parsePattern)
        .conflicts('key'),
    )
    .option('--key <key>', 'the same key for every record')
    .option('--partition <number>', 'append to this partition', parseCount(0))
    .addOption(acks())
    .addOption(compression())
    .option('-0, --null-delimited', 'records end with a zero byte instead of a newline')
    .option(
      '--timeout <duration>',
      'how long to try to deliver a record, 1s to 4m (default: 2m)',
      parseWait,
      120_000,
    );
  examples(
    append,
    "append orders --key-by '^\\S+' < any.log",
    'append orders a.txt b.txt --compression zstd',
    'append paths --null-delimited < names-ended-by-zero-bytes',
  ).action(async (topic: string, files: string[], options: AppendOptions) =>
    (await import('../commands/append.ts')).append(topic, files, options, around),
  );

  const read = common(program.command('read').argument('<topic>'))
    .description('read records, up to the end as it is now, or on and on with --follow')
    .addOption(
      new Option(
        '--from <where>',
        'earliest, latest, an offset, @milliseconds or a date of ISO 8601',
      )
        .argParser(parseStart)
        .default('earliest'),
    )
    .option('-f, --follow', 'go on with records as they are committed')
    .option('-n, --max <count>', 'stop after so many records', parseCount(1))
    .option('-p, --partition <number>', 'only this partition; may be repeated', parseCounts(0))
    .addOption(
      new Option(
        '--format <format>',
        'raw: the bytes as they were appended; text: with partition and offset; json: a line each',
      ).choices(['raw', 'text', 'json']),
    )
    .option('--rack <name>', 'read from in-sync replicas in this rack, where there are any')
    .option('-k, --keys', 'show keys too (raw: key, tab, value)')
    .option('-0, --null-delimited', 'end raw records with a zero byte instead of a newline')
    .addOption(
      new Option('--on-reset <policy>', 'where the position is gone')
        .choices(['fail', 'earliest', 'latest'])
        .default('fail'),
    );
  read.addHelpText(
    'after',
    '\nDefault format: text on a terminal, json with --output json, else raw.',
  );
  examples(
    read,
    'read orders --from earliest --follow',
    'read orders --from 2026-01-31T12:00:00Z --max 10 --format json',
    'read orders --partition 0 --format raw > copy.log',
    'read orders --follow --rack rack-2',
  ).action(async (topic: string, options: ReadOptions) =>
    (await import('../commands/read.ts')).read(topic, options, around),
  );
}
