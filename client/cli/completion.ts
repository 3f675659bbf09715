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
    /** Its short form; empty where it has none. */
    readonly short: string;
    readonly description: string;
    readonly takesValue: boolean;
    /** Allowed values, or the usual ones, where they can be listed. */
    readonly choices: readonly string[];
    /** What the command is asked for, where its values are known there. */
    readonly kind: Kind | undefined;
  }[];
  /** What its arguments name. */
  readonly kind: Kind | undefined;
  /** What its first argument may be, where that can be listed. */
  readonly choices: readonly string[];
}

/** What has names: of profiles a file knows them, of the rest the cluster. For `__complete`. */
export type Kind = 'topics' | 'partitions' | 'brokers' | 'groups' | 'queues' | 'profiles';

/** By the names of arguments and of options' values, as help shows them. */
const KINDS: Readonly<Record<string, Kind>> = {
  topic: 'topics',
  'topic/partition': 'partitions',
  broker: 'brokers',
  brokers: 'brokers',
  id: 'brokers',
  group: 'groups',
  queue: 'queues',
};
/** By the names of options whose values are shown as names of whatever it is. */
const OPTION_KINDS: Readonly<Record<string, Kind>> = {
  '--profile': 'profiles',
  '--group': 'groups',
  '--queue': 'queues',
};
/** Commands whose first argument is the name of something that is made. */
const MAKING = /^queue create$/;
/** Values of options that take others too. What ends a range is seldom one of its ends. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  'read --from': ['earliest', 'latest'],
  'topic trim --to': ['latest'],
};
/** Commands whose `name` is that of something that is there. */
const NAMED: readonly (readonly [RegExp, Kind])[] = [
  [/^topic (describe|offsets|alter|trim|delete|export)$/, 'topics'],
  [/^profile (set|show|delete|use)$/, 'profiles'],
];

/** The script for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = collect(program, []);
  if (shell === 'fish') return fishScript(nodes);
  return shell === 'zsh'
    ? `${ZSH_HEAD}${bashScript(nodes)}${ZSH_TAIL}`
    : `${bashScript(nodes)}${BASH_TAIL}`;
}

/** The script may be read before anything else has asked for completion. */
const ZSH_HEAD = `#compdef tidemark
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
`;
/** As a file of fpath it is read at the first completion, and carries that out. */
const ZSH_TAIL = `complete -o filenames -F _tidemark tidemark
(( $+_comps[npx] )) || complete -o default -F _tidemark_npx npx
[[ "$funcstack[1]" = _tidemark ]] && _bash_complete -o filenames -F _tidemark
`;
const BASH_TAIL = `complete -o filenames -F _tidemark tidemark
complete -p npx >/dev/null 2>&1 || complete -o default -F _tidemark_npx npx
`;

function collect(command: Command, path: readonly string[]): Node[] {
  const visible = command.commands.map((one) => ({
    name: one.name(),
    description: one.description(),
  }));
  const options = command.options.map((one) => {
    const value = /<(\w+)/.exec(one.flags)?.[1] ?? '';
    return {
      name: one.long ?? one.short ?? '',
      short: one.short ?? '',
      description: one.description,
      takesValue: one.required || one.optional,
      choices: one.argChoices ?? USUAL[`${path.join(' ')} ${one.long ?? ''}`] ?? [],
      kind: OPTION_KINDS[one.long ?? ''] ?? KINDS[value],
    };
  });
  const argument = command.registeredArguments[0];
  const name = argument?.name() ?? '';
  const called = path.join(' ');
  const named = NAMED.find(([commands]) => commands.test(called));
  const kind = name === 'name' ? named?.[1] : KINDS[name];
  const own = {
    path: called,
    commands: visible,
    options: [
      ...options,
      {
        ...{ name: '--help', short: '-h', description: 'show help' },
        ...{ takesValue: false, choices: [], kind: undefined },
      },
    ],
    kind: MAKING.test(called) ? undefined : kind,
    choices: argument?.argChoices ?? [],
  };
  return [own, ...command.commands.flatMap((one) => collect(one, [...path, one.name()]))];
}

/**
 * Finds the command among the words, so that `npx tidemark` completes as well, and asks it for
 * names as it was called. Options are shown where nothing else can follow, or to whoever began one.
 * zsh runs it too, where `path` is the PATH and `:a` in an expansion is a modifier.
 */
