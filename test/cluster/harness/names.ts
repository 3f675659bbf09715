/**
 * Names that a test gives and takes: a file that name look-ups read each time, in place of DNS. A
 * broker loads this before its own program, see {@link Names.env}; the test calls
 * {@link Names.install} for its clients.
 */
import dns from 'node:dns';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const VARIABLE = 'TIDEMARK_TEST_NAMES';

/** The names of one test. */
export class Names {
  readonly #file: string;
  readonly #addresses: Record<string, string>;

  constructor(folder: string, addresses: Readonly<Record<string, string>>) {
    this.#file = join(folder, 'names.json');
    this.#addresses = { ...addresses };
    this.#write();
  }

  /** From now on, look-ups of `name` answer `address`. */
  set(name: string, address: string): void {
    this.#addresses[name] = address;
    this.#write();
  }

  /** Environment of a process that looks names up here. */
  get env(): Readonly<Record<string, string>> {
    return { [VARIABLE]: this.#file, NODE_OPTIONS: `--import=${import.meta.url}` };
  }

  /** Makes this process look names up here. Returns what takes it back. */
  install(): () => void {
    return readNames(this.#file);
  }

  #write(): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#addresses));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

type Callback = (error: Error | null, address?: unknown, family?: number) => void;

function readNames(file: string): () => void {
  const { lookup } = dns;
  const lookupLater = dns.promises.lookup;
  const find = (name: string): string | undefined =>
    (JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>)[name];
  dns.lookup = ((name: string, options: dns.LookupOptions, callback: Callback): void => {
    const address = find(name);
    if (address === undefined) return lookup(name, options, callback as never);
    const found = { address, family: 4 };
    setImmediate(() => {
      if (options.all === true) callback(null, [found]);
      else callback(null, address, 4);
    });
  }) as typeof dns.lookup;
  dns.promises.lookup = ((name: string, options: dns.LookupAllOptions) => {
    const address = find(name);
    if (address === undefined) return lookupLater(name, options);
    return Promise.resolve([{ address, family: 4 }]);
  }) as typeof dns.promises.lookup;
  return () => {
    dns.lookup = lookup;
    dns.promises.lookup = lookupLater;
  };
}

const fileOfEnvironment = process.env[VARIABLE];
if (fileOfEnvironment !== undefined) readNames(fileOfEnvironment);
