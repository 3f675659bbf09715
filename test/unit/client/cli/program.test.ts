// cspell:ignore creat outptu
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Command } from 'commander';
import { LOG_LEVEL_OPTION, NUMBER_OPTIONS } from '../../../../base/broker-options.ts';
import { TOPIC_CONFIGS } from '../../../../broker/metadata/config.ts';
import { buildProgram } from '../../../../client/cli/program.ts';
import { parseDuration, parseSize } from '../../../../client/cli/units.ts';
import { runCli } from './run.ts';

const BAD: readonly {
  readonly name: string;
  readonly args: readonly string[];
  readonly message: string;
}[] = [
  {
    name: 'no such command',
    args: ['topics'],
    message: "unknown command 'topics' (Did you mean topic?)",
  },
  {
    name: 'no such sub-command',
    args: ['topic', 'creat', 'x'],
    message: "unknown command 'creat' (Did you mean create?)",
  },
  {
    name: 'no such option',
    args: ['topic', 'list', '--outptu', 'json'],
    message: "unknown option '--outptu' (Did you mean --output?)",
  },
  {
    name: 'an argument that is missing',
    args: ['topic', 'create'],
    message: "missing required argument 'name'",
  },
  {
    name: 'a count that is none',
    args: ['topic', 'create', 'x', '--partitions', 'many'],
    message:
      "option '--partitions <count>' argument 'many' is invalid. Must be a whole number from 1 to 2000.",
  },
  {
    name: 'a duration without a known unit',
    args: ['topic', 'create', 'x', '--retention', '7y'],
    message:
      "option '--retention <duration>' argument '7y' is invalid. Must be a number with ms, s, m, h, d or w (for example 7d), or forever.",
  },
  {
    name: 'a size without a known unit',
    args: ['topic', 'alter', 'x', '--retention-bytes', '1XB'],
    message:
      "option '--retention-bytes <size>' argument '1XB' is invalid. Must be a number with B, KB, MB, GB, KiB, MiB or GiB (for example 1GiB), or unlimited.",
  },
  {
    name: 'a format that is none',
    args: ['topic', 'list', '--output', 'xml'],
    message:
      "option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, json.",
  },
  {
    name: 'a start that is none',
    args: ['read', 'x', '--from', 'yesterday'],
    message:
      "option '--from <where>' argument 'yesterday' is invalid. Must be earliest, latest, an offset, @milliseconds or a date that there is, such as 2026-01-31, 2026-01-31T12:00Z or 2026-01-31T12:00:00.5+02:00.",
  },
  {
    name: 'two keys',
    args: ['append', 'x', '--key', 'a', '--key-by', 'b'],
    message: "option '--key-by <regex>' cannot be used with option '--key <key>'",
  },
  {
    name: 'nothing to alter',
    args: ['topic', 'alter', 'x'],
    message: 'nothing to alter: name at least one config, for example --retention 7d',
  },
  {
    name: 'neither replicas nor a cancellation',
    args: ['cluster', 'reassign', 'x', '0'],
    message: 'either --replicas or --cancel is required, and not both',
  },
  {
    name: 'replicas and a cancellation',
    args: ['cluster', 'reassign', 'x', '0', '--replicas', '1', '--cancel'],
    message: 'either --replicas or --cancel is required, and not both',
  },
  {
    name: 'replicas given up for a trusted leader',
    args: ['cluster', 'elect', 'x', '0', '--given-up', '1'],
    message: '--given-up goes only with --unclean: a trusted leader needs nobody given up',
  },
  {
    name: 'replicas that are no brokers',
    args: ['cluster', 'reassign', 'x', '0', '--replicas', '1,b'],
    message:
      "option '--replicas <brokers>' argument '1,b' is invalid. Must be a whole number of 0 or more.",
  },
  {
    name: 'a limit that stops everything',
    args: ['cluster', 'limit', '--move-bytes-per-second', '0'],
    message:
      "option '--move-bytes-per-second <size>' argument '0' is invalid. Must be 1 or more, with B, KB, MB, GB, KiB, MiB or GiB (for example 50MiB), or none.",
  },
  {
    name: 'no limit at all',
    args: ['cluster', 'limit'],
    message: "required option '--move-bytes-per-second <size>' not specified",
  },
  {
    name: 'waiting for ever',
    args: ['topic', 'alter', 'x', '--partitions', '4', '--wait', 'forever'],
    message:
      "option '--wait <duration>' argument 'forever' is invalid. Must be at most 4m (for example 30s).",
  },
  {
    name: 'a server without a port',
    args: ['topic', 'list', '--server', 'localhost'],
    message: 'Cannot connect: servers holds "localhost", must be host:port[,host:port]',
  },
  {
    name: 'a file that is not there',
    args: ['append', 'x', './no-such-file'],
    message:
      'cannot read "./no-such-file": ENOENT: no such file or directory, stat \'./no-such-file\'',
  },
  {
    name: 'a folder without a local cluster',
    args: ['local', 'status', '--data', './no-such-folder'],
    message:
      'no local cluster in "./no-such-folder": start one with npm start, or name its folder with --data',
  },
  {
    name: 'a setting without a value',
    args: ['cluster', 'config', '--set', 'log-level'],
    message:
      "option '--set <name=value>' argument 'log-level' is invalid. Must be name=value, such as log-level=debug.",
  },
  {
    name: 'a default that is no commit mode',
    args: ['cluster', 'defaults', '--commit-mode', '0'],
    message:
      "option '--commit-mode <mode>' argument '0' is invalid. Allowed choices are in-sync, quorum.",
  },
  {
    name: 'two ways to stop a broker',
    args: ['local', 'kill', '2', '--pause', '--stop'],
    message: 'option --pause cannot be used with option --stop',
  },
];

