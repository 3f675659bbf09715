/** `tidemark topic`. */
import { type Command, Option } from 'commander';
import type { AlterOptions, CreateOptions, DeleteOptions } from '../commands/topic.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseDuration, parseSize, parseWait } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds `topic create|list|describe|alter|delete`. */
export function addTopic(program: Command, around: Surroundings): void {
  const topic = program.command('topic').description('make, show, change and delete topics');
  const load = () => import('../commands/topic.ts');
  const create = settings(
    common(topic.command('create').argument('<name>', '1 to 249 of a-z A-Z 0-9 . _ -'))
      .description('make a topic')
      .option('--partitions <count>', 'number of partitions (default: 1)', parseCount(1, 100_000))
      .option(
        '--replication-factor <count>',
        'copies of each (default: 3, or as many as there are brokers)',
        parseCount(1, 100),
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

  const list = common(topic.command('list').alias('ls')).description('all topics');
  examples(list, 'topic list', 'topic list --output json').action(async (options: CommonOptions) =>
    (await load()).listTopics(options, around),
  );

  const describe = common(topic.command('describe').argument('<name>')).description(
    'one topic: settings, partitions, leaders, sync sets',
  );
  examples(describe, 'topic describe orders').action(async (name: string, options: CommonOptions) =>
    (await load()).describeTopic(name, options, around),
  );

  const alter = settings(
    common(topic.command('alter').argument('<name>'))
      .description('change settings, add partitions, or change the number of copies, live')
      .option('--partitions <count>', 'larger number of partitions', parseCount(1, 100_000))
      .option('--replication-factor <count>', 'copies of each', parseCount(1, 100))
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
  ).action(async (name: string, options: AlterOptions) =>
    (await load()).alterTopic(name, options, around),
  );

  const remove = common(topic.command('delete').argument('<name>'))
    .description('delete a topic and its records')
    .option('--if-exists', 'succeed when there is no such topic');
  examples(remove, 'topic delete orders').action(async (name: string, options: DeleteOptions) =>
    (await load()).deleteTopic(name, options, around),
  );
}

function settings(command: Command): Command {
  return command
    .option(
      '--min-in-sync-replicas <count>',
      'fewest trusted members of the sync set that let an append in',
      parseCount(1, 100),
    )
    .addOption(
      new Option(
        '--commit-mode <mode>',
        'who must hold a record before it is committed: all that are in sync, or a majority (docs/commit-modes.md)',
      ).choices(['in-sync', 'quorum']),
    )
    .option(
      '--retention <duration>',
      'age past which records are retired, for example 7d; or forever',
      parseDuration,
    )
    .option('--retention-ms <ms>', 'the same in milliseconds', parseDuration)
    .option(
      '--retention-bytes <size>',
      'size of a replica past which records are retired, for example 1GiB; or unlimited',
      parseSize,
    )
    .option('--segment-bytes <size>', 'size at which a segment is sealed', parseSize)
    .option('--batch-bytes-max <size>', 'largest batch accepted', parseSize)
    .addOption(
      new Option(
        '--unclean-election <choice>',
        'may a leader be elected without a trusted replica, reporting what may be lost?',
      ).choices(['true', 'false']),
    );
}
