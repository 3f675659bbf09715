/** Options of `npm start`. Every fault is reported at once. */
import {
  LOG_LEVEL_OPTION,
  logLevelFault,
  NUMBER_OPTIONS,
  numberFault,
  optionRelationFaults,
  wholeNumber,
} from '../base/broker-options.ts';
import { readFlags } from '../base/flags.ts';
import { PORT_MAX } from '../base/limits.ts';
import { printable } from '../base/printable.ts';
import { resolve } from 'node:path';

export interface LocalOptions {
  readonly brokers: number;
  readonly dataDir: string;
  readonly port: number;
  /** Of the first broker's listener for other brokers. */
  readonly internalPort: number;
  /** Of the first broker's metrics; 0: none. */
  readonly httpPort: number;
  /** Of the page that shows the cluster; 0: none. */
  readonly pagePort: number;
  readonly isHelp: boolean;
  /** TLS, with certificates that the launcher makes. */
  readonly isSecure: boolean;
  /** Most metadata voters that the brokers were told of. */
  readonly votersMax: number;
  /** Passed on to every broker. */
  readonly brokerArguments: readonly string[];
}

/** More processes than this on one machine prove nothing. */
const BROKERS_MAX = 15;
/** Where the `tidemark` command looks by itself. */
export const PORT_DEFAULT = 9_641;
/** Where it looks for the launcher. */
export const DATA_DEFAULT = '.tidemark';
/** These are so far above the port of the same broker. */
const INTERNAL_PORT_STEP = 50;
const HTTP_PORT_STEP = 100;
const PORT_LAST = PORT_MAX - HTTP_PORT_STEP - BROKERS_MAX + 1;

/** Options of every broker but for its metrics port, which is its own. */
const NUMBERS = Object.values(NUMBER_OPTIONS).filter(
  (option) => option !== NUMBER_OPTIONS.httpPort,
);
const PASSED_ON: readonly string[] = [...NUMBERS.map(({ flag }) => flag), LOG_LEVEL_OPTION.flag];
const OWN = ['brokers', 'data', 'port', 'internal-port', 'http-port', 'page-port'] as const;

export const LOCAL_HELP = `npm start -- [options]

${[
  [
    'brokers N',
    `brokers on this machine, each in a rack of its own (default 3, at most ${BROKERS_MAX})`,
  ],
  ['data DIR', `folder of all data; it survives a restart (default ${DATA_DEFAULT})`],
  ['port P', `broker i listens on 127.0.0.1, port P + i - 1 (default ${PORT_DEFAULT})`],
  [
    'internal-port P',
    `it listens for other brokers on port P + i - 1 (default --port + ${INTERNAL_PORT_STEP})`,
  ],
  [
    'http-port P',
    `its /metrics, /livez and /readyz on port P + i - 1 (default --port + ${HTTP_PORT_STEP}); 0: nowhere`,
  ],
  ['page-port P', 'a page that shows the cluster on port P (default --port - 1); 0: nowhere'],
  ['secure', 'TLS, with certificates made in the folder of all data'],
  ['help', 'this text'],
]
  .map(([name = '', meaning]) => `  --${name.padEnd(24)} ${meaning}`)
  .join('\n')}

Options of every broker:

${[
  ...NUMBERS.map(({ flag, meaning, fallback, min, max }) => [
    `${flag} N`,
    `${meaning} (default ${fallback}; ${min} to ${max})`,
  ]),
  [
    `${LOG_LEVEL_OPTION.flag} LEVEL`,
    `${LOG_LEVEL_OPTION.meaning} (default ${LOG_LEVEL_OPTION.fallback})`,
  ],
]
  .map(([name = '', meaning]) => `  --${name.padEnd(24)} ${meaning}`)
  .join('\n')}

What follows a further -- goes to every broker as it is.

  npm start -- --brokers 5 --session-timeout-ms 1000 --log-level debug`;

/** @throws Error with one line for each fault */
export function readLocalOptions(argv: readonly string[]): LocalOptions {
  const split = argv.indexOf('--');
  const own = split < 0 ? argv : argv.slice(0, split);
  const given = readFlags(own, { values: [...OWN, ...PASSED_ON], switches: ['help', 'secure'] });
  const faults = [...given.faults];
  const number = (
    name: (typeof OWN)[number],
    fallback: number,
    [min, max]: readonly [number, number],
  ): number => {
    const text = given.values.get(name) ?? String(fallback);
    const value = wholeNumber(text);
    if (value >= min && value <= max) return value;
    faults.push(`${name} is '${text}', must be a whole number from ${min} to ${max}`);
    return fallback;
  };
  const brokers = number('brokers', 3, [1, BROKERS_MAX]);
  const port = number('port', PORT_DEFAULT, [1, PORT_LAST]);
  const internalPort = number('internal-port', port + INTERNAL_PORT_STEP, [
    1,
    PORT_MAX - BROKERS_MAX + 1,
  ]);
  const httpPort = number('http-port', port + HTTP_PORT_STEP, [0, PORT_MAX - BROKERS_MAX + 1]);
  const pagePort = number('page-port', port - 1, [0, PORT_MAX]);
  faults.push(
    ...portClashes({ port, 'internal-port': internalPort, 'http-port': httpPort }, brokers),
  );
  const passedOn = [...given.values].filter(([flag]) => PASSED_ON.includes(flag));
  faults.push(...brokerFaults(new Map(passedOn)));
  if (faults.length > 0) throw new Error(faults.map(printable).join('\n'));
  const brokerArguments = [
    ...passedOn.flatMap(([flag, value]) => [`--${flag}`, value]),
    ...(split < 0 ? [] : argv.slice(split + 1)),
  ];
  const { flag, fallback } = NUMBER_OPTIONS.votersMax;
  const asTold = readFlags(brokerArguments, { values: [flag] }).values.get(flag);
  return {
    brokers,
    port,
    internalPort,
    httpPort,
    pagePort,
    dataDir: resolve(given.values.get('data') ?? DATA_DEFAULT),
    isHelp: given.switches.has('help'),
    isSecure: given.switches.has('secure'),
    votersMax: Number(asTold ?? fallback),
    brokerArguments,
  };
}

/** Each option is the first of as many neighbouring ports as there are brokers; 0: of none. */
function portClashes(ports: Readonly<Record<string, number>>, brokers: number): string[] {
  const used = Object.entries(ports).filter(([, port]) => port !== 0);
  return used.flatMap(([name, port], index) =>
    used
      .slice(0, index)
      .filter(([, other]) => Math.abs(port - other) < brokers)
      .map(
        ([otherName, other]) =>
          `${name} is ${port}, must be ${brokers} or more away from ${otherName} (${other})`,
      ),
  );
}

/** Said here, or every broker would say the same in its log. */
function brokerFaults(given: ReadonlyMap<string, string>): string[] {
  const faults = NUMBERS.flatMap((option) => {
    const text = given.get(option.flag);
    return text === undefined ? [] : (numberFault(option, text) ?? []);
  });
  const level = given.get(LOG_LEVEL_OPTION.flag);
  const levelFault = level === undefined ? null : logLevelFault(level);
  if (levelFault !== null) faults.push(levelFault);
  if (faults.length > 0) return faults;
  const value = ({ flag, fallback }: { flag: string; fallback: number }): number =>
    Number(given.get(flag) ?? fallback);
  return optionRelationFaults({
    heartbeatMs: value(NUMBER_OPTIONS.heartbeatMs),
    sessionTimeoutMs: value(NUMBER_OPTIONS.sessionTimeoutMs),
    votersMax: value(NUMBER_OPTIONS.votersMax),
  });
}