function bashScript(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, commands, options, kind, choices }) => {
    const words = [...commands.map(({ name }) => name), ...choices].join(' ');
    const asks = kind === undefined ? '' : ` kind="${kind}"`;
    const flags = options.map(({ name }) => name).join(' ');
    return `    "${path}") words="${words}" flags="${flags}"${asks} ;;`;
  });
  const values = nodes.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(({ name, short, choices, kind = '' }) => {
        const names = [name, short].filter((one) => one !== '');
        const pattern = names.map((one) => `"${path} ${one}"`).join('|');
        return `    ${pattern}) words="${choices.join(' ')}" flags="" kind="${kind}" ;;`;
      }),
  );
  const known = nodes.map(({ path }) => `"${path}"`).join('|');
  return `_tidemark() {
  local known="" word candidate words="" flags="" kind="" first=1 server=() word_before="" prefix=""
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  local called="\${COMP_WORDS[0]/#\\~\\//$HOME/}"
  case "$current" in
    --*=*) prefix="\${current%%=*}="; before="\${current%%=*}"; current="\${current#*=}" ;;
    =) current="" ;;
  esac
  [ "$before" != "=" ] || before="\${COMP_WORDS[COMP_CWORD-2]}"
  [ "$called" != npx ] || first=2
  for word in "\${COMP_WORDS[@]:$first:$((COMP_CWORD - first))}"; do
    candidate="\${known:+$known }$word"
    case "$candidate" in ${known}) known="$candidate" ;; esac
    [ "$word" != "=" ] || continue
    case "$word_before" in -s|--server) server=(--server "$word") ;; --profile) server=(--profile "$word") ;; esac
    word_before="$word"
  done
  case "$known" in
${cases.join('\n')}
  esac
  case "$known $before" in
${values.join('\n')}
  esac
  case "$current" in -*) words="" kind="" ;; esac
  if [ -n "$kind" ]; then
    if [ "$first" = 2 ]; then words="$words $(npx tidemark __complete "$kind" "\${server[@]}" 2>/dev/null)"
    else words="$words $("$called" __complete "$kind" "\${server[@]}" 2>/dev/null)"; fi
  elif [ -z "$words" ]; then words="$flags"; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ -z "$prefix" ] || COMPREPLY=("\${COMPREPLY[@]/#/$prefix}")
  [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
_tidemark_npx() {
  if [ "\${COMP_WORDS[1]}" = tidemark ] && [ "$COMP_CWORD" -gt 1 ]; then _tidemark; return; fi
  COMPREPLY=($(compgen -W tidemark -- "\${COMP_WORDS[COMP_CWORD]}"))
}
`;
}

function fishScript(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, options, kind, choices: argumentChoices }) => {
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
    const asked = (of: Kind): string => ` -x -a '(__tidemark_ask ${of})'`;
    return [
      ...(kind === undefined ? [] : [`${when}${asked(kind)}`]),
      ...(argumentChoices.length === 0
        ? []
        : [`${when} -f -a ${quoted(argumentChoices.join(' '))}`]),
      ...commands.map(({ name, description }) => `${when} -f -a ${name} -d ${quoted(description)}`),
      ...options.map(({ name, description, takesValue, choices, kind: of }) => {
        const listed = choices.length === 0 ? '' : ` -x -a ${quoted(choices.join(' '))}`;
        const values =
          of === undefined ? (listed === '' && takesValue ? ' -r' : listed) : asked(of);
        return `${when} -l ${name.replace(/^--/, '')}${values} -d ${quoted(description)}`;
      }),
    ];
  });
  return `${FISH_HEAD}${lines.join('\n')}\n`;
}

/** Asks the command as it was called; what follows npx is completed as if it stood alone. */
const FISH_HEAD = `function __tidemark_ask
  set -l words (commandline -opc)
  set -l server
  if set -l at (contains -i -- --server $words; or contains -i -- -s $words)
    set server --server $words[(math $at[1] + 1)]
  else if set -l at (contains -i -- --profile $words)
    set server --profile $words[(math $at[1] + 1)]
  end
  set -l called (string replace -r '^~/' "$HOME/" -- $words[1])
  if not type -q $called; set called npx tidemark; end
  $called __complete $argv $server 2>/dev/null
end
complete -c npx -n 'test (count (commandline -opc)) = 1' -a tidemark
complete -c npx -n 'test "$(commandline -opc)[2]" = tidemark' -x -a '(complete -C "$(string replace -r "^\\s*npx\\s+" "" -- "$(commandline -cp)")")'
`;

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
