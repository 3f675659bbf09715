/**
 * The command tree: names, options, help. Each sub-command's code is loaded when it runs, so that
 * `--help` is fast.
 */
import { Command, CommanderError } from 'commander';
import { addAccess } from './tree/access.ts';
import { addQuota } from './tree/quota.ts';
import { addBench } from './tree/bench.ts';
import { addCluster, addCompletion, addLocal, addQuorum, addWhy } from './tree/cluster.ts';
import { addDebug } from './tree/debug.ts';
import { addGroup } from './tree/group.ts';
import { addLog } from './tree/log.ts';
import { addPage } from './tree/page.ts';
import { addQueue } from './tree/queue.ts';
import { addRecords } from './tree/records.ts';
import { addProfile } from './tree/profile.ts';
import { addSelfTest } from './tree/self-test.ts';
import { SERVER_ORDER } from './tree/shared.ts';
import { addTopic } from './tree/topic.ts';
import { type ErrorReport, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, reportOf } from './exit.ts';
import { hasColour, type Surroundings } from './output.ts';
import { version } from './version.ts';

const HELP_AFTER = `
Exit codes:
  0    done
  1    the cluster's fault: unreachable, not enough replicas, a stop that is not safe; trying again may help
  2    the user's fault: a wrong argument, an unknown topic
  3    only cluster health: every append is taken, but a broker or copy is missing
  130  interrupted

Environment:
  TIDEMARK_SERVER   servers to try where neither --server nor --profile is given
  TIDEMARK_PROFILE  profile to take where none of these is given
  XDG_CONFIG_HOME   folder of tidemark/profiles.json; default: ~/.config
  NO_COLOR          no colours, whatever the terminal

${SERVER_ORDER}

Examples:
  $ tidemark topic create orders --partitions 3 --replication-factor 3 --min-in-sync-replicas 2
  $ cat any.log | tidemark append orders --key-by '^\\S+'
  $ tidemark read orders --from earliest --follow
  $ tidemark cluster describe`;

/**
 * The whole tree. `finish` is told the exit code of a sub-command that ends with another than 0.
 */
export function buildProgram(around: Surroundings, finish: (exitCode: number) => void): Command {
  const program = new Command('tidemark');
  program
    .description('A replicated, append-only log: topics, records, and the cluster that keeps them')
    .version(version(), '-V, --version', 'show the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => around.stdout.write(text),
      writeErr: (text) => around.stderr.write(text),
      // Told by run(), in one line and the form that was asked for.
      outputError: () => undefined,
      getOutHasColors: () => hasColour(around.stdout, around.env),
      getErrHasColors: () => hasColour(around.stderr, around.env),
    })
    .showSuggestionAfterError(true)
    .addHelpText('after', HELP_AFTER);
  addTopic(program, around, finish);
  addRecords(program, around);
  addCluster(program, around, finish);
  addPage(program, around);
  addWhy(program, around);
  addQuorum(program, around, finish);
  addAccess(program, around, finish);
  addQuota(program, around);
  addGroup(program, around, finish);
  addQueue(program, around, finish);
  addLocal(program, around);
  addLog(program, around, finish);
  addDebug(program, around);
  addBench(program, around);
  addSelfTest(program, around, finish);
  addProfile(program, around);
  addCompletion(program, around);
  return program;
}

/**
 * Runs the command with these arguments; resolves with the exit code. Never rejects for an expected
 * failure.
 */
export async function run(args: readonly string[], around: Surroundings): Promise<number> {
  if (args[0] === '__complete') {
    await (await import('./names.ts')).printNames(args.slice(1), around);
    return EXIT_OK;
  }
  let exitCode = EXIT_OK;
  const program = buildProgram(around, (code) => (exitCode = code));
  const isJson = args.some(
    (arg, index) =>
      arg === '--output=json' || (/^(-o|--output)$/.test(arg) && args[index + 1] === 'json'),
  );
  try {
    await program.parseAsync([...args], { from: 'user' });
    return around.interrupted.aborted ? EXIT_INTERRUPTED : exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageError(error, around, isJson);
    if (around.interrupted.aborted) return EXIT_INTERRUPTED;
    const report = reportOf(error);
    tell(around, isJson, report);
    return report.exitCode;
  }
}

function usageError(error: CommanderError, around: Surroundings, isJson: boolean): number {
  // Help that was asked for, or shown because no sub-command was named.
  if (error.exitCode === 0) return EXIT_OK;
  if (error.code === 'commander.help') return EXIT_USER;
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  tell(around, isJson, {
    code: 'INVALID_ARGUMENT',
    message,
    retry: 'no',
    effect: 'none',
  });
  return EXIT_USER;
}

function tell(around: Surroundings, isJson: boolean, report: Omit<ErrorReport, 'exitCode'>): void {
  const { code, message, retry, effect } = report;
  if (isJson) {
    around.stderr.write(`${JSON.stringify({ error: { code, message, retry, effect } })}\n`);
    return;
  }
  const label = hasColour(around.stderr, around.env) ? '\u001b[31mtidemark:\u001b[0m' : 'tidemark:';
  around.stderr.write(`${label} ${message}\n`);
}
