/** `tidemark group`. */
import type { Command } from 'commander';
import type { DeleteOptions, DescribeOptions, SeekOptions } from '../commands/group.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseCounts, parseStart } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds it. */
export function addGroup(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const load = () => import('../commands/group.ts');
  const group = program
    .command('group')
    .description('how far groups have come, kept by the cluster (docs/groups.md)');
  const list = common(group.command('list').alias('ls')).description('all groups');
  examples(list, 'group list').action(async (options: CommonOptions) =>
    (await load()).list(options, around),
  );
  const describe = common(group.command('describe').argument('<group>'))
    .description(
      'the cursors of a group, how far each is behind, in records and in seconds, and who reads what',
    )
    .option('--members', 'its members instead of its cursors');
  examples(
    describe,
    'group describe billing',
    'group describe billing --members',
    'group describe billing --output json',
  ).action(async (name: string, options: DescribeOptions) =>
    finish(await (await load()).describe(name, options, around)),
  );
  const seek = common(group.command('seek').argument('<group>').argument('<topic>'))
    .description('put the cursors of a topic somewhere else; says first what would be done')
    .requiredOption(
      '--to <where>',
      'earliest, latest, an offset (any plain number), @milliseconds or a date of ISO 8601',
      parseStart,
    )
    .option('-p, --partition <number>', 'only this partition; may be repeated', parseCounts(0))
    .option('--dry-run', 'only say what would be done')
    .option('--yes', 'do not ask');
  examples(
    seek,
    'group seek billing orders --to 2026-01-31T12:00:00Z --dry-run',
    'group seek billing orders --to earliest --partition 3 --yes',
  ).action(async (name: string, topic: string, options: SeekOptions) =>
    finish(await (await load()).seek(name, topic, options, around)),
  );
  const remove = common(group.command('delete').argument('<group>'))
    .description('forget a group and all its cursors')
    .option('--yes', 'do not ask');
  examples(remove, 'group delete billing').action(async (name: string, options: DeleteOptions) =>
    (await load()).remove(name, options, around),
  );
}
