/** `tidemark cluster config|defaults`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { LIVE_FLAGS, LOG_LEVEL_OPTION, NUMBER_OPTIONS } from '../../../base/broker-options.ts';
import type { ConfigOptions, DefaultsOptions } from '../commands/settings.ts';
import type { Surroundings } from '../output.ts';
import { parseCount } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds them to `cluster`. */
export function addSettings(cluster: Command, around: Surroundings): void {
  const load = () => import('../commands/settings.ts');
  const config = common(cluster.command('config'))
    .description(
      'options of every broker, and where each value comes from; sets live ones for all brokers, over their flags and environment',
    )
    .option(
      '--set <name=value>',
      'a live option, such as log-level=debug; repeatable',
      parseSetting,
    )
    .option('--unset <name>', "back to each broker's own value; repeatable", parseName)
    .option('--broker <id>', 'show this broker alone', parseCount(0));
  config.addHelpText('after', optionsText);
  examples(
    config,
    'cluster config',
    'cluster config --set log-level=debug --set replica-lag-ms-max=30000',
    'cluster config --unset log-level',
  ).action(async (options: ConfigOptions) => (await load()).config(options, around));
  const defaults = common(cluster.command('defaults'))
    .description(
      'what topics have whose creator states nothing; 0 takes a number back, in-sync is what they have without a default. Topics whose minimum nobody chose follow it (feature level 16)',
    )
    .option('--replication-factor <count>', 'copies of each partition', parseCount(0))
    .option('--min <count>', 'fewest replicas in sync that let an append in', parseCount(0))
    .addOption(
      new Option(
        '--commit-mode <mode>',
        'who must hold a record before it is committed (docs/commit-modes.md)',
      ).choices(['in-sync', 'quorum']),
    );
  examples(
    defaults,
    'cluster defaults',
    'cluster defaults --replication-factor 3 --min 2 --commit-mode quorum',
  ).action(async (options: DefaultsOptions) => (await load()).defaults(options, around));
}

/** Every option of a broker that concerns the cluster, in a sentence each. */
function optionsText(): string {
  const all = [LOG_LEVEL_OPTION, ...Object.values(NUMBER_OPTIONS)];
  const rows = all.map(({ flag, meaning, fallback }) => {
    const change = LIVE_FLAGS.includes(flag) ? 'live' : 'restart';
    return `  ${flag.padEnd(28)}${change.padEnd(9)}${meaning} (default: ${fallback})`;
  });
  return ['', 'Options, and whether they change live or with a restart:', ...rows].join('\n');
}

function parseSetting(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, name, value] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new InvalidArgumentError('Must be name=value, such as log-level=debug.');
  return { ...before, [name]: value };
}

function parseName(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
