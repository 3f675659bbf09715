/** One line of a script: `name words... key=value...`. */
export interface Command {
  readonly name: string;
  /** What stands there without a key. */
  readonly words: readonly string[];
  readonly args: ReadonlyMap<string, string>;
}

export function parseCommand(line: string): Command {
  const [name = '', ...rest] = line.trim().split(/\s+/);
  const pairs = rest.filter((word) => word.includes('='));
  return {
    name,
    words: rest.filter((word) => !word.includes('=')),
    args: new Map(pairs.map((word) => word.split('=') as [string, string])),
  };
}

/** Throws where the script names no such number. */
export function numberOf({ name, args }: Command, key: string, fallback?: number): number {
  const value = args.get(key) ?? fallback;
  if (value === undefined) throw new Error(`${name}: ${key} is missing`);
  if (Number.isNaN(Number(value))) throw new Error(`${name}: ${key} is ${value}, not a number`);
  return Number(value);
}

/** Numbers behind a key, with commas between them; none where it is missing. */
export function listOf({ args }: Command, key: string): number[] {
  return (args.get(key) ?? '')
    .split(',')
    .filter((word) => word !== '')
    .map(Number);
}

/** Words that are broker ids. */
export function idsOf({ words }: Command): number[] {
  return words.map(Number);
}
