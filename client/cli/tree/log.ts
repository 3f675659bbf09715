/** `tidemark log`. */
import type { Command } from 'commander';
import { brokerProgram } from '../broker-program.ts';
import type { VerifyOptions } from '../commands/log.ts';
import type { Surroundings } from '../output.ts';
import { examples, format } from './shared.ts';

/** Adds `log verify`. */
export function addLog(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const log = program.command('log').description('what lies on a disk, without a broker');
  const verify = log
    .command('verify')
    .argument('<folder>', "a stopped broker's data directory, or the folder of one partition in it")
    .description(
      'read every batch, index and checksum of a data directory; changes nothing. Exit code 0: no fault; 1: faults, each with file, byte, what was found and expected; 2: it could not be looked at, for example since a broker has it open',
    )
    .addOption(format());
  examples(
    verify,
    'log verify /var/lib/tidemark',
    'log verify ./copy/partitions/01234567-89ab-4cde-8f01-23456789abcd-0 --output json',
  ).action(async (folder: string, options: VerifyOptions) =>
    finish(
      await (await import('../commands/log.ts')).verifyLog(
        folder,
        brokerProgram('verify'),
        options,
        around,
      ),
    ),
  );
}
