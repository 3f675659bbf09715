/** Completion scripts, generated from the command tree, so that they cannot fall behind it. */
import type { Command } from 'commander';

/** Shells that have a script. */
export type Shell = 'bash' | 'zsh' | 'fish';

/** What may follow a sub-command. */
interface Node {
  /** Names after `tidemark`, separated by spaces; empty for the command itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly {
    readonly name: string;
    readonly description: string;
    /** Allowed values, where they can be listed. */
    readonly choices: readonly string[];
  }[];
}

/** The script for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = collect(program, []);
  if (shell === 'fish') return fishScript(nodes);
  return shell === 'zsh'
    ? `#compdef tidemark\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(nodes)}`
    : bashScript(nodes);
}

function collect(command: Command, path: readonly string[]): Node[] {
  const visible = command.commands.map((one) => ({
    name: one.name(),
    description: one.description(),
  }));
  const options = command.options.map((one) => ({
    name: one.long ?? one.short ?? '',
    description: one.description,
    choices: one.argChoices ?? [],
  }));
  const own = {
    path: path.join(' '),
    commands: visible,
    options: [...options, { name: '--help', description: 'show help', choices: [] }],
  };
  return [own, ...command.commands.flatMap((one) => collect(one, [...path, one.name()]))];
}

function bashScript(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, commands, options }) => {
    const words = [...commands, ...options].map(({ name }) => name).join(' ');
    return `    "${path}") words="${words}" ;;`;
  });
  const values = nodes.flatMap(({ path, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ name, choices }) => `    "${path} ${name}") words="${choices.join(' ')}" ;;`),
  );
  const known = nodes.map(({ path }) => `"${path}"`).join('|');
  return `_tidemark() {
  local path="" word candidate words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    candidate="\${path:+$path }$word"
    case "$candidate" in ${known}) path="$candidate" ;; esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  case "$path \${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _tidemark tidemark
`;
}

function fishScript(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, options }) => {
    const condition =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((name) => `__fish_seen_subcommand_from ${name}`)
            .join('; and ');
    const excluded =
      path !== '' && commands.length > 0
        ? `; and not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`
        : '';
    const when = `complete -c tidemark -n '${condition}${excluded}'`;
    return [
      ...commands.map(({ name, description }) => `${when} -f -a ${name} -d ${quoted(description)}`),
      ...options.map(({ name, description, choices }) => {
        const values = choices.length === 0 ? '' : ` -x -a ${quoted(choices.join(' '))}`;
        return `${when} -l ${name.replace(/^--/, '')}${values} -d ${quoted(description)}`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
