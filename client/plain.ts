/**
 * Appending and reading by plain calls, which any broker takes and hands on to the leaders: the
 * given servers are dialled and no other, so one address is enough, such as a forwarded port or one
 * load balancer. Must not ask who leads what.
 */
import { APPEND_RECORDS_MAX } from '../base/limits.ts';
import { AdminServiceService } from '../proto/gen/tidemark/v1/admin.ts';
import {
  AckLevel,
  type AppendRecord,
  type Cursor,
  LogServiceService,
  type ReadRequest,
  type ReadResponse,
} from '../proto/gen/tidemark/v1/log.ts';
import { aborted, type CallControl, orAborted } from './abort.ts';
import {
  checkArgument,
  count,
  flag,
  listOf,
  named,
  oneOf,
  optional,
  shape,
  signal as isSignal,
  size,
  whole,
} from './check.ts';
import type { Connections, UnaryMethod } from './connections.ts';
import type { ConsumedRecord, StartFrom } from './consumer/types.ts';
import { fromCall, fromWire, TidemarkError } from './errors.ts';
import { pointOf } from './groups.ts';
import { lossesOf, type LossRange } from './losses.ts';
import type { Acks, ProducerRecord } from './producer/types.ts';
import { bytesOf, headersOf } from './values.ts';

/** A record to append; its topic is the call's. */
export type PlainRecord = Omit<ProducerRecord, 'topic' | 'context'>;

/** How an append goes about it. */
export interface PlainAppendOptions extends CallControl {
  /** Default `all`. */
  readonly acks?: Acks | undefined;
  /** For all of it, 100 ms to 4 minutes. Default 30 s. */
  readonly timeoutMs?: number | undefined;
}

/** What became of one record. */
export interface PlainResult {
  readonly partition: number;
  /** -1: not appended, or not known, as with acks `none`. */
  readonly offset: number;
  /** Undefined: it was appended. Else ask `effect` before sending it again. */
  readonly error: TidemarkError | undefined;
}

/** What to read. */
export interface PlainReadOptions extends CallControl {
  /** Default: all. */
  readonly partitions?: readonly number[] | undefined;
  /** Default `earliest`. */
  readonly from?: StartFrom | undefined;
  /** False: stop at what was committed when reading began. Default true. */
  readonly follow?: boolean | undefined;
}

/** What came in one message. */
export interface PlainPart {
  /** Offsets rise within a partition. */
  readonly records: readonly ConsumedRecord[];
  /** What unclean elections may have taken before these records. */
  readonly losses: readonly LossRange[];
}

const APPEND_TIMEOUT_MS = 30_000;
const LOOK_TIMEOUT_MS = 1_000;
/** A failover takes less. */
const TRIES_MAX = 20;
const READ: UnaryMethod<ReadRequest, ReadResponse> = LogServiceService.read;
const ACK_LEVELS = {
  none: AckLevel.ACK_LEVEL_NONE,
  leader: AckLevel.ACK_LEVEL_LEADER,
  all: AckLevel.ACK_LEVEL_ALL,
} as const;

const APPEND_OPTIONS = shape({
  acks: optional(oneOf('none', 'leader', 'all')),
  timeoutMs: optional(whole(100, 240_000)),
  signal: optional(isSignal),
});
const READ_OPTIONS = shape({
  partitions: optional(listOf(count)),
  from: optional((value, name) =>
    value === 'earliest' || value === 'latest'
      ? []
      : shape({ offset: optional(size), timestampMs: optional(size) })(value, name),
  ),
  follow: optional(flag),
  signal: optional(isSignal),
});

/** Made by `Tidemark.plain`. */
export class PlainCalls {
  readonly #connections: Connections;
  readonly #servers: readonly string[];
  /** That answered last. */
  #server: string | undefined;

  /** Use `Tidemark.plain`. */
  constructor(connections: Connections, servers: readonly string[]) {
    this.#connections = connections;
    this.#servers = [...servers];
  }

