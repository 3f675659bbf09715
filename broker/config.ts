/**
 * Options of a broker: one table, read from the command line, then from the environment, then the default. Every fault is reported at once;
 * nothing is repaired. `main.ts` is the only caller that hands in argv and environment.
 */
import { parseArgs } from 'node:util';
import type { Address } from './runtime/ports.ts';
import { TOPIC_CONFIG_DEFAULTS } from './metadata/config.ts';
import type { TopicConfig } from './metadata/types.ts';

/** A broker's settings, checked. */
export interface Config {
  readonly brokerId: number;
  readonly dataDir: string;
  readonly listen: Address;
  readonly advertised: Address;
  readonly rack: string;
  readonly seeds: readonly Address[];
  readonly clusterId: string;
  readonly podUid: string;
  /** Port of metrics, liveness and readiness; 0 turns them off. */
  readonly httpPort: number;
  readonly logLevel: LogLevel;
  readonly heartbeatMs: number;
  readonly sessionTimeoutMs: number;
  readonly lagMsMax: number;
  readonly voterReplaceMs: number;
  readonly votersMax: number;
  readonly flushIntervalMs: number;
  readonly flushBytes: number;
  readonly tailCacheBytes: number;
  readonly reserveBytes: number;
  readonly produceWindowBytes: number;
  readonly stopTimeoutMs: number;
  readonly retentionCheckMs: number;
  readonly defaults: TopicConfig;
}

interface NumberOption {
  readonly flag: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
}

const MIB = 1024 * 1024;

/** Numbers. The environment variable of `session-timeout-ms` is TIDEMARK_SESSION_TIMEOUT_MS. */
export const NUMBER_OPTIONS = {
  httpPort: {
    flag: 'http-port',
    fallback: 0,
    min: 0,
    max: 65_535,
    meaning: 'port of /metrics, /livez and /readyz; 0 turns them off',
  },
  heartbeatMs: {
    flag: 'heartbeat-ms',
    fallback: 250,
    min: 20,
    max: 60_000,
    meaning: 'pause between proofs of life',
  },
  // A killed process is found by its connection; only a silent one (stopped, cut off, hung) takes this long.
  sessionTimeoutMs: {
    flag: 'session-timeout-ms',
    fallback: 3_000,
    min: 100,
    max: 600_000,
    meaning: 'silence after which a broker is fenced',
  },
  lagMsMax: {
    flag: 'replica-lag-ms-max',
    fallback: 10_000,
    min: 100,
    max: 3_600_000,
    meaning: 'time behind after which a follower leaves the sync set',
  },
  voterReplaceMs: {
    flag: 'voter-replace-ms',
    fallback: 10_000,
    min: 0,
    max: 86_400_000,
    meaning: 'absence after which another broker takes a metadata vote',
  },
  votersMax: {
    flag: 'voters-max',
    fallback: 3,
    min: 1,
    max: 5,
    meaning: 'metadata voters: 1, 3 or 5',
  },
  flushIntervalMs: {
    flag: 'flush-interval-ms',
    fallback: 1_000,
    min: 10,
    max: 600_000,
    meaning: 'longest time that written bytes stay unsynced',
  },
  flushBytes: {
    flag: 'flush-bytes',
    fallback: 16 * MIB,
    min: 4_096,
    max: 1024 * MIB,
    meaning: 'most written bytes of a partition that stay unsynced',
  },
  tailCacheBytes: {
    flag: 'tail-cache-bytes',
    fallback: 32 * MIB,
    min: MIB,
    max: 16_384 * MIB,
    meaning: 'memory for the newest batches of all partitions',
  },
  reserveBytes: {
    flag: 'disk-reserve-bytes',
    fallback: 256 * MIB,
    min: 0,
    max: 1_048_576 * MIB,
    meaning: 'free space below which appends are refused',
  },
  produceWindowBytes: {
    flag: 'produce-window-bytes',
    fallback: 16 * MIB,
    min: MIB,
    max: 1024 * MIB,
    meaning: 'unanswered bytes of one produce stream',
  },
  stopTimeoutMs: {
    flag: 'stop-timeout-ms',
    fallback: 20_000,
    min: 0,
    max: 3_600_000,
    meaning: 'time that an orderly stop gives leadership to move',
  },
  retentionCheckMs: {
    flag: 'retention-check-ms',
    fallback: 5_000,
    min: 10,
    max: 86_400_000,
    meaning: 'pause between looks at what may be retired',
  },
} as const satisfies Record<string, NumberOption>;

