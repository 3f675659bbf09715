/** What the options of a queue's member may be. Rejects, never repairs, and reports every fault. */
import { GROUP_SESSION_MS_MAX, NAME_LENGTH_MAX, QUEUE_DELAY_MS_MAX } from '../../base/limits.ts';
import {
  callable,
  checkArgument,
  fault,
  named,
  oneOf,
  optional,
  refuseFaults,
  shape,
  whole,
} from '../check.ts';
import { HANDLERS_MAX, topicOrCodecs } from '../consumer/options.ts';
import { short } from './job-options.ts';
import type { QueueRunOptions } from './types.ts';

const RECORDS_MAX = 10_000;
export const BYTES_DEFAULT = 8 * 1024 * 1024;
export const GRACE_MS_DEFAULT = 3_000;
export const RELEASE_MS_DEFAULT = 30_000;
export const DELAY_MS_MAX_DEFAULT = 60_000;

const OPTIONS = shape({
  topic: optional(topicOrCodecs),
  recordsMax: optional(whole(1, RECORDS_MAX)),
  bytesMax: optional(whole(64 * 1024, 1024 ** 3)),
  graceMs: optional(whole(0, GROUP_SESSION_MS_MAX)),
  onUndecodable: optional(oneOf('throw', 'reject')),
  onLost: optional(callable),
  client: optional(short(NAME_LENGTH_MAX)),
});

const DOING = 'make member of a queue';

/** Throws INVALID_ARGUMENT. */
export function checkQueueOptions(queue: unknown, options: unknown): void {
  checkArgument(DOING, named, queue, 'queue');
  checkArgument(DOING, OPTIONS, options);
}

const RUN = shape({
  concurrency: optional(whole(1, HANDLERS_MAX)),
  delayMsMax: optional(whole(0, QUEUE_DELAY_MS_MAX)),
  onError: optional(callable),
  releaseMs: optional(whole(0, 3_600_000)),
});

/** Throws INVALID_ARGUMENT. @param recordsMax of the member; undefined: as many as it needs */
export function checkQueueRun(
  handler: unknown,
  options: unknown,
  recordsMax: number | undefined,
): void {
  const doing = 'handle records';
  checkArgument(doing, RUN, options);
  const { concurrency = 1 } = options as QueueRunOptions;
  refuseFaults(doing, [
    ...(typeof handler === 'function' ? [] : [fault('handler', handler, 'a function')]),
    ...(recordsMax === undefined || recordsMax >= concurrency
      ? []
      : [fault('concurrency', concurrency, `at most recordsMax, which is ${recordsMax}`)]),
  ]);
}
