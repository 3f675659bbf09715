/** `tidemark topic`. */
import {
  NAME_LENGTH_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  REPLICATION_FACTOR_MAX,
} from '../../../base/limits.ts';
import { type Command, Option } from 'commander';
import type { ImportOptions } from '../commands/import.ts';
import type { OffsetsOptions } from '../commands/offsets.ts';
import type { TrimOptions } from '../commands/trim.ts';
import type {
  AlterOptions,
  CreateOptions,
  DeleteOptions,
  DescribeOptions,
  ListOptions,
} from '../commands/topic.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import {
  parseAge,
  parseCount,
  parseCounts,
  parseDuration,
  parseMilliseconds,
  parseMin,
  parseRecords,
  parseSize,
  parseStart,
  parseTrimTo,
  parseWait,
} from '../units.ts';
import { compression, deliveryTimeout } from './records.ts';
import { common, examples } from './shared.ts';

/** Adds `topic create|list|describe|offsets|export|import|alter|trim|delete`. */
export function addTopic(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const topic = program.command('topic').description('make, show, change and delete topics');
  const load = () => import('../commands/topic.ts');
  const create = configs(
    common(
      topic.command('create').argument('<name>', `1 to ${NAME_LENGTH_MAX} of a-z A-Z 0-9 . _ -`),
    )
      .description('make a topic')
      .option(
        '--partitions <count>',
        'number of partitions (default: 1)',
        parseCount(1, PARTITIONS_PER_TOPIC_MAX),
      )
      .option(
        '--replication-factor <count>',
        'copies of each (default: 3, or as many as there are brokers)',
        parseCount(1, REPLICATION_FACTOR_MAX),
      )
      .option('--if-not-exists', 'succeed when the topic exists already'),
  );
  examples(
    create,
    'topic create orders --partitions 3 --replication-factor 3 --min-in-sync-replicas 2',
    'topic create audit --retention 30d --retention-bytes 10GiB --if-not-exists',
  ).action(async (name: string, options: CreateOptions) =>
    (await load()).createTopic(name, options, around),
  );

  const list = common(topic.command('list').alias('ls'))
    .description('all topics')
    .option('--internal', "those of the cluster's own too");
  examples(list, 'topic list', 'topic list --output json').action(async (options: ListOptions) =>
    (await load()).listTopics(options, around),
  );

  addLooks(topic, around, finish);
  addFiles(topic, around);

  const alter = configs(
    common(topic.command('alter').argument('<name>'))
      .description('change configs, add partitions, or change the number of copies, live')
      .option(
        '--partitions <count>',
        'larger number of partitions',
        parseCount(1, PARTITIONS_PER_TOPIC_MAX),
      )
      .option(
        '--replication-factor <count>',
        'copies of each',
        parseCount(1, REPLICATION_FACTOR_MAX),
      )
      .option(
        '--wait <duration>',
        'how long a larger minimum may wait for sync sets, and other copies may take (default: not at all)',
        parseWait,
      ),
  );
  examples(
    alter,
    'topic alter orders --retention 7d',
    'topic alter orders --partitions 6',
    'topic alter orders --replication-factor 3 --min-in-sync-replicas 2 --wait 30s',
    'topic alter orders --min-in-sync-replicas default',
  ).action(async (name: string, options: AlterOptions) =>
    (await load()).alterTopic(name, options, around),
  );

  addTrim(topic, around, finish);

  const remove = common(topic.command('delete').argument('<name>'))
    .description('delete a topic and its records')
    .option('--if-exists', 'succeed when there is no such topic')
    .option('-y, --yes', 'do not ask; nothing asks where input is no terminal');
  examples(remove, 'topic delete orders').action(async (name: string, options: DeleteOptions) =>
    (await load()).deleteTopic(name, options, around),
  );
}

function addLooks(topic: Command, around: Surroundings, finish: (exitCode: number) => void): void {
  const describe = common(topic.command('describe').argument('<name>'))
    .description('one topic: configs, partitions, leaders, sync sets')
    .option('-a, --all', 'each replica too: offsets, size, lag, what is synced');
  examples(describe, 'topic describe orders', 'topic describe orders --all').action(
    async (name: string, options: DescribeOptions) =>
      (await import('../commands/topic.ts')).describeTopic(name, options, around),
  );

  const offsets = common(topic.command('offsets').argument('<name>'))
    .description('where each partition begins and ends, and which offset is at a moment')
    .addOption(
      new Option(
        '--at <where>',
        'also the offset of the first record at or after this moment: @milliseconds or a date of ISO 8601 (without a zone: UTC)',
      ).argParser(parseStart),
    )
    .option('-p, --partition <number>', 'only this partition; may be repeated', parseCounts(0));
  examples(offsets, 'topic offsets orders', 'topic offsets orders --at 2026-01-31T12:00Z').action(
    async (name: string, options: OffsetsOptions) =>
      finish(await (await import('../commands/offsets.ts')).topicOffsets(name, options, around)),
  );
}

