/**
 * Options of a broker that concern a whole cluster rather than one process: one table, read by the
 * broker (flags and environment) and by the operator (`spec.config`, whose schema is generated from
 * it), and the relations between them. Pure. Must not know where a value came from or how it is
 * applied.
 */

/** One option with a whole number. Bounds are inclusive. */
export interface NumberOption {
  /** Name on the command line; {@link optionVariable} gives the environment variable. */
  readonly flag: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
  /**
   * Does a running broker take a new value from the settings of its cluster? Where it does not, a
   * change of `spec.config` restarts the brokers.
   */
  readonly isLive: boolean;
}

const MIB = 1024 * 1024;

/**
 * Numbers. Not live, and why: `http-port` is a socket; of `heartbeat-ms` and `session-timeout-ms`
 * broker and controller must think alike, or a broker trusts its own word for longer than its
 * controller does; `stop-timeout-ms` is bounded by the grace period that its pod was made with.
 */
export const NUMBER_OPTIONS = {
  httpPort: {
    flag: 'http-port',
    fallback: 0,
    min: 0,
    max: 65_535,
    meaning: 'port of /metrics, /livez and /readyz; 0 turns them off',
    isLive: false,
  },
  heartbeatMs: {
    flag: 'heartbeat-ms',
    fallback: 250,
    min: 20,
    max: 60_000,
    meaning: 'pause between proofs of life',
    isLive: false,
  },
  // A killed process is found by its connection; only a silent one (stopped, cut off, hung) takes
  // this long.
  sessionTimeoutMs: {
    flag: 'session-timeout-ms',
    fallback: 3_000,
    min: 100,
    max: 600_000,
    meaning: 'silence after which a broker is fenced',
    isLive: false,
  },
  lagMsMax: {
    flag: 'replica-lag-ms-max',
    fallback: 10_000,
    min: 100,
    max: 3_600_000,
    meaning: 'time behind after which a follower leaves the sync set',
    isLive: true,
  },
  voterReplaceMs: {
    flag: 'voter-replace-ms',
    fallback: 10_000,
    min: 0,
    max: 86_400_000,
    meaning: 'absence after which another broker takes a metadata vote',
    isLive: true,
  },
  votersMax: {
    flag: 'voters-max',
    fallback: 3,
    min: 1,
    max: 5,
    meaning: 'metadata voters: 1, 3 or 5',
    isLive: true,
  },
  flushIntervalMs: {
    flag: 'flush-interval-ms',
    fallback: 1_000,
    min: 10,
    max: 600_000,
    meaning: 'longest time that written bytes stay unsynced',
    isLive: true,
  },
  flushBytes: {
    flag: 'flush-bytes',
    fallback: 16 * MIB,
    min: 4_096,
    max: 1024 * MIB,
    meaning: 'most written bytes of a partition that stay unsynced',
    isLive: true,
  },
  tailCacheBytes: {
    flag: 'tail-cache-bytes',
    fallback: 32 * MIB,
    min: MIB,
    max: 16_384 * MIB,
    meaning: 'memory for the newest batches of all partitions',
    isLive: true,
  },
  reserveBytes: {
    flag: 'disk-reserve-bytes',
    fallback: 256 * MIB,
    min: 0,
    max: 1_048_576 * MIB,
    meaning: 'free space below which appends are refused',
    isLive: true,
  },
  produceWindowBytes: {
    flag: 'produce-window-bytes',
    fallback: 16 * MIB,
    min: MIB,
    max: 1024 * MIB,
    meaning: 'unanswered bytes of one produce stream',
    isLive: true,
  },
  // What clients may cost (docs/security.md). Whoever was let in by them has them: not live.
  memoryBudgetBytes: {
    flag: 'memory-budget-bytes',
    fallback: 0,
    min: 0,
    max: 1_048_576 * MIB,
    meaning:
      'memory held for connections: unfinished messages, streams, unread answers; 0: an eighth of what the container has, a quarter of the heap at most',
    isLive: false,
  },
  connectionsMax: {
    flag: 'connections-max',
    fallback: 4_096,
    min: 1,
    max: 1_000_000,
    meaning: 'connections of clients; at most three eighths of the descriptors of the process',
    isLive: false,
  },
  connectionsPerAddressMax: {
    flag: 'connections-per-address-max',
    fallback: 1_024,
    min: 1,
    max: 1_000_000,
    meaning: 'connections of clients from one address; of IPv6 a /64 counts as one',
    isLive: false,
  },
  streamsMax: {
    flag: 'streams-max',
    fallback: 16_384,
    min: 64,
    max: 1_000_000,
    meaning: 'open calls over all connections',
    isLive: false,
  },
  streamsPerConnectionMax: {
    flag: 'streams-per-connection-max',
    fallback: 256,
    min: 16,
    max: 100_000,
    meaning: 'open calls over one connection',
    isLive: false,
  },
  headerBytesMax: {
    flag: 'header-bytes-max',
    fallback: 16 * 1024,
    min: 4_096,
    max: MIB,
    meaning: 'headers of one call, names and values',
    isLive: false,
  },
  connectionIdleMs: {
    flag: 'connection-idle-ms',
    fallback: 300_000,
    min: 1_000,
    max: 86_400_000,
    meaning: 'time without a call after which the connection of a client is closed',
    isLive: false,
  },
  stopTimeoutMs: {
    flag: 'stop-timeout-ms',
    fallback: 20_000,
    min: 0,
    max: 3_600_000,
    meaning: 'time that an orderly stop gives leadership to move',
    isLive: false,
  },
  retentionCheckMs: {
    flag: 'retention-check-ms',
    fallback: 5_000,
    min: 10,
    max: 86_400_000,
    meaning: 'pause between looks at what may be retired',
    isLive: true,
  },
  // A pass reads a log three times and what it writes once more: at this rate 1 GiB takes three
  // minutes.
  compactionBytesPerSecond: {
    flag: 'compaction-bytes-per-second',
    fallback: 32 * MIB,
    min: 64 * 1024,
    max: 1_048_576 * MIB,
    meaning: 'most bytes that compaction of all logs reads and writes in a second',
    isLive: true,
  },
  compactionMemoryBytes: {
    flag: 'compaction-memory-bytes',
    fallback: 0,
    min: 0,
    max: 16_384 * MIB,
    meaning:
      'memory for the keys of a pass of compaction, which takes more scans with less; 0: a thirty-second of what the container has, 64 MiB at most',
    isLive: false,
  },
} as const satisfies Record<string, NumberOption>;

