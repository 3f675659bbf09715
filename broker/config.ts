/**
 * Options of a broker (numbers: `proto/options`), read from the command line, then from the
 * environment, then the default. Every fault is reported at once; nothing is repaired. `main.ts` is
 * the only caller that hands in argv and environment.
 */
import { principalFault } from '../base/access.ts';
import { BROKER_ID_MAX, LISTENERS_MAX } from '../base/limits.ts';
import {
  LOG_LEVEL_OPTION,
  LOG_LEVELS,
  logLevelFault,
  wholeNumber,
  NUMBER_OPTIONS,
  numberFault,
  optionRelationFaults,
  optionVariable,
} from '../base/broker-options.ts';
import type { LogLevel, NumberOption } from '../base/broker-options.ts';
import type { TlsPaths } from '../base/tls-paths.ts';
import { hostPort } from '../base/host-port.ts';
import { printable } from '../base/printable.ts';
import { readFlags } from '../base/flags.ts';
import type { AuthOptions } from './doors/options.ts';
import {
  AUTH_OPTIONS,
  CLIENT_TLS_FLAGS,
  isWildcard,
  listenerFaults,
  listenerFlags,
  type ListenerOptions,
  namesIn,
  readAddress,
  readAuth,
  readListeners,
  readTls,
  TLS_OPTIONS,
} from './listeners.ts';
import type { OptionReport } from './runtime/api.ts';
import type { Address } from './runtime/ports.ts';
import { FEATURE_LEVEL_MAX } from './metadata/features.ts';
import { TOPIC_CONFIG_DEFAULTS } from './metadata/config.ts';
import type { TopicConfig } from './metadata/types.ts';

/** A broker's settings, checked. */
export interface Config {
  readonly brokerId: number;
  readonly dataDir: string;
  /** Of clients. */
  readonly listen: Address;
  readonly advertised: Address;
  /** Of brokers and the operator. */
  readonly internalListen: Address;
  readonly internalAdvertised: Address;
  /** Null: none. */
  readonly tls: TlsPaths | null;
  readonly internalTls: TlsPaths | null;
  /** Where that is not null. */
  readonly internalTlsMode: InternalTlsMode;
  /** Of the listener for clients; null: nobody is asked who they are. */
  readonly auth: AuthOptions | null;
  /** Beside that one, each with everything of its own. */
  readonly listeners: readonly ListenerOptions[];
  /** Patterns of principals that may do everything. */
  readonly authAdministrators: readonly string[];
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
  readonly memoryBudgetBytes: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly streamsMax: number;
  readonly streamsPerConnectionMax: number;
  readonly headerBytesMax: number;
  readonly connectionIdleMs: number;
  readonly stopTimeoutMs: number;
  readonly retentionCheckMs: number;
  readonly compactionBytesPerSecond: number;
  readonly compactionMemoryBytes: number;
  readonly featureLevelMax: number;
  /** Threads of libuv's pool, which does the file work (`dataCallsMax` shares it out). */
  readonly poolThreads: number;
  readonly defaults: TopicConfig;
  /** Every option of the cluster's schema, its value and where that came from. */
  readonly options: readonly OptionReport[];
}

/** Where nobody else on the network reaches it, and where it is looked for. */
const INTERNAL_LISTEN: Address = { host: '127.0.0.1', port: 9_643 };

/** Text. */
/** From plaintext among brokers to TLS, in their order. */
const INTERNAL_TLS_MODES = ['allow', 'prefer', 'require'] as const;
export type InternalTlsMode = (typeof INTERNAL_TLS_MODES)[number];
const INTERNAL_TLS_MODE: InternalTlsMode = 'require';

