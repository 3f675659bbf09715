/**
 * Options of a broker that concern a whole cluster rather than one process: one table, read by the broker (flags and environment) and by the operator
 * (`spec.config`, whose schema is generated from it), and the relations between them. Pure. Must not know where a value came from or how it is applied.
 */

/** One option with a whole number. Bounds are inclusive. */
export interface NumberOption {
  /** Name on the command line; {@link optionVariable} gives the environment variable. */
  readonly flag: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
  /** May a running broker take a new value? Where it may not, a change of `spec.config` restarts the brokers. */
  readonly isLive: boolean;
}

const MIB = 1024 * 1024;

/** Numbers. No broker reads its options again after its start, so none is live. */
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
  // A killed process is found by its connection; only a silent one (stopped, cut off, hung) takes this long.
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
    isLive: false,
  },
  voterReplaceMs: {
    flag: 'voter-replace-ms',
    fallback: 10_000,
    min: 0,
    max: 86_400_000,
    meaning: 'absence after which another broker takes a metadata vote',
    isLive: false,
  },
  votersMax: {
    flag: 'voters-max',
    fallback: 3,
    min: 1,
    max: 5,
    meaning: 'metadata voters: 1, 3 or 5',
    isLive: false,
  },
  flushIntervalMs: {
    flag: 'flush-interval-ms',
    fallback: 1_000,
    min: 10,
    max: 600_000,
    meaning: 'longest time that written bytes stay unsynced',
    isLive: false,
  },
  flushBytes: {
    flag: 'flush-bytes',
    fallback: 16 * MIB,
    min: 4_096,
    max: 1024 * MIB,
    meaning: 'most written bytes of a partition that stay unsynced',
    isLive: false,
  },
  tailCacheBytes: {
    flag: 'tail-cache-bytes',
    fallback: 32 * MIB,
    min: MIB,
    max: 16_384 * MIB,
    meaning: 'memory for the newest batches of all partitions',
    isLive: false,
  },
  reserveBytes: {
    flag: 'disk-reserve-bytes',
    fallback: 256 * MIB,
    min: 0,
    max: 1_048_576 * MIB,
    meaning: 'free space below which appends are refused',
    isLive: false,
  },
  produceWindowBytes: {
    flag: 'produce-window-bytes',
    fallback: 16 * MIB,
    min: MIB,
    max: 1024 * MIB,
    meaning: 'unanswered bytes of one produce stream',
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
    isLive: false,
  },
} as const satisfies Record<string, NumberOption>;

/** Values of `log-level`, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** Least severe first. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Two heartbeats may be lost before a live broker is taken for dead. */
export const HEARTBEATS_PER_SESSION_MIN = 3;

/** Environment variable of an option: `session-timeout-ms` is TIDEMARK_SESSION_TIMEOUT_MS. */
export function optionVariable(flag: string): string {
  return `TIDEMARK_${flag.replaceAll('-', '_').toUpperCase()}`;
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
