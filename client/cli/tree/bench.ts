/** `tidemark bench`. */
import type { Command } from 'commander';
import type {
  BenchAppendOptions,
  BenchReadOptions,
  BenchRoundtripOptions,
} from '../commands/bench.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseRecordSize } from '../units.ts';
import { acks, compression } from './records.ts';
import { common, examples } from './shared.ts';

/** Adds `bench append|read|roundtrip`. */
export function addBench(program: Command, around: Surroundings): void {
  const bench = program.command('bench').description('measure a cluster');
  const load = () => import('../commands/bench.ts');

  const append = common(bench.command('append').argument('<topic>'))
    .description(
      'append records; with --rate, latency counts from when a record was due, however late it was sent',
    )
    .option('--records <count>', 'records to append', parseCount(1), 1_000_000)
    .option('--size <bytes>', 'bytes of each value', parseRecordSize, 1000)
    .option(
      '--rate <count>',
      'records a second, over all producers; default: as fast as possible',
      parseCount(1),
    )
    .addOption(acks())
    .addOption(compression())
    .option(
      '--producers <count>',
      'producers, each with its own connections',
      parseCount(1, 1000),
      1,
    )
    .option('--batch-size <size>', 'largest batch', parseRecordSize, 1024 * 1024)
    .option('--linger-ms <ms>', 'how long a record waits for company', parseCount(0, 60_000), 0)
    .option('--keys <count>', 'different keys, in turn; default: no keys', parseCount(1))
    .option(
      '--partitions <count>',
      'make the topic, where it does not exist, with so many partitions',
      parseCount(1, 100_000),
    );
  examples(
    append,
    'bench append orders --records 1000000 --size 1000 --rate 50000 --acks all',
    'bench append orders --records 1000000 --keys 1000 --producers 4 --output json',
  ).action(async (topic: string, options: BenchAppendOptions) =>
    (await load()).benchAppend(topic, options, around),
  );

  const read = common(bench.command('read').argument('<topic>'))
    .description('read records from the beginning')
    .option(
      '--records <count>',
      'stop after so many; default: at the end as it is now',
      parseCount(1),
    );
  examples(read, 'bench read orders').action(async (topic: string, options: BenchReadOptions) =>
    (await load()).benchRead(topic, options, around),
  );

  const roundtrip = common(bench.command('roundtrip').argument('<topic>'))
    .description('append one record after another, and see each come back')
    .option('--records <count>', 'records to append', parseCount(1), 2000)
    .option('--size <bytes>', 'bytes of each value', parseRecordSize, 1000)
    .addOption(acks())
    .option(
      '--partitions <count>',
      'make the topic, where it does not exist, with so many partitions',
      parseCount(1, 100_000),
    );
  examples(roundtrip, 'bench roundtrip orders --records 5000').action(
    async (topic: string, options: BenchRoundtripOptions) =>
      (await load()).benchRoundtrip(topic, options, around),
  );
}
