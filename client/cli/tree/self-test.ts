/** `tidemark self-test`. */
import { type Command, Option } from 'commander';
import type { SelfTestOptions } from '../commands/self-test.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseDelivery, parseRecordSize } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds `self-test`. */
export function addSelfTest(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const test = common(program.command('self-test'))
    .description(
      'ask every broker, append to each, read back and compare. Exit code 0: all is well; 1: not',
    )
    .option('--records <count>', 'records for each broker', parseCount(1, 1_000_000), 100)
    .option('--size <bytes>', 'bytes of each value', parseRecordSize, 1000)
    .addOption(
      new Option('--timeout <duration>', 'how long each step may take, 1s to 4m')
        .argParser(parseDelivery)
        .default(30_000, '30s'),
    )
    .addHelpText(
      'after',
      `
It makes a topic of its own with a partition led by each broker, and deletes it at the end, after Ctrl-C too. A broker that
is down fails the test, even where the cluster takes every append: for that ask tidemark cluster health.`,
    );
  examples(test, 'self-test', 'self-test --output json').action(async (options: SelfTestOptions) =>
    finish(await (await import('../commands/self-test.ts')).selfTest(options, around)),
  );
}
