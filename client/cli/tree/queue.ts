/** `tidemark queue`. */
import { type Command, Option } from 'commander';
import type { AlterOptions, CreateOptions, DeleteOptions, ListOptions } from '../commands/queue.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseAge, parseCount } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds it. */
export function addQueue(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const load = () => import('../commands/queue.ts');
  const queue = program
    .command('queue')
    .description('queues, which hand out the records of a topic one by one (docs/queues.md)');
  const create = settings(
    common(queue.command('create').argument('<queue>').argument('<topic>')),
  ).description('make a queue; ends once it has begun in every partition of its topic');
  create.addOption(
    new Option('--from <where>', 'where it begins (default: earliest)').choices([
      'earliest',
      'latest',
    ]),
  );
  examples(
    create,
    'queue create jobs orders',
    'queue create jobs orders --lease 2m --deliveries-max 5 --dead-letter-topic orders-dead',
  ).action(async (name: string, topic: string, options: CreateOptions) =>
    (await load()).create(name, topic, options, around),
  );
  const alter = settings(common(queue.command('alter').argument('<queue>'))).description(
    'change what is stated; what is leased stays leased',
  );
  examples(
    alter,
    'queue alter jobs --lease 5m',
    'queue alter jobs --dead-letter-topic none --deliveries-max 0',
  ).action(async (name: string, options: AlterOptions) =>
    (await load()).alter(name, options, around),
  );
  const list = common(queue.command('list').alias('ls'))
    .description('all queues')
    .option('--topic <topic>', 'only those of this topic');
  examples(list, 'queue list', 'queue list --topic orders').action(async (options: ListOptions) =>
    (await load()).list(options, around),
  );
  const describe = common(queue.command('describe').argument('<queue>')).description(
    'what a queue keeps to, how its partitions stand, and who takes records',
  );
  examples(describe, 'queue describe jobs', 'queue describe jobs --output json').action(
    async (name: string, options: CommonOptions) =>
      finish(await (await load()).describe(name, options, around)),
  );
  const remove = common(queue.command('delete').argument('<queue>'))
    .description('forget a queue, and what became of its records; the topic stays')
    .option('--yes', 'do not ask');
  examples(remove, 'queue delete jobs').action(async (name: string, options: DeleteOptions) =>
    (await load()).remove(name, options, around),
  );
  const free = common(
    queue
      .command('free')
      .argument('<queue>')
      .argument('<partition>', 'of the parked record', parseCount(0))
      .argument('<offset>', 'of the parked record', parseCount(0)),
  ).description('let the key of a parked record go on; queue describe has their offsets');
  examples(free, 'queue free jobs 3 1042').action(
    async (name: string, partition: number, offset: number, options: CommonOptions) =>
      (await load()).free(name, partition, offset, options, around),
  );
}

function settings(command: Command): Command {
  const choice = (flags: string, text: string): Option =>
    new Option(flags, text).choices(['true', 'false']);
  return command
    .option(
      '--lease <duration>',
      'how long a member has a record before it is handed to another (default: 30s)',
      parseAge,
    )
    .option(
      '--deliveries-max <number>',
      'deliveries after which a record that was not accepted goes to the dead-letter topic; 0: never (default: 0)',
      parseCount(0),
    )
    .option(
      '--dead-letter-topic <topic>',
      'topic of records that are rejected or were delivered too often; none (default: none)',
    )
    .addOption(
      choice(
        '--key-ordered <choice>',
        'the records of a key come one after the other, in order (default: false)',
      ),
    )
    .addOption(
      choice(
        '--parks-keys <choice>',
        'after a dead letter its key waits until it is freed (default: false)',
      ),
    )
    .option(
      '--delay-min <duration>',
      'least delay of a record that is put back (default: 0s)',
      parseAge,
    )
    .option(
      '--delay-max <duration>',
      'longest delay that a member may ask for (default: 1h)',
      parseAge,
    );
}
