/** Options and help that several sub-commands share. */
import { type Command, Option } from 'commander';

/** Which servers a command tries. */
export const SERVER_ORDER = `Which servers a command tries, the first of these that is there:
  --server, --profile, TIDEMARK_SERVER, TIDEMARK_PROFILE, the profile in use (tidemark profile use), and
  127.0.0.1:9641, 9642 and 9643, where npm start listens`;

/** Adds what every command that talks to a cluster has. */
export function common(command: Command): Command {
  return command
    .option(
      '-s, --server <host:port,...>',
      'servers to try; default: TIDEMARK_SERVER, else a profile, else 127.0.0.1:9641, 9642 and 9643',
    )
    .addOption(
      new Option(
        '--profile <name>',
        'take the servers of this profile (tidemark profile)',
      ).conflicts('server'),
    )
    .option(
      '--tls-ca <file>',
      'speak TLS; authorities of the servers, as PEM; default: TIDEMARK_TLS_CA',
    )
    .option('--tls-cert <file>', 'certificate to show, as PEM; default: TIDEMARK_TLS_CERT')
    .option('--tls-key <file>', 'its private key, as PEM; default: TIDEMARK_TLS_KEY')
    .option(
      '--token <token>',
      'token to show, over TLS alone; others of the machine can see it: rather --token-file',
    )
    .option(
      '--token-file <file>',
      'file of the token; default: TIDEMARK_TOKEN, TIDEMARK_TOKEN_FILE, and in a pod /var/run/secrets/tokens/tidemark',
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