describe('run()', () => {
  it.each(BAD)('refuses $name with exit code 2 and one line', async ({ args, message }) => {
    expect(await runCli(args)).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `tidemark: ${message}\n`,
    });
  });

  it('tells errors as JSON where JSON is asked for', async () => {
    const { exitCode, stderr } = await runCli(['topic', 'create', '--output', 'json']);
    expect(exitCode).toBe(2);
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'INVALID_ARGUMENT',
        message: "missing required argument 'name'",
        retry: 'no',
        effect: 'none',
      },
    });
  });

  it('exits with 1 when no server can be reached, and names all of them', async () => {
    const { exitCode, stderr } = await runCli(['topic', 'list'], {
      env: { TIDEMARK_SERVER: '127.0.0.1:1,127.0.0.1:2' },
    });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^(Waiting: no answer yet from 127\.0\.0\.1:1,127\.0\.0\.1:2\n)?tidemark: Cannot reach any of 127\.0\.0\.1:1, 127\.0\.0\.1:2; .* connection refused\n$/,
    );
  });

  it('shows the version', async () => {
    const { exitCode, stdout } = await runCli(['--version']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    ['tidemark topic cr', 'create'],
    ['tidemark topic create x --commit-mode ', 'in-sync quorum'],
    ['tidemark append x --acks l', 'leader'],
    ['tidemark completion f', 'fish'],
    ['tidemark topic describe o', 'orders other'],
    ['/opt/bin/tidemark append or', 'orders'],
    ['npx tidemark topic delete p', 'payments'],
    ['npx tidemark cluster decommission ', '1 2'],
    ['npx tidemark cluster decommission --w', '--wait'],
    ['tidemark append x --acks=', '--acks=none --acks=leader --acks=all'],
    ['tidemark append x --acks = l', 'leader'],
    ['tidemark read x --from ', 'earliest latest'],
    ['tidemark topic list -o j', 'json'],
    [
      'tidemark topic list ',
      '--help --internal --output --profile --server --tls-ca --tls-cert --tls-key --token --token-file',
    ],
    ['tidemark cluster decommission --server = a:1 7', '71'],
    ['tidemark cluster decommission --profile home 8', '81'],
    ['tidemark cluster decommission --server a:1 7', '71'],
    ['tidemark read x --profile h', 'home'],
    ['tidemark read x --profile=', '--profile=home --profile=work'],
    ['tidemark profile use ', 'home work'],
    ['npx tidemark profile delete w', 'work'],
    ['tidemark why orders/', 'orders/0 orders/1'],
    ['tidemark topic trim o', 'orders other'],
    ['tidemark topic trim x --to ', 'latest'],
    ['tidemark group describe b', 'billing'],
    ['tidemark queue alter j', 'jobs'],
    ['tidemark read x --queue ', 'jobs'],
    ['tidemark read x --group b', 'billing'],
    ['tidemark topic create x --replication-f', '--replication-factor'],
  ])('completes "%s" in bash with %s', async (line, expected) => {
    const { stdout: script } = await runCli(['completion', 'bash']);
    const words = line.split(' ');
    const ask = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _tidemark; echo "\${COMPREPLY[*]}"`;
    // However the command is called, it is the one that is asked for names.
    const called = line.startsWith('npx') ? 'npx tidemark' : words[0]!;
    const fake = `fake() { case "$*" in '__complete topics') echo 'orders other payments' ;; '__complete brokers') echo '1 2' ;; '__complete profiles') echo 'home work' ;; '__complete groups') echo billing ;; '__complete queues') echo jobs ;; '__complete partitions') echo 'orders/0 orders/1 x/0' ;; '__complete brokers --server a:1') echo 71 ;; '__complete brokers --profile home') echo 81 ;; esac; }
