/** The command tree: names, options, help. Each sub-command's code is loaded when it runs, so that `--help` is fast. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addBench } from './tree/bench.ts';
import { addCluster, addCompletion, addLocal, addQuorum } from './tree/cluster.ts';
import { addRecords } from './tree/records.ts';
import { addTopic } from './tree/topic.ts';
import { EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, reportOf } from './exit.ts';
import { hasColour, type Surroundings } from './output.ts';

const PACKAGE_FILE = new URL('../../package.json', import.meta.url);
const { version: VERSION } = JSON.parse(readFileSync(PACKAGE_FILE, 'utf8')) as {
  readonly version: string;
};

const HELP_AFTER = `
Exit codes:
  0    done
  1    the cluster's fault: unreachable, not enough replicas, a stop that is not safe; trying again may help
  2    the user's fault: a wrong argument, an unknown topic
  130  interrupted

Environment:
  TIDEMARK_SERVER  servers to try where --server is not given (default: 127.0.0.1:9641, 9642 and 9643)
  NO_COLOR         no colours, whatever the terminal

Examples:
  $ tidemark topic create orders --partitions 3 --replication-factor 3 --min-in-sync-replicas 2
  $ cat any.log | tidemark append orders --key-by '^\\S+'
  $ tidemark read orders --from earliest --follow
  $ tidemark cluster describe`;

/** The whole tree. `finish` is told the exit code of a sub-command that ends with another than 0. */
export function buildProgram(around: Surroundings, finish: (exitCode: number) => void): Command {
  const program = new Command('tidemark');
  program
    .description('A replicated, append-only log: topics, records, and the cluster that keeps them')
    .version(VERSION, '-V, --version', 'show the version')
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
  addTopic(program, around);
  addRecords(program, around);
  addCluster(program, around, finish);
  addQuorum(program, around);
  addLocal(program, around);
  addBench(program, around);
  addCompletion(program, around);
  return program;
}

/** Runs the command with these arguments; resolves with the exit code. Never rejects for an expected failure. */
export async function run(args: readonly string[], around: Surroundings): Promise<number> {
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
  tell(around, isJson, { code: 'INVALID_ARGUMENT', message, retry: 'no' });
  return EXIT_USER;
}

function tell(
  around: Surroundings,
  isJson: boolean,
  report: { readonly code: string; readonly message: string; readonly retry: string | undefined },
): void {
  const { code, message, retry } = report;
  if (isJson) {
    around.stderr.write(`${JSON.stringify({ error: { code, message, retry } })}\n`);
    return;
  }
  const label = hasColour(around.stderr, around.env) ? '\u001b[31mtidemark:\u001b[0m' : 'tidemark:';
  around.stderr.write(`${label} ${message}\n`);
}
