/**
 * `spec.config`: the broker's own option table as a schema, so that the API server refuses what a
 * broker would refuse. Pure. Left out are the options that the operator itself sets for each pod. A
 * field is the flag's name in camel case: `session-timeout-ms` is `sessionTimeoutMs`.
 */
import {
  HEARTBEATS_PER_SESSION_MIN,
  LIVE_FLAGS,
  LOG_LEVEL_OPTION,
  LOG_LEVELS,
  NUMBER_OPTIONS,
  optionVariable,
} from '../../base/broker-options.ts';
import type { NumberOption, optionRelationFaults } from '../../base/broker-options.ts';
import { choice, integer } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { BrokerConfig } from './types.ts';

/** The operator needs the probes' port to be the one it probes. */
const SET_BY_OPERATOR: readonly string[] = [NUMBER_OPTIONS.httpPort.flag];

const numberOptions: readonly NumberOption[] = Object.values(NUMBER_OPTIONS).filter(
  ({ flag }) => !SET_BY_OPERATOR.includes(flag),
);

function fieldOf(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function effectOf(isLive: boolean): string {
  return isLive
    ? 'A change takes effect at once.'
    : 'A change restarts the brokers one after the other.';
}

function sentence(meaning: string): string {
  return `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`;
}

const flags = [...numberOptions.map(({ flag }) => flag), LOG_LEVEL_OPTION.flag];

/** Environment variable of every field of `spec.config` that a broker reads at its start alone. */
export const CONFIG_VARIABLES: ReadonlyMap<string, string> = new Map(
  flags
    .filter((flag) => !LIVE_FLAGS.includes(flag))
    .map((flag) => [fieldOf(flag), optionVariable(flag)]),
);

/** Flag of every field of `spec.config` that brokers take while they run. */
export const LIVE_FIELDS: ReadonlyMap<string, string> = new Map(
  flags.filter((flag) => LIVE_FLAGS.includes(flag)).map((flag) => [fieldOf(flag), flag]),
);

/** What a configuration sets for running brokers: texts by flag. */
export function liveOptions(config: BrokerConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...LIVE_FIELDS].flatMap(([field, flag]) =>
      config[field] === undefined ? [] : [[flag, String(config[field])]],
    ),
  );
}

/**
 * Milliseconds that an orderly stop of a broker with this configuration gives leadership to move.
 */
export function stopTimeoutMs(config: BrokerConfig): number {
  const { flag, fallback } = NUMBER_OPTIONS.stopTimeoutMs;
  return Number(config[fieldOf(flag)] ?? fallback);
}

/** CEL for the value of an option, its default where it is absent. */
function valueCel({ flag, fallback }: NumberOption): string {
  const field = `self.${fieldOf(flag)}`;
  return `(has(${field}) ? ${field} : ${fallback})`;
}

/** CEL for {@link stopTimeoutMs}, over a whole spec. */
export const STOP_TIMEOUT_CEL = valueCel(NUMBER_OPTIONS.stopTimeoutMs).replaceAll(
  'self.',
  'self.config.',
);

/** Options between which the broker knows a relation: `optionRelationFaults` of the table. */
function relatedValues(config: BrokerConfig): Parameters<typeof optionRelationFaults>[0] {
  const value = ({ flag, fallback }: NumberOption): number =>
    Number(config[fieldOf(flag)] ?? fallback);
  return {
    heartbeatMs: value(NUMBER_OPTIONS.heartbeatMs),
    sessionTimeoutMs: value(NUMBER_OPTIONS.sessionTimeoutMs),
    votersMax: value(NUMBER_OPTIONS.votersMax),
  };
}

const heartbeat = valueCel(NUMBER_OPTIONS.heartbeatMs);
const session = valueCel(NUMBER_OPTIONS.sessionTimeoutMs);
const voters = valueCel(NUMBER_OPTIONS.votersMax);

const RELATIONS: readonly Rule[] = [
  {
    cel: `${session} >= ${heartbeat} * ${HEARTBEATS_PER_SESSION_MIN}`,
    message: 'sessionTimeoutMs is %s, must be at least three times heartbeatMs (%s)',
    values: [session, `${heartbeat} * ${HEARTBEATS_PER_SESSION_MIN}`],
    fieldPath: '.sessionTimeoutMs',
    check: (config: BrokerConfig) => {
      const { heartbeatMs, sessionTimeoutMs } = relatedValues(config);
      const sessionMin = heartbeatMs * HEARTBEATS_PER_SESSION_MIN;
      return sessionTimeoutMs >= sessionMin ? null : [sessionTimeoutMs, sessionMin];
    },
  },
  {
    cel: `${voters} % 2 == 1`,
    message: 'votersMax is %s, must be 1, 3 or 5',
    values: [voters],
    fieldPath: '.votersMax',
    check: (config: BrokerConfig) => {
      const { votersMax } = relatedValues(config);
      return votersMax % 2 === 1 ? null : [votersMax];
    },
  },
];

export const brokerConfigSchema: Schema = {
  type: 'object',
  description:
    "Options of the brokers, by the flag's name in camel case. Absent ones take the broker's default. Live ones are settings of the whole cluster, and what was set by hand is set back to what stands here.",
  default: {},
  properties: {
    ...Object.fromEntries(
      numberOptions.map(({ flag, fallback, min, max, meaning, isLive }) => [
        fieldOf(flag),
        integer(`${sentence(meaning)} Default: ${fallback}. ${effectOf(isLive)}`, min, max),
      ]),
    ),
    [fieldOf(LOG_LEVEL_OPTION.flag)]: choice(
      `Least severe messages that are logged. Default: info. ${effectOf(LOG_LEVEL_OPTION.isLive)}`,
      LOG_LEVELS,
    ),
  },
  rules: RELATIONS,
};