  /**
   * Appends records, at most 4 MiB together, each to the partition of its key. Resolves to what
   * became of each, in their order. A call of which nobody knows what it did is not made again:
   * there is no producer's sequence to tell a record that comes twice. Rejects with effect
   * `unknown` then; else with UNREACHABLE, or as the broker refused all of it.
   */
  async append(
    topic: string,
    records: readonly PlainRecord[],
    options: PlainAppendOptions = {},
  ): Promise<readonly PlainResult[]> {
    checkArgument('append', named, topic, 'topic');
    checkArgument('append', APPEND_OPTIONS, options, 'options');
    if (records.length === 0) return [];
    if (records.length > APPEND_RECORDS_MAX)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot append: records are ${records.length}, must be at most ${APPEND_RECORDS_MAX}`,
      );
    const { acks = 'all', timeoutMs = APPEND_TIMEOUT_MS, signal } = options;
    const { clock } = this.#connections;
    const nowMs = clock.wallMs();
    const encoded = records.map((record) => messageOf(record, nowMs));
    const request = { topic, records: encoded, acks: ACK_LEVELS[acks], condition: undefined };
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const server = await this.#findServer();
        const leftMs = deadlineMs - clock.monotonicMs();
        const control = { timeoutMs: leftMs, ...(signal && { signal }) };
        const sent = this.#connections.unary(server, LogServiceService.append, request, control);
        const { results } = await orAborted(sent, signal, 'append', 'unknown');
        return results.map(({ partition, offset = -1, error }) => ({
          partition,
          offset,
          error: error === undefined ? undefined : fromWire(error),
        }));
      } catch (error) {
        await this.#pause(fromCall(error, this.#named), attempt, { deadlineMs, signal });
      }
    }
  }

  /**
   * Reads records as they come. Goes on at the same places where a server fails. Rejects as a
   * consumer does: OFFSET_OUT_OF_RANGE, POSITION_DIVERGED, UNKNOWN_TOPIC.
   */
  async *read(topic: string, options: PlainReadOptions = {}): AsyncGenerator<PlainPart, void> {
    checkArgument('read', named, topic, 'topic');
    checkArgument('read', READ_OPTIONS, options, 'options');
    const { partitions = [], from = 'earliest', follow = true, signal } = options;
    const cursors = new Map<number, Cursor>();
    const place = {
      topic,
      partitions: [...partitions],
      start: pointOf(from),
      maxRecords: 0,
      follow,
    };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const request = { ...place, cursors: [...cursors.values()] };
        for await (const response of this.#readOnce(request, signal)) {
          attempt = 0;
          response.cursors.forEach((cursor) => cursors.set(cursor.partition, cursor));
          yield partOf(topic, response);
        }
        return;
      } catch (error) {
        await this.#pause(fromCall(error, this.#named), attempt, { signal });
      }
    }
  }

  /** One call, which is over when its reader is. */
  async *#readOnce(
    request: ReadRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ReadResponse, void> {
    const call = this.#connections.stream(await this.#findServer(), READ);
    const cancel = (): void => call.cancel();
    // After its last message nobody asks how it ended.
    call.on('error', () => undefined);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      call.write(request);
      call.end();
      yield* call as AsyncIterable<ReadResponse>;
    } finally {
      signal?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  get #named(): string {
    return this.#servers.join(', ');
  }

  /** Before anything is asked for that must not be done twice. */
  async #findServer(): Promise<string> {
    if (this.#server !== undefined) return this.#server;
    let last: TidemarkError | undefined;
    for (const server of this.#servers) {
      try {
        const look = { timeoutMs: LOOK_TIMEOUT_MS };
        await this.#connections.unary(server, AdminServiceService.describeCluster, {}, look);
      } catch (error) {
        last = fromCall(error, server);
        if (last.code === 'UNREACHABLE' || last.code === 'TIMED_OUT') continue;
      }
      this.#server = server;
      return server;
    }
    throw new TidemarkError(
      'UNREACHABLE',
      last?.message ?? `Cannot reach ${this.#named}`,
      'same',
      { effect: 'none' },
      last,
    );
  }

  /** Throws where trying again is no use, or might do something twice. */
  async #pause(
    error: TidemarkError,
    attempt: number,
    { deadlineMs, signal }: { deadlineMs?: number; signal: AbortSignal | undefined },
  ): Promise<void> {
    if (signal?.aborted === true) throw aborted('go on', signal, error.effect);
    if (error.code === 'UNREACHABLE' || error.code === 'TIMED_OUT') this.#server = undefined;
    const isSafe = deadlineMs === undefined || error.effect === 'none';
    const pauseMs = Math.max(error.details.retryAfterMs ?? 0, this.#connections.backoffMs(attempt));
    const isLate =
      deadlineMs !== undefined && this.#connections.clock.monotonicMs() + pauseMs >= deadlineMs;
    if (error.retry === 'no' || !isSafe || isLate || attempt >= TRIES_MAX) throw error;
    await this.#connections.sleep(pauseMs);
  }
}

function messageOf(record: PlainRecord, nowMs: number): AppendRecord {
  const { partition, key, value, headers, timestampMs = nowMs } = record;
  return {
    partition,
    key: key === undefined ? undefined : bytesOf(key, 'key'),
    value: value === null ? new Uint8Array(0) : bytesOf(value, 'value'),
    headers: [...(headersOf(headers) ?? [])],
    timestampMs,
    tombstone: value === null,
  };
}

function partOf(topic: string, { records, losses }: ReadResponse): PlainPart {
  return {
    records: records.map(({ tombstone, key, value, ...rest }) => ({
      topic,
      ...rest,
      key,
      value: tombstone ? null : value,
    })),
    losses: lossesOf(losses),
  };
}
