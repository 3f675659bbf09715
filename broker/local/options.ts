/** Options of `npm start`. Every fault is reported at once. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface LocalOptions {
  readonly brokers: number;
  readonly dataDir: string;
  readonly port: number;
  readonly isHelp: boolean;
  /** Passed on to every broker. */
  readonly brokerArguments: readonly string[];
}

/** More processes than this on one machine prove nothing. */
const BROKERS_MAX = 15;

export const LOCAL_HELP = `npm start -- [options] [-- broker options]

  --brokers N   brokers on this machine, each in a rack of its own (default 3, at most ${BROKERS_MAX})
  --data DIR    folder of all data; it survives a restart (default .tidemark)
  --port P      broker i listens on 127.0.0.1, port P + i - 1 (default 9641)
  --help        this text

Broker options, for instance: npm start -- -- --session-timeout-ms 1000 --log-level debug`;

/** @throws Error with one line for each fault */
export function readLocalOptions(argv: readonly string[]): LocalOptions {
  const split = argv.indexOf('--');
  const own = split < 0 ? argv : argv.slice(0, split);
  const { values } = parseArgs({
    args: [...own],
    strict: true,
    options: {
      brokers: { type: 'string' },
      data: { type: 'string' },
      port: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const faults: string[] = [];
  const number = (name: 'brokers' | 'port', fallback: number, max: number): number => {
    const given = values[name] ?? String(fallback);
    const value = Number(given);
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
    faults.push(`${name} is '${given}', must be a whole number from 1 to ${max}`);
    return fallback;
  };
  const brokers = number('brokers', 3, BROKERS_MAX);
  const port = number('port', 9641, 65_535 - BROKERS_MAX);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return {
    brokers,
    port,
    dataDir: resolve(values.data ?? '.tidemark'),
    isHelp: values.help ?? false,
    brokerArguments: split < 0 ? [] : argv.slice(split + 1),
  };
}
