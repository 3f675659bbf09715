/** What the fake cluster keeps of groups: cursors that only rise, and seeks that move them. */
import type { sendUnaryData } from '@grpc/grpc-js';
import type { ErrorCode } from '../../../base/errors.ts';
import {
  type CommitCursorsRequest,
  type CursorOutcome,
  type DeleteGroupRequest,
  type DescribeGroupRequest,
  type DescribeGroupResponse,
  type FetchCursorsRequest,
  type GroupCursor,
  GroupServiceService,
  type SeekGroupRequest,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import type { Error as WireError } from '../../../proto/gen/tidemark/v1/errors.ts';

type Done = sendUnaryData<unknown>;

export class FakeGroups {
  /** By group, then partition. */
  readonly cursors = new Map<string, Map<number, GroupCursor>>();
  /** What a description says beside cursors. */
  described: Pick<DescribeGroupResponse, 'epoch' | 'status' | 'assignor' | 'members'> = {
    ...{ epoch: 0, status: '', assignor: '', members: [] },
  };
  /** Answers in place of the next calls, by method. */
  readonly refusals: { readonly method: string; readonly code: ErrorCode }[] = [];
  /** Why seeks move nothing, and lags are not known; null: they do, and are. */
  fault: ErrorCode | null = null;
  /** Why the next lists lack some. */
  readonly missing: ErrorCode[] = [];
  readonly calls: { readonly method: string; readonly request: unknown }[] = [];
  readonly #fail: (done: Done, code: ErrorCode) => void;
  readonly #error: (code: ErrorCode) => WireError;

  constructor(fail: (done: Done, code: ErrorCode) => void, error: (code: ErrorCode) => WireError) {
    this.#fail = fail;
    this.#error = error;
  }

  readonly definition = GroupServiceService;

  /** Where the group stands. */
  offsets(group: string): Record<number, number> {
    const found = [...(this.cursors.get(group)?.values() ?? [])];
    return Object.fromEntries(found.map(({ partition, offset }) => [partition, offset]));
  }

  put(group: string, cursor: GroupCursor): void {
    const found = this.cursors.get(group) ?? new Map<number, GroupCursor>();
    this.cursors.set(group, found.set(cursor.partition, cursor));
  }

  handlers(): Record<string, unknown> {
    const taken = (
      method: string,
      answer: (request: never, done: Done) => void,
    ): readonly [string, unknown] => [
      method,
      ({ request }: { request: never }, done: Done) => {
        this.calls.push({ method, request });
        const at = this.refusals.findIndex((refusal) => refusal.method === method);
        const [refusal] = at < 0 ? [] : this.refusals.splice(at, 1);
        if (refusal === undefined) answer(request, done);
        else this.#fail(done, refusal.code);
      },
    ];
    const handlers: readonly (readonly [string, unknown])[] = [
      taken('commitCursors', ({ group, cursors }: CommitCursorsRequest, done) =>
        done(null, { outcomes: cursors.map((cursor) => this.#commit(group, cursor)) }),
      ),
      taken('fetchCursors', ({ group }: FetchCursorsRequest, done) => {
        const found = [...(this.cursors.get(group)?.values() ?? [])];
        done(null, { cursors: found.map((cursor) => ({ cursor, error: undefined })) });
      }),
      taken('listGroups', (_: never, done) => {
        const groups = [...this.cursors].map(([group, own]) => ({
          group,
          cursors: own.size,
          topics: [...new Set([...own.values()].map(({ topic }) => topic))],
          coordinator: 1,
        }));
        const code = this.missing.shift();
        const found = code === undefined ? groups : [];
        done(null, { groups: found, error: code === undefined ? undefined : this.#error(code) });
      }),
      taken('describeGroup', ({ group }: DescribeGroupRequest, done) =>
        this.#describe(group, done),
      ),
      taken('seekGroup', (request: SeekGroupRequest, done) => {
        const own = [...(this.cursors.get(request.group)?.values() ?? [])];
        const outcomes = own.map((before) => {
          if (this.fault !== null)
            return { partition: before.partition, error: this.#error(this.fault) };
          const after = { ...before, offset: 0, generation: before.generation + 1 };
          if (!request.dryRun) this.put(request.group, after);
          return { partition: before.partition, before, after, error: undefined };
        });
        done(null, { outcomes });
      }),
      taken('deleteGroup', ({ group }: DeleteGroupRequest, done) => {
        const own = this.cursors.get(group);
        this.cursors.delete(group);
        if (own === undefined) this.#fail(done, 'UNKNOWN_GROUP');
        else done(null, { cursors: own.size });
      }),
    ];
    return Object.fromEntries<unknown>(handlers);
  }

  #describe(group: string, done: Done): void {
    const own = this.cursors.get(group);
    if (own === undefined) {
      this.#fail(done, 'UNKNOWN_GROUP');
      return;
    }
    const { fault } = this;
    if (fault !== null) {
      const unknown = [...own.values()].map((cursor) => ({ cursor, error: this.#error(fault) }));
      done(null, { group, coordinator: 1, partitions: unknown, idleMs: 0, ...this.described });
      return;
    }
    const partitions = [...own.values()].map((cursor) => ({
      cursor,
      lag: {
        partition: cursor.partition,
        endOffset: cursor.offset + 2,
        records: 2,
        ageMs: 1_500,
        isAgeLeast: false,
        leaderEpoch: 1,
        logStart: 0,
        positionEpoch: 0,
      },
      error: undefined,
    }));
    done(null, { group, coordinator: 1, partitions, idleMs: 0, ...this.described });
  }

  #commit(group: string, asked: GroupCursor): CursorOutcome {
    const present = this.cursors.get(group)?.get(asked.partition);
    const generation = present?.generation ?? 1;
    if (asked.generation !== 0 && present !== undefined && asked.generation !== generation)
      return { cursor: present, error: this.#error('CURSOR_FENCED') };
    if (present !== undefined && asked.offset < present.offset)
      return { cursor: present, error: this.#error('CURSOR_AHEAD') };
    const cursor = { ...asked, generation };
    this.put(group, cursor);
    return { cursor, error: undefined };
  }
}
