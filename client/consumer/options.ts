/** What a consumer's options may be. Rejects, never repairs, and reports every fault at once. */
import { PARTITIONS_PER_TOPIC_MAX, TIMESTAMP_MS_MAX } from '../../base/limits.ts';
import {
  type Check,
  checkArgument,
  refuseFaults,
  shown,
  count,
  fault,
  flag,
  listOf,
  named,
  oneOf,
  optional,
  shape,
  size,
  text,
  whole,
} from '../check.ts';
import type { AnyTopic } from '../codecs.ts';
import type { ConsumerOptions, ParallelOptions } from './types.ts';

const partition = whole(0, PARTITIONS_PER_TOPIC_MAX - 1);

const POINTS = [
  oneOf('earliest', 'latest'),
  shape({ offset: size }),
  shape({ timestampMs: whole(0, TIMESTAMP_MS_MAX) }),
];

/** Where reading starts. The faults of an object are those of the shape that its key names. */
export const START: Check = (value, name) => {
  if (typeof value === 'object' && value !== null && 'offset' in value)
    return POINTS[1]!(value, name);
  if (typeof value === 'object' && value !== null && 'timestampMs' in value)
    return POINTS[2]!(value, name);
  const allowed = 'earliest, latest, { offset } or { timestampMs }';
  return POINTS[0]!(value, name).length === 0 ? [] : [fault(name, value, allowed)];
};

/** A name, or what `topic()` made. */
export const topicOrCodecs: Check = (value, name) => {
  const isTyped =
    typeof value === 'object' && value !== null && 'name' in value && 'value' in value;
  if (isTyped || named(value, name).length === 0) return [];
  return [fault(name, value, 'a name, or what topic() made')];
};

const OPTIONS = shape({
  topic: optional(topicOrCodecs),
  topics: optional(listOf(topicOrCodecs)),
  partitions: optional(listOf(partition)),
  from: optional(START),
  positions: optional(
    listOf(
      shape({
        topic: optional(named),
        topicId: optional(named),
        partition,
        offset: size,
        leaderEpoch: count,
      }),
    ),
  ),
  group: optional(named),
  commitMs: optional(whole(10, 60_000)),
  follow: optional(flag),
  onReset: optional(oneOf('fail', 'earliest', 'latest')),
  onUndecodable: optional(oneOf('throw', 'skip')),
  onLoss: optional(oneOf('throw', 'yield')),
  onDeletionsMissed: optional(oneOf('throw', 'pass')),
  rack: optional(text),
  bufferBytesMax: optional(whole(64 * 1024, 1024 ** 3)),
});

/** Throws INVALID_ARGUMENT. */
export function checkConsumerOptions(options: unknown): void {
  checkArgument('make consumer', OPTIONS, options);
  refuseFaults('make consumer', faultsOfTopics(options as ConsumerOptions<string | AnyTopic>));
}

function faultsOfTopics(options: ConsumerOptions<string | AnyTopic>): readonly string[] {
  const { topic: one, topics, positions = [], group, commitMs } = options;
  if (group !== undefined && options.positions !== undefined)
    return ['group and positions are both given'];
  if (group === undefined && commitMs !== undefined) return ['commitMs is given without group'];
  if (topics === undefined && one === undefined) return topicOrCodecs(undefined, 'topic');
  if (topics !== undefined && one !== undefined) return ['topic and topics are both given'];
  const given = topics ?? (one === undefined ? [] : [one]);
  const names = given.map((each) => (typeof each === 'string' ? each : each.name));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  return [
    ...(names.length === 0 ? ['topics is an array of 0, must hold one or more'] : []),
    ...(twice === undefined ? [] : [`topics holds ${shown(twice)} twice`]),
    ...positions.flatMap(({ topic: of }, at) => {
      if (of === undefined)
        return names.length > 1 ? [`positions[${at}].topic is undefined, must be a topic`] : [];
      return names.includes(of)
        ? []
        : [`positions[${at}].topic is ${shown(of)}, which is not read`];
    }),
  ];
}

/** Handlers that run at a time where nothing is said, and most that may. */
export const HANDLERS_DEFAULT = 64;
export const HANDLERS_MAX = 10_000;
/** Most records that `Consumer.parallel` keeps track of. */
export const PARALLEL_RECORDS_MAX = 1_000_000;

const PARALLEL = shape({
  by: optional(oneOf('key', 'partition')),
  max: optional(whole(1, HANDLERS_MAX)),
  recordsMax: optional(whole(1, PARALLEL_RECORDS_MAX)),
});

/** Throws INVALID_ARGUMENT. */
export function checkParallel(options: unknown, handler: unknown): void {
  checkArgument('handle records', PARALLEL, options);
  const { max = HANDLERS_DEFAULT, recordsMax = PARALLEL_RECORDS_MAX } = options as ParallelOptions;
  refuseFaults('handle records', [
    ...(typeof handler === 'function' ? [] : [fault('handler', handler, 'a function')]),
    ...(recordsMax >= max
      ? []
      : [fault('recordsMax', recordsMax, `at least max, which is ${max}`)]),
  ]);
}