export const TEXT_OPTIONS = {
  id: 'number of this broker, 0 or greater; or `auto`: the number at the end of the host name',
  data: 'data directory',
  listen: 'address to listen on for clients, host:port',
  advertise: 'address that clients dial, host:port; default: the listen address',
  'internal-listen': `address to listen on for other brokers and the operator, host:port; default ${hostPort(INTERNAL_LISTEN.host, INTERNAL_LISTEN.port)}; without internal-tls-cert nobody is authenticated there, so any other host must be one that only they reach`,
  'internal-advertise':
    'address that other brokers dial, host:port; default: the internal listen address',
  ...TLS_OPTIONS,
  'internal-tls-cert':
    'certificate for other brokers, a PEM file, with the URI tidemark://<cluster-id>/broker/<id>; empty: no TLS among brokers',
  'internal-tls-key': 'private key of that certificate, a PEM file',
  'internal-tls-ca': 'authorities of the certificates of brokers and operator, a PEM file',
  'internal-tls-mode':
    'allow: take plaintext beside TLS, and dial plaintext; prefer: take both, and dial TLS; require: TLS alone; the first two lead brokers that run from plaintext to TLS; default require',
  ...AUTH_OPTIONS,
  'auth-administrators':
    'principals that may do everything, separated by ; (a \\; belongs to a subject), or with * at the end all that begin so',
  listeners: `names of more listeners for clients, separated by commas, at most ${LISTENERS_MAX}; each has options of its own, listener-<name>-listen and so on`,
  rack: 'failure domain; empty when unknown',
  seeds: 'internal addresses of brokers, host:port, separated by commas; may contain this one',
  'cluster-id': 'cluster that the data directory must belong to; empty: any',
  'pod-uid': 'identity of the pod, part of the mount identity; empty outside Kubernetes',
  [LOG_LEVEL_OPTION.flag]: LOG_LEVEL_OPTION.meaning,
} as const;

/** Here, and not with the other numbers, since the bound is the metadata core's. */
const FEATURE_LEVEL_OPTION: NumberOption = {
  flag: 'feature-level-max',
  fallback: FEATURE_LEVEL_MAX,
  min: 1,
  max: FEATURE_LEVEL_MAX,
  isLive: false,
  meaning:
    'highest feature level that this broker offers to run; below the default it passes for an older build',
};

/** Read by libuv itself, which takes what is no number for one thread. */
const POOL_VARIABLE = 'UV_THREADPOOL_SIZE';
/** libuv's size when nobody sets it. */
const POOL_THREADS_DEFAULT = 4;
/** Data and metadata need one each, or a slow write holds up the metadata's syncs. */
const POOL_THREADS_MIN = 2;
/** libuv's own bound. */
const POOL_THREADS_MAX = 1_024;

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
  const { values, sources } = readValues(argv, environment, faults);
  const text: Text = (flag) => values.get(flag) ?? '';
  const number = (name: keyof typeof NUMBER_OPTIONS): number =>
    readNumber(NUMBER_OPTIONS[name], values, faults);
  const address = (flag: TextFlag, fallback: Address): Address =>
    text(flag) === '' ? fallback : readAddress(flag, text(flag), faults);
  const listen = readAddress('listen', text('listen'), faults);
  const internalListen = address('internal-listen', INTERNAL_LISTEN);
  const levelText = text('log-level') === '' ? LOG_LEVEL_OPTION.fallback : text('log-level');
  const levelFault = logLevelFault(levelText);
  if (levelFault !== null) faults.push(levelFault);
  if (text('data') === '') faults.push('data is missing, must be a directory');
  const config: Config = {
    brokerId: readBrokerId(text('id'), environment['HOSTNAME'] ?? '', faults),
    dataDir: text('data'),
    listen,
    advertised: address('advertise', listen),
    internalListen,
    internalAdvertised: address('internal-advertise', internalListen),
    tls: readTls(CLIENT_TLS_FLAGS, text, faults),
    internalTls: readTls(
      ['internal-tls-cert', 'internal-tls-key', 'internal-tls-ca'],
      text,
      faults,
    ),
    internalTlsMode: readInternalTlsMode(text, faults),
    auth: readAuth(text, faults),
    listeners: readListeners(values, faults),
    authAdministrators: readPrincipals('auth-administrators', text, faults),
    rack: text('rack'),
    seeds: text('seeds')
      .split(',')
      .filter((seed) => seed !== '')
      .map((seed) => readAddress('seeds', seed, faults)),
    clusterId: readClusterId(text('cluster-id'), faults),
    podUid: text('pod-uid'),
    logLevel: LOG_LEVELS.find((level) => level === levelText) ?? LOG_LEVEL_OPTION.fallback,
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
    memoryBudgetBytes: number('memoryBudgetBytes'),
    connectionsMax: number('connectionsMax'),
    connectionsPerAddressMax: number('connectionsPerAddressMax'),
    streamsMax: number('streamsMax'),
    streamsPerConnectionMax: number('streamsPerConnectionMax'),
    headerBytesMax: number('headerBytesMax'),
    connectionIdleMs: number('connectionIdleMs'),
    stopTimeoutMs: number('stopTimeoutMs'),
    retentionCheckMs: number('retentionCheckMs'),
    compactionBytesPerSecond: number('compactionBytesPerSecond'),
    compactionMemoryBytes: number('compactionMemoryBytes'),
    featureLevelMax: readNumber(FEATURE_LEVEL_OPTION, values, faults),
    poolThreads: readPoolThreads(environment[POOL_VARIABLE], faults),
    defaults: TOPIC_CONFIG_DEFAULTS,
    options: optionReports(values, sources),
  };
  faults.push(
    ...optionRelationFaults(config),
    ...internalFaults(config, text),
    ...listenerFaults(config),
  );
  if (faults.length > 0)
    throw new ConfigError(faults.map((fault) => `config: ${printable(fault)}`).join('\n'));
  return Object.freeze(config);
}

