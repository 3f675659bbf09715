/** `tidemark cluster`, `why`, `quorum`, `local` and `completion`. */
import { Argument, type Command } from 'commander';
import type { HealthOptions } from '../commands/health.ts';
import type { KillOptions, LocalOptions } from '../commands/local.ts';
import type { Shell } from '../completion.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseCount } from '../units.ts';
import { addPlacement } from './placement.ts';
import { addSettings } from './settings.ts';
import { common, examples, format } from './shared.ts';

/** Adds `cluster`. */
export function addCluster(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const cluster = program.command('cluster').description('the brokers and what they keep');
  const load = () => import('../commands/cluster.ts');
  const describe = common(cluster.command('describe')).description(
    'brokers, racks, controller, partitions, leaders, sync sets, lag, moves and how long they take',
  );
  examples(describe, 'cluster describe', 'cluster describe --output json').action(
    async (options: CommonOptions) => (await load()).describeCluster(options, around),
  );
  const check = common(
    cluster
      .command('check-disruption')
      .argument(
        '<brokers...>',
        'brokers that would stop together',
        (text, before: number[] | undefined) => [
          ...(before ?? []),
          ...text.split(',').map(parseCount(0)),
        ],
      ),
  ).description(
    'would stopping these brokers stop writes, take the last copy, or take the quorum? Exit code 1: yes',
  );
  examples(
    check,
    'cluster check-disruption 2',
    'cluster check-disruption 1,2 --output json',
  ).action(async (brokers: number[], options: CommonOptions) =>
    finish(await (await load()).checkDisruption(brokers, options, around)),
  );
  const health = common(cluster.command('health'))
    .description(
      'one sentence, and what led to it. Exit code 0: safe to lose a broker; 3: every append is taken, but a broker or copy is missing; 1: a partition takes none, or there is no controller',
    )
    .option('-w, --watch', 'go on, and print a line whenever it changes');
  examples(health, 'cluster health', 'cluster health --watch --output json').action(
    async (options: HealthOptions) =>
      finish(await (await import('../commands/health.ts')).clusterHealth(options, around)),
  );
  addPlacement(cluster, around, finish);
  addSettings(cluster, around);
}

/** Adds `why`. */
export function addWhy(program: Command, around: Surroundings): void {
  const why = common(program.command('why').argument('<topic/partition>')).description(
    'who leads a partition and why, and what was decided about it: elections, changes of its sync set, refused appends, each with its rule (docs/rules.md)',
  );
  examples(why, 'why orders/3', 'why orders/3 --output json').action(
    async (name: string, options: CommonOptions) =>
      (await import('../commands/why.ts')).why(name, options, around),
  );
}

/** Adds `quorum describe`. */
export function addQuorum(
  program: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const quorum = program.command('quorum').description('the metadata quorum');
  const describe = common(quorum.command('describe')).description(
    'leader, term, voters and learners',
  );
  examples(describe, 'quorum describe').action(async (options: CommonOptions) =>
    finish(await (await import('../commands/cluster.ts')).describeQuorum(options, around)),
  );
}

/** Adds `local kill|start|status`. */
export function addLocal(program: Command, around: Surroundings): void {
  const local = program
    .command('local')
    .description('the brokers that `npm start` runs on this machine');
  const load = () => import('../commands/local.ts');
  const broker = (name: string): Command =>
    local
      .command(name)
      .addArgument(new Argument('<broker>', 'its id').argParser(parseCount(0)))
      .option('--data <folder>', 'data folder of `npm start`', '.tidemark')
      .addOption(format());
  const kill = broker('kill')
    .description('kill a broker as a crash would; or pause it, or stop it in order')
    .option('--pause', 'SIGSTOP: it stays, and says nothing')
    .option('--stop', 'SIGTERM: an orderly stop');
  examples(kill, 'local kill 2', 'local kill 2 --pause').action(
    async (id: number, options: KillOptions) => (await load()).killBroker(id, options, around),
  );
  const start = broker('start').description(
    'start a broker that was killed or stopped; wake one that is paused',
  );
  examples(start, 'local start 2').action(async (id: number, options: LocalOptions) =>
    (await load()).startBroker(id, options, around),
  );
  const status = local
    .command('status')
    .description('the processes and their state')
    .option('--data <folder>', 'data folder of `npm start`', '.tidemark')
    .addOption(format());
  examples(status, 'local status').action(async (options: LocalOptions) =>
    (await load()).localStatus(options, around),
  );
}

/** Adds `completion`. */
export function addCompletion(program: Command, around: Surroundings): void {
  const completion = program
    .command('completion')
    .description('a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']));
  examples(
    completion,
    'completion bash > ~/.local/share/bash-completion/completions/tidemark',
    'completion fish > ~/.config/fish/completions/tidemark.fish',
  ).action(async (shell: Shell) => {
    const { completionScript } = await import('../completion.ts');
    around.stdout.write(completionScript(program, shell));
  });
}