function addTrim(topic: Command, around: Surroundings, finish: (exitCode: number) => void): void {
  const trim = common(topic.command('trim').argument('<name>'))
    .description('drop the oldest records for good: partitions begin later than they do')
    .addOption(
      new Option(
        '--to <where>',
        'what is older goes: an offset, latest (everything committed now), @milliseconds or a date of ISO 8601 (without a zone: UTC)',
      )
        .argParser(parseTrimTo)
        .makeOptionMandatory(),
    )
    .option('-p, --partition <number>', 'only this partition; may be repeated', parseCounts(0))
    .option('-y, --yes', 'do not ask; nothing asks where input is no terminal');
  examples(
    trim,
    'topic trim orders --to 1200 --partition 0',
    'topic trim orders --to 2026-01-31',
    'topic trim orders --to latest --yes',
  ).action(async (name: string, options: TrimOptions) =>
    finish(await (await import('../commands/trim.ts')).trimTopic(name, options, around)),
  );
}

function addFiles(topic: Command, around: Surroundings): void {
  const exported = common(topic.command('export').argument('<name>'))
    .description(
      'write a topic to standard output: its config, and every record that is committed now',
    )
    .addHelpText(
      'after',
      `
Lines of JSON, each with a checksum: the topic first, a record each, counts last (docs/json.md). Partitions, order, times,
headers and tombstones are kept; offsets are told and not kept by an import, for a log numbers its own records.`,
    );
  examples(
    exported,
    'topic export orders > orders.jsonl',
    'topic export orders | zstd > orders.zst',
  ).action(async (name: string, options: CommonOptions) =>
    (await import('../commands/export.ts')).exportTopic(name, options, around),
  );
  const imported = common(
    topic
      .command('import')
      .argument('<name>', 'topic to make; may be another name than the exported one')
      .argument('[file]', 'what export wrote; none or -: standard input'),
  )
    .description('make a topic of what export wrote')
    .option(
      '--replication-factor <count>',
      'in place of the exported one',
      parseCount(1, REPLICATION_FACTOR_MAX),
    )
    .option(
      '--min-in-sync-replicas <count>',
      "in place of the exported one; default: the cluster's, which the topic then follows",
      parseMin,
    )
    .option(
      '--resume',
      'go on with an import of the same file: what is there is compared and left out',
    )
    .option('--add', 'append behind whatever the topic holds')
    .addOption(compression())
    .addOption(deliveryTimeout());
  imported.addHelpText(
    'after',
    `
A file is checked as a whole before anything is done; standard input line by line. A topic that exists and holds records is
refused without --resume or --add. Partitions, order and times are kept, offsets are not: positions of consumers do not carry
over. Records keep their times, so retention by time retires them as if they had never left.`,
  );
  examples(
    imported,
    'topic import orders orders.jsonl',
    'topic import copy orders.jsonl --replication-factor 1 --min-in-sync-replicas 1',
    'topic import orders orders.jsonl --resume',
  ).action(async (name: string, file: string | undefined, options: ImportOptions) =>
    (await import('../commands/import.ts')).importTopic(name, file, options, around),
  );
}

function configs(command: Command): Command {
  return compactionConfigs(command)
    .option(
      '--min-in-sync-replicas <count>',
      'fewest trusted members of the sync set that let an append in; default: none is chosen for the topic, which follows the default of the cluster (tidemark cluster defaults)',
      parseMin,
    )
    .addOption(
      new Option(
        '--commit-mode <mode>',
        'who must hold a record before it is committed: all that are in sync, or a majority (docs/commit-modes.md; default: in-sync)',
      ).choices(['in-sync', 'quorum']),
    )
    .option(
      '--retention <duration>',
      'age past which records are retired, for example 30d; or forever (default: 7d)',
      parseDuration,
    )
    .option('--retention-ms <ms>', 'the same in milliseconds', parseMilliseconds)
    .option(
      '--retention-bytes <size>',
      'size of a replica past which records are retired, for example 1GiB; or unlimited (default: unlimited)',
      parseSize,
    )
    .option(
      '--retention-records <count>',
      'newest records of a partition that stay, however old; or unlimited, which keeps none for their number (default: unlimited)',
      parseRecords,
    )
    .option(
      '--segment-bytes <size>',
      'size at which a segment is sealed: retention takes whole ones (default: 64MiB)',
      parseSize,
    )
    .option(
      '--segment-ms <duration>',
      'age at which a segment is sealed, so that retention by time may take it (default: 1d)',
      parseMilliseconds,
    )
    .option('--batch-bytes-max <size>', 'largest batch accepted (default: 1MiB)', parseSize)
    .addOption(
      new Option(
        '--unclean-election <choice>',
        'may a leader be elected without a trusted replica, reporting what may be lost? (default: false)',
      ).choices(['true', 'false']),
    );
}

function compactionConfigs(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--cleanup <what>',
        'what becomes of old records: delete, by retention; compact, all but the last of each key (docs/compaction.md); or both (default: delete)',
      ).choices(['delete', 'compact', 'both']),
    )
    .option(
      '--tombstone-retention-ms <duration>',
      'how long a tombstone stays at least, from the order that takes what it deletes (default: 1d)',
      parseAge,
    )
    .option(
      '--compaction-dirty-percent <percent>',
      'share of a log written since the last pass at which another is due (default: 50)',
      parseCount(1, 100),
    )
    .option(
      '--compaction-lag-min-ms <duration>',
      'age below which compaction leaves every record (default: 0)',
      parseAge,
    )
    .option(
      '--compaction-lag-max-ms <duration>',
      'age of a record at which a pass is due, however little was written; or forever (default: forever)',
      parseMilliseconds,
    );
}