/** Numbers and level; and how far it is to TLS, for whoever leads brokers there. */
function optionReports(
  values: ReadonlyMap<string, string>,
  sources: ReadonlyMap<string, 'environment' | 'flag'>,
): OptionReport[] {
  const hasTls = (values.get('internal-tls-cert') ?? '') !== '';
  const mode = {
    flag: 'internal-tls-mode',
    fallback: hasTls ? INTERNAL_TLS_MODE : '',
    isLive: false,
  };
  return [...Object.values(NUMBER_OPTIONS), LOG_LEVEL_OPTION, mode].map(
    ({ flag, fallback, isLive }): OptionReport => {
      const given = values.get(flag) ?? '';
      const source = given === '' ? 'default' : (sources.get(flag) ?? 'default');
      return { name: flag, value: given === '' ? String(fallback) : given, source, isLive };
    },
  );
}

/** Whose options there are beside the others. What is wrong with names is told later. */
function listenerNames(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  flags: readonly string[],
): readonly string[] {
  const given = readFlags(argv, { values: flags }).values.get('listeners');
  return namesIn(given ?? environment[optionVariable('listeners')] ?? '');
}

function readValues(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  faults: string[],
): {
  readonly values: ReadonlyMap<string, string>;
  readonly sources: ReadonlyMap<string, 'environment' | 'flag'>;
} {
  const flags = [
    ...Object.keys(TEXT_OPTIONS),
    ...Object.values(NUMBER_OPTIONS).map(({ flag }) => flag),
    FEATURE_LEVEL_OPTION.flag,
  ];
  flags.push(...listenerFlags(listenerNames(argv, environment, flags)));
  const values = new Map<string, string>();
  const sources = new Map<string, 'environment' | 'flag'>();
  const set = (flag: string, value: string, source: 'environment' | 'flag'): void => {
    values.set(flag, value);
    sources.set(flag, source);
  };
  for (const flag of flags) {
    const fromEnvironment = environment[optionVariable(flag)];
    if (fromEnvironment !== undefined) set(flag, fromEnvironment, 'environment');
  }
  const given = readFlags(argv, { values: flags });
  for (const [flag, value] of given.values) set(flag, value, 'flag');
  faults.push(...given.faults);
  return { values, sources };
}