/** Values of `log-level`, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** Least severe first. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The level that a logger runs with. Whatever was set, warnings and worse are told: what a cluster
 * is in danger of must not be hidden by an option that anybody who administers it can change.
 */
export function loggedLevel(level: LogLevel): LogLevel {
  return level === 'error' || level === 'silent' ? 'warn' : level;
}

/** Log levels are live: a person who hunts a fault must not have to restart it away. */
export const LOG_LEVEL_OPTION = {
  flag: 'log-level',
  fallback: 'info',
  meaning: `least severe messages that are logged: ${LOG_LEVELS.slice(0, -1).join(', ')} or ${LOG_LEVELS.at(-1)}`,
  isLive: true,
} as const;

type NumberName = keyof typeof NUMBER_OPTIONS;
type LiveNumberName = {
  [Name in NumberName]: (typeof NUMBER_OPTIONS)[Name]['isLive'] extends true ? Name : never;
}[NumberName];

/** Values of the options that a running broker takes anew. */
export type LiveValues = Readonly<Record<LiveNumberName, number>> & { readonly logLevel: LogLevel };

const LIVE_NUMBERS = (Object.keys(NUMBER_OPTIONS) as NumberName[]).filter(
  (name): name is LiveNumberName => NUMBER_OPTIONS[name].isLive,
);

