/** Options and help that several sub-commands share. */
import { type Command, Option } from 'commander';

/** Adds what every command that talks to a cluster has. */
export function common(command: Command): Command {
  return command
    .option(
      '-s, --server <host:port,...>',
      'servers to try; default: TIDEMARK_SERVER, else 127.0.0.1:9641, 9642 and 9643',
    )
    .addOption(format());
}

/** `--output`. */
export function format(): Option {
  return new Option('-o, --output <format>', 'for people or for scripts')
    .choices(['table', 'json'])
    .default('table');
}

/** Adds examples to a command's help. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${lines.map((line) => `  $ tidemark ${line}`).join('\n')}`,
  );
}