function readNumber(
  option: NumberOption,
  values: ReadonlyMap<string, string>,
  faults: string[],
): number {
  const given = values.get(option.flag);
  if (given === undefined || given === '') return option.fallback;
  const fault = numberFault(option, given);
  if (fault === null) return Number(given);
  faults.push(fault);
  return option.fallback;
}

type TextFlag = keyof typeof TEXT_OPTIONS;
type Text = (flag: TextFlag) => string;

/** Without certificates there is nothing to take beside plaintext. */
function readInternalTlsMode(text: Text, faults: string[]): InternalTlsMode {
  const given = text('internal-tls-mode');
  if (given === '') return INTERNAL_TLS_MODE;
  if (text('internal-tls-cert') === '')
    faults.push('internal-tls-mode is given, must be given with internal-tls-cert only');
  const mode = INTERNAL_TLS_MODES.find((each) => each === given);
  if (mode === undefined)
    faults.push(`internal-tls-mode is '${given}', must be one of ${INTERNAL_TLS_MODES.join(', ')}`);
  return mode ?? INTERNAL_TLS_MODE;
}

/** A broker that others cannot reach would join nothing, and say only that it waits. */
function internalFaults(config: Config, text: Text): string[] {
  const { listen, internalListen, internalTls, clusterId, seeds } = config;
  const own = hostPort(internalListen.host, internalListen.port);
  const faults: string[] = [];
  if (own === hostPort(listen.host, listen.port))
    faults.push(`internal-listen is '${own}', must be another address than listen`);
  if (isWildcard(internalListen.host) && text('internal-advertise') === '')
    faults.push(
      `internal-advertise is missing, must be host:port of this broker where internal-listen is every address ('${own}')`,
    );
  // A certificate names its cluster: without an id there is nothing to hold it to.
  if (internalTls !== null && clusterId === '')
    faults.push('cluster-id is missing, must be a UUID where brokers use TLS (internal-tls-cert)');
  if (internalTls?.ca === null)
    faults.push('internal-tls-ca is missing, must be given with internal-tls-cert');
  const far = seeds.find(({ host }) => !isLoopback(host));
  if (text('internal-listen') === '' && far !== undefined)
    faults.push(
      `internal-listen is missing, must be host:port where seeds are on other machines ('${hostPort(far.host, far.port)}'): by default only this machine reaches it, since without internal-tls-cert nobody is authenticated there`,
    );
  return faults;
}

/** Does only this machine reach it? A name may stand for any address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function readPrincipals(flag: TextFlag, text: Text, faults: string[]): readonly string[] {
  const principals = text(flag)
    .split(/(?<!\\);/)
    .map((principal) => principal.trim())
    .filter((principal) => principal !== '');
  for (const principal of principals) {
    // All that there are would be no list.
    const fault = principalFault(principal);
    if (fault !== null) faults.push(`${flag}: ${fault}`);
  }
  return principals;
}

function readPoolThreads(given: string | undefined, faults: string[]): number {
  if (given === undefined) return POOL_THREADS_DEFAULT;
  const threads = wholeNumber(given);
  if (threads >= POOL_THREADS_MIN && threads <= POOL_THREADS_MAX) return threads;
  faults.push(
    `${POOL_VARIABLE} is '${given}', must be a whole number from ${POOL_THREADS_MIN} to ${POOL_THREADS_MAX}`,
  );
  return POOL_THREADS_DEFAULT;
}

function readClusterId(given: string, faults: string[]): string {
  if (given === '' || /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(given)) return given;
  faults.push(`cluster-id is '${given}', must be a UUID in lower case, or empty`);
  return '';
}

function readBrokerId(given: string, hostName: string, faults: string[]): number {
  const digits = given === 'auto' ? (/(\d+)$/.exec(hostName)?.[1] ?? '') : given;
  const id = wholeNumber(digits);
  if (id <= BROKER_ID_MAX) return id;
  const named = given === 'auto' ? `'auto' with host name '${hostName}'` : `'${given}'`;
  faults.push(`id is ${named}, must be a whole number from 0 to ${BROKER_ID_MAX}`);
  return 0;
}