npx() { shift; fake "$@"; }
${called.startsWith('npx') ? '' : `${called}() { fake "$@"; }`}`;
    const answer = spawnSync('bash', ['-c', `${script}\n${fake}\n${ask}`], { encoding: 'utf8' });
    const sorted = (text: string): string => text.trim().split(' ').toSorted().join(' ');
    expect(sorted(answer.stdout)).toBe(sorted(expected));
  });

  it.for([
    {
      shell: 'zsh',
      ask: `autoload -U compinit; compinit -u -D; source "$SCRIPT"; tidemark() { echo orders; }
words=(tidemark topic describe ''); CURRENT=4; COMP_WORDS=("\${words[@]}"); COMP_CWORD=3; compgen -F _tidemark -- ''`,
    },
    {
      shell: 'fish',
      ask: `source $SCRIPT; function tidemark; echo orders; end; complete -C 'tidemark topic describe '
complete -C 'npx tidemark topic describe '`,
    },
  ])('completes names in $shell', async ({ shell, ask }, { skip }) => {
    const { stdout: script } = await runCli(['completion', shell]);
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-shell-'));
    const file = join(folder, 'script');
    writeFileSync(file, script);
    const env = { ...process.env, SCRIPT: file, HOME: folder };
    const args = shell === 'zsh' ? ['-f', '-c', ask] : ['-c', ask];
    const answer = spawnSync(shell, args, { encoding: 'utf8', env });
    rmSync(folder, { recursive: true, force: true });
    if (answer.error !== undefined) skip(`no ${shell} here`);
    expect(answer.stderr).toBe('');
    expect(new Set(answer.stdout.trim().split('\n'))).toEqual(new Set(['orders']));
  });

  it('shows help with exit code 0 when asked, and 2 when no command was named', async () => {
    expect((await runCli(['--help'])).exitCode).toBe(0);
    expect((await runCli([])).exitCode).toBe(2);
  });
});

function valueOf(text: string): number {
  return /(?:d|forever)$/.test(text) ? parseDuration(text) : parseSize(text);
}

function leaves(
  command: Command,
  path: readonly string[] = [],
): { readonly path: string; readonly command: Command }[] {
  if (command.commands.length === 0) return [{ path: path.join(' '), command }];
  return command.commands.flatMap((one) => leaves(one, [...path, one.name()]));
}

describe('the command tree', () => {
  const { stdin, stdout, stderr } = process;
  const program = buildProgram(
    { stdin, stdout, stderr, env: {}, interrupted: new AbortController().signal },
    () => undefined,
  );

  it('has these commands', () => {
    expect(leaves(program).map(({ path }) => path)).toEqual([
      'topic create',
      'topic list',
      'topic describe',
      'topic offsets',
      'topic export',
      'topic import',
      'topic alter',
      'topic trim',
      'topic delete',
      'append',
      'read',
      'cluster describe',
      'cluster check-disruption',
      'cluster health',
      'cluster rebalance',
      'cluster reassign',
      'cluster elect',
      'cluster limit',
      'cluster decommission',
      'cluster recommission',
      'cluster prepare-stop',
      'cluster cancel-stop',
      'cluster remove-broker',
      'cluster config',
      'cluster defaults',
      'page',
      'why',
      'quorum describe',
      'access list',
      'access grant',
      'access revoke',
      'access check',
      'quota list',
      'quota set',
      'quota delete',
      'group list',
      'group describe',
      'group seek',
      'group delete',
      'queue create',
      'queue alter',
      'queue list',
      'queue describe',
      'queue delete',
      'queue free',
      'local kill',
      'local start',
      'local status',
      'log verify',
      'debug bundle',
      'bench append',
      'bench read',
      'bench roundtrip',
      'self-test',
      'profile set',
      'profile list',
      'profile show',
      'profile delete',
      'profile use',
      'completion',
    ]);
  });

  it('has an option with a sentence and the default of every config of a topic', async () => {
    const { stdout } = await runCli(['topic', 'create', '--help']);
    const help = stdout.replaceAll(/\s+/g, ' ');
    const shown: Readonly<Record<string, string>> = {
      retentionMs: '7d',
      retentionBytes: 'unlimited',
      retentionRecords: 'unlimited',
      segmentBytes: '64MiB',
      segmentMs: '1d',
      batchBytesMax: '1MiB',
      tombstoneRetentionMs: '1d',
      compactionLagMaxMs: 'forever',
      // That of the cluster counts.
      minInSyncReplicas: 'none is chosen',
    };
    for (const [name, { default: fallback }] of Object.entries(TOPIC_CONFIGS)) {
      const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      const stated = shown[name] ?? `${fallback}`;
      if (typeof fallback === 'number' && name in shown && name !== 'minInSyncReplicas')
        expect(stated === 'unlimited' ? -1 : valueOf(stated), name).toBe(fallback);
      expect(help, name).toMatch(
        new RegExp(
          `${flag.replace(/^--retention-ms$/, '--retention')} <\\w+> [^<]*default: ${stated}`,
        ),
      );
    }
  });

  it('says in a sentence what every option of a broker does', async () => {
    const { stdout } = await runCli(['cluster', 'config', '--help']);
    const help = stdout.replaceAll(/ +/g, ' ');
    for (const { flag, meaning, isLive } of [LOG_LEVEL_OPTION, ...Object.values(NUMBER_OPTIONS)])
      expect(help).toContain(` ${flag} ${isLive ? 'live' : 'restart'} ${meaning} (default: `);
  });

  it.each(leaves(program))('shows examples in the help of $path', async ({ path }) => {
    const { exitCode, stdout: help } = await runCli([...path.split(' '), '--help']);
    expect(exitCode).toBe(0);
    expect(help.slice(help.indexOf('\nExamples:\n'))).toContain(`tidemark ${path}`);
  });

  it.each(['bash', 'zsh', 'fish'])('completes every command and option in %s', async (shell) => {
    const { exitCode, stdout: script } = await runCli(['completion', shell]);
    expect(exitCode).toBe(0);
    for (const word of ['check-disruption', 'roundtrip', 'min-in-sync-replicas', 'key-by'])
      expect(script).toContain(word);
  });
});