/** Text. */
export const TEXT_OPTIONS = {
  id: 'number of this broker, 0 or greater; or `auto`: the number at the end of the host name',
  data: 'data directory',
  listen: 'address to listen on, host:port',
  advertise: 'address that clients and brokers dial, host:port; default: the listen address',
  rack: 'failure domain; empty when unknown',
  seeds: 'addresses of brokers, host:port, separated by commas; may contain this one',
  'cluster-id': 'cluster that the data directory must belong to; empty: any',
  'pod-uid': 'identity of the pod, part of the mount identity; empty outside Kubernetes',
  'log-level': 'trace, debug, info, warn, error or silent',
} as const;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** Least severe first. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Faults of a configuration, all of them, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** @throws ConfigError that names every fault: option, value and what is allowed */
export function readConfig(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const faults: string[] = [];
  const values = readValues(argv, environment, faults);
  const text = (flag: keyof typeof TEXT_OPTIONS): string => values.get(flag) ?? '';
  const number = (name: keyof typeof NUMBER_OPTIONS): number =>
    readNumber(NUMBER_OPTIONS[name], values, faults);
  const listen = readAddress('listen', text('listen'), faults);
  const logLevel =
    text('log-level') === '' ? 'info' : LOG_LEVELS.find((level) => level === text('log-level'));
  if (logLevel === undefined)
    faults.push(`log-level is '${text('log-level')}', must be one of ${LOG_LEVELS.join(', ')}`);
  if (text('data') === '') faults.push('data is missing, must be a directory');
  const config: Config = {
    brokerId: readBrokerId(text('id'), environment['HOSTNAME'] ?? '', faults),
    dataDir: text('data'),
    listen,
    advertised:
      text('advertise') === '' ? listen : readAddress('advertise', text('advertise'), faults),
    rack: text('rack'),
    seeds: text('seeds')
      .split(',')
      .filter((seed) => seed !== '')
      .map((seed) => readAddress('seeds', seed, faults)),
    clusterId: text('cluster-id'),
    podUid: text('pod-uid'),
    logLevel: logLevel ?? 'info',
    httpPort: number('httpPort'),
    heartbeatMs: number('heartbeatMs'),
    sessionTimeoutMs: number('sessionTimeoutMs'),
    lagMsMax: number('lagMsMax'),
    voterReplaceMs: number('voterReplaceMs'),
    votersMax: number('votersMax'),
    flushIntervalMs: number('flushIntervalMs'),
    flushBytes: number('flushBytes'),
    tailCacheBytes: number('tailCacheBytes'),
    reserveBytes: number('reserveBytes'),
    produceWindowBytes: number('produceWindowBytes'),
    stopTimeoutMs: number('stopTimeoutMs'),
    retentionCheckMs: number('retentionCheckMs'),
    defaults: TOPIC_CONFIG_DEFAULTS,
  };
  checkRelations(config, faults);
  if (faults.length > 0)
    throw new ConfigError(faults.map((fault) => `config: ${fault}`).join('\n'));
  return Object.freeze(config);
}

/** Relations between options, each with its reason. */
function checkRelations(config: Config, faults: string[]): void {
  const { heartbeatMs, sessionTimeoutMs, votersMax } = config;
  // Two heartbeats may be lost before a live broker is taken for dead.
  if (sessionTimeoutMs < heartbeatMs * 3) {
    faults.push(
      `session-timeout-ms is ${sessionTimeoutMs}, must be at least three times heartbeat-ms (${heartbeatMs * 3})`,
    );
  }
  // An even number of voters tolerates no more losses than one fewer.
  if (votersMax % 2 === 0) faults.push(`voters-max is ${votersMax}, must be 1, 3 or 5`);
}

function readValues(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  faults: string[],
): Map<string, string> {
  const flags = [
    ...Object.keys(TEXT_OPTIONS),
    ...Object.values(NUMBER_OPTIONS).map(({ flag }) => flag),
  ];
  const values = new Map<string, string>();
  for (const flag of flags) {
    const fromEnvironment = environment[`TIDEMARK_${flag.replaceAll('-', '_').toUpperCase()}`];
    if (fromEnvironment !== undefined) values.set(flag, fromEnvironment);
  }
  const options = Object.fromEntries(flags.map((flag) => [flag, { type: 'string' as const }]));
  try {
    const parsed = parseArgs({ args: [...argv], options, strict: true });
    for (const [flag, value] of Object.entries(parsed.values))
      if (typeof value === 'string') values.set(flag, value);
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  }
  return values;
}

function readNumber(
  option: NumberOption,
  values: ReadonlyMap<string, string>,
  faults: string[],
): number {
  const given = values.get(option.flag);
  if (given === undefined || given === '') return option.fallback;
  const value = Number(given);
  if (Number.isSafeInteger(value) && value >= option.min && value <= option.max) return value;
  faults.push(
    `${option.flag} is '${given}', must be a whole number from ${option.min} to ${option.max}`,
  );
  return option.fallback;
}

function readAddress(flag: string, given: string, faults: string[]): Address {
  const match = /^(?<host>[^:\s]+|\[[0-9a-fA-F:]+\]):(?<port>\d{1,5})$/.exec(given);
  const port = Number(match?.groups?.['port'] ?? 0);
  if (match !== null && port >= 1 && port <= 65_535)
    return { host: match.groups?.['host'] ?? '', port };
  faults.push(`${flag} is '${given}', must be host:port with a port from 1 to 65535`);
  return { host: '', port: 0 };
}

function readBrokerId(given: string, hostName: string, faults: string[]): number {
  const digits = given === 'auto' ? (/(\d+)$/.exec(hostName)?.[1] ?? '') : given;
  const id = Number(digits);
  if (digits !== '' && Number.isSafeInteger(id) && id >= 0 && id <= 65_535) return id;
  const named = given === 'auto' ? `'auto' with host name '${hostName}'` : `'${given}'`;
  faults.push(`id is ${named}, must be a whole number from 0 to 65535`);
  return 0;
}