/** Flags of the live options. */
export const LIVE_FLAGS: readonly string[] = [
  LOG_LEVEL_OPTION.flag,
  ...LIVE_NUMBERS.map((name) => NUMBER_OPTIONS[name].flag),
];

/** Two heartbeats may be lost before a live broker is taken for dead. */
export const HEARTBEATS_PER_SESSION_MIN = 3;

/** Environment variable of an option: `session-timeout-ms` is TIDEMARK_SESSION_TIMEOUT_MS. */
export function optionVariable(flag: string): string {
  return `TIDEMARK_${flag.replaceAll('-', '_').toUpperCase()}`;
}

/** The number that these digits write; NaN for anything else, such as `1e3`, `0x10` or ` 5`. */
export function wholeNumber(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** What is wrong with the text of a number, or null. */
export function numberFault({ flag, min, max }: NumberOption, text: string): string | null {
  const value = wholeNumber(text);
  if (value >= min && value <= max) return null;
  return `${flag} is '${text}', must be a whole number from ${min} to ${max}`;
}

/** What is wrong with the text of a log level, or null. */
export function logLevelFault(text: string): string | null {
  if (isLogLevel(text)) return null;
  return `${LOG_LEVEL_OPTION.flag} is '${text}', must be one of ${LOG_LEVELS.join(', ')}`;
}

function isLogLevel(text: string): text is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}

/** What is wrong with an option that is to be set for a running cluster: one sentence a fault. */
export function liveOptionFaults(flag: string, text: string): string[] {
  if (!LIVE_FLAGS.includes(flag))
    return [`${flag} is not a live option, must be one of ${LIVE_FLAGS.join(', ')}`];
  const option = Object.values(NUMBER_OPTIONS).find((each) => each.flag === flag);
  const fault = option === undefined ? logLevelFault(text) : numberFault(option, text);
  if (fault !== null) return [fault];
  if (option !== NUMBER_OPTIONS.votersMax) return [];
  return optionRelationFaults({
    heartbeatMs: NUMBER_OPTIONS.heartbeatMs.fallback,
    sessionTimeoutMs: NUMBER_OPTIONS.sessionTimeoutMs.fallback,
    votersMax: Number(text),
  });
}

/**
 * What a broker runs with: its own values, and over them what the settings of its cluster say. What
 * this build does not know, or could not have set, it leaves aside: another build judged it.
 *
 * @param settings texts by flag
 */
export function liveValues(
  own: LiveValues,
  settings: Readonly<Record<string, string>>,
): LiveValues {
  const given = (flag: string): string | undefined => {
    const text = settings[flag];
    return text !== undefined && liveOptionFaults(flag, text).length === 0 ? text : undefined;
  };
  const numbers = Object.fromEntries(
    LIVE_NUMBERS.map((name) => [name, Number(given(NUMBER_OPTIONS[name].flag) ?? own[name])]),
  ) as Record<LiveNumberName, number>;
  const level = given(LOG_LEVEL_OPTION.flag) ?? own.logLevel;
  return { ...numbers, logLevel: isLogLevel(level) ? level : own.logLevel };
}

/** What is wrong between options that are each within their bounds: one sentence a fault. */
export function optionRelationFaults(values: {
  readonly heartbeatMs: number;
  readonly sessionTimeoutMs: number;
  readonly votersMax: number;
}): string[] {
  const { heartbeatMs, sessionTimeoutMs, votersMax } = values;
  const faults: string[] = [];
  const sessionMin = heartbeatMs * HEARTBEATS_PER_SESSION_MIN;
  if (sessionTimeoutMs < sessionMin) {
    faults.push(
      `session-timeout-ms is ${sessionTimeoutMs}, must be at least three times heartbeat-ms (${sessionMin})`,
    );
  }
  // An even number of voters tolerates no more losses than one fewer.
  if (votersMax % 2 === 0) faults.push(`voters-max is ${votersMax}, must be 1, 3 or 5`);
  return faults;
}
