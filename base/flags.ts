/**
 * Reads `--flag value` and `--flag=value`. Tells every fault, not the first one: a person who
 * mistyped two options finds out once, and what was right still counts. Of a flag that is given
 * twice the last one counts, as in a shell's own commands.
 */

/** What was given, and what was wrong with it. */
export interface Flags {
  /** Values by flag. */
  readonly values: ReadonlyMap<string, string>;
  /** Flags that take no value and were given. */
  readonly switches: ReadonlySet<string>;
  /** One sentence each. */
  readonly faults: readonly string[];
}

/** @param known flags that take a value, and those that take none, without dashes */
export function readFlags(
  argv: readonly string[],
  known: { readonly values: readonly string[]; readonly switches?: readonly string[] },
): Flags {
  const values = new Map<string, string>();
  const switches = new Set<string>();
  const faults: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    const match = /^--(?<flag>[^=]*)(?:=(?<value>.*))?$/s.exec(word);
    if (match === null) {
      faults.push(`'${word}' belongs to no option, every value must follow its --option`);
      continue;
    }
    const flag = match.groups?.['flag'] ?? '';
    const inline = match.groups?.['value'];
    if (known.switches?.includes(flag) === true) {
      if (inline === undefined) switches.add(flag);
      else faults.push(`--${flag} is '${inline}', must stand without a value`);
      continue;
    }
    const next = argv[at + 1];
    const isNextFlag = next === undefined || next.startsWith('--');
    // What follows an unknown option is taken for its value, or it would be a second fault.
    if (inline === undefined && !isNextFlag) at += 1;
    const value = inline ?? (isNextFlag ? undefined : next);
    if (!known.values.includes(flag)) {
      const options = [...known.values, ...(known.switches ?? [])];
      faults.push(`--${flag} is not an option, must be one of --${options.join(', --')}`);
    } else if (value === undefined) faults.push(`--${flag} has no value`);
    else values.set(flag, value);
  }
  return { values, switches, faults };
}
