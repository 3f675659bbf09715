/** What the options of a member may be. Rejects, never repairs, and reports every fault at once. */
import {
  GROUP_RETURN_MS_MAX,
  GROUP_SESSION_MS_MAX,
  GROUP_TOPICS_MAX,
  NAME_LENGTH_MAX,
  PARTITIONS_PER_TOPIC_MAX,
} from '../../base/limits.ts';
import {
  callable,
  type Check,
  checkArgument,
  count,
  fault,
  listOf,
  named,
  oneOf,
  optional,
  refuseFaults,
  shape,
  shown,
  size,
  text,
  whole,
} from '../check.ts';
import type { AnyTopic } from '../codecs.ts';
import { HANDLERS_MAX, PARALLEL_RECORDS_MAX } from '../consumer/options.ts';
import type { GroupOptions, RunOptions } from './types.ts';

/** Twice the session of a broker with its default; a broker with another says so itself. */
const SESSION_MS_LEAST = 6_000;
export const SESSION_MS_DEFAULT = 30_000;
export const GRACE_MS_DEFAULT = 3_000;
export const RELEASE_MS_DEFAULT = 30_000;
export const COMMIT_MS_DEFAULT = 1_000;

/** A name, the beginning of names, or what `topic()` made. */
const topic: Check = (value, name) => {
  const isTyped =
    typeof value === 'object' && value !== null && 'name' in value && 'value' in value;
  if (isTyped || named(value, name).length === 0) return [];
  return [
    fault(name, value, 'a name, the beginning of names such as orders-*, or what topic() made'),
  ];
};

const short: Check = (value, name) => {
  const faults = text(value, name);
  if (faults.length > 0 || (value as string).length <= NAME_LENGTH_MAX) return faults;
  return [
    `${name} has ${(value as string).length} characters, must have at most ${NAME_LENGTH_MAX}`,
  ];
};

const OPTIONS = shape({
  topics: listOf(topic),
  instanceId: optional(named),
  returnMs: optional(whole(0, GROUP_RETURN_MS_MAX)),
  rack: optional(short),
  assignor: optional(oneOf('balanced', 'rack-aware', 'range')),
  sessionMs: optional(whole(SESSION_MS_LEAST, GROUP_SESSION_MS_MAX)),
  graceMs: optional(whole(0, GROUP_SESSION_MS_MAX)),
  releaseMs: optional(whole(1_000, 600_000)),
  from: optional(oneOf('earliest', 'latest')),
  commitMs: optional(whole(10, 60_000)),
  client: optional(short),
  onReset: optional(oneOf('fail', 'earliest', 'latest')),
  onUndecodable: optional(oneOf('throw', 'skip')),
  onLoss: optional(oneOf('throw', 'yield')),
  bufferBytesMax: optional(whole(64 * 1024, 1024 ** 3)),
  onAssigned: optional(callable),
  onRevoked: optional(callable),
  onLost: optional(callable),
  onFailed: optional(callable),
});

const DOING = 'make member of a group';

/** Throws INVALID_ARGUMENT. */
export function checkGroupOptions(group: unknown, options: unknown): void {
  checkArgument(DOING, named, group, 'group');
  checkArgument(DOING, OPTIONS, options);
  refuseFaults(DOING, faultsBetween(options as GroupOptions<string | AnyTopic>));
}

function faultsBetween(options: GroupOptions<string | AnyTopic>): readonly string[] {
  const { topics, instanceId, returnMs = 0 } = options;
  const { sessionMs = SESSION_MS_DEFAULT, graceMs = GRACE_MS_DEFAULT } = options;
  const names = topics.map((each) => (typeof each === 'string' ? each : each.name));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  const typed = topics.filter((each) => typeof each !== 'string');
  const beginning = typed.find(({ name }) => name.endsWith('*'));
  return [
    ...(names.length >= 1 && names.length <= GROUP_TOPICS_MAX
      ? []
      : [`topics is an array of ${names.length}, must hold 1 to ${GROUP_TOPICS_MAX}`]),
    ...(twice === undefined ? [] : [`topics holds ${shown(twice)} twice`]),
    ...(beginning === undefined
      ? []
      : [`topics holds ${shown(beginning.name)} with codecs, must be the name of one topic`]),
    ...(returnMs === 0 || instanceId !== undefined
      ? []
      : [`returnMs is ${returnMs}, must be 0 without instanceId`]),
    ...(graceMs <= sessionMs
      ? []
      : [fault('graceMs', graceMs, `at most sessionMs, which is ${sessionMs}`)]),
  ];
}

const RUN = shape({
  concurrency: optional(whole(1, HANDLERS_MAX)),
  order: optional(oneOf('key', 'partition', 'none')),
  recordsMax: optional(whole(1, PARALLEL_RECORDS_MAX)),
});

/** Throws INVALID_ARGUMENT. */
export function checkRun(handler: unknown, options: unknown): void {
  const doing = 'handle records';
  checkArgument(doing, RUN, options);
  const { concurrency = 1, recordsMax = PARALLEL_RECORDS_MAX } = options as RunOptions;
  refuseFaults(doing, [
    ...(typeof handler === 'function' ? [] : [fault('handler', handler, 'a function')]),
    ...(recordsMax >= concurrency
      ? []
      : [fault('recordsMax', recordsMax, `at least concurrency, which is ${concurrency}`)]),
  ]);
}

const partition = whole(0, PARTITIONS_PER_TOPIC_MAX - 1);

/** Positions that a program gives. */
export const POSITIONS = listOf(
  shape({
    topic: named,
    topicId: optional(named),
    partition,
    offset: size,
    leaderEpoch: optional(count),
  }),
);

/** Partitions that a program names. */
export const PARTITIONS = listOf(shape({ topic: named, partitions: optional(listOf(partition)) }));
