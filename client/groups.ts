/**
 * Groups: how far each has come in topics, kept by the cluster. Cursors are committed and fetched
 * by whoever reads for a group, and shown, moved and forgotten by whoever looks after it.
 */
import { CURSORS_PER_CALL_MAX } from '../base/limits.ts';
import {
  type CursorOutcome,
  type GroupCursor as WireCursor,
  type GroupMember as WireMember,
  type GroupPartition as WirePartition,
  type MemberPartition as WireMemberPartition,
  GroupServiceService as Service,
  type SeekOutcome,
} from '../proto/gen/tidemark/v1/groups.ts';
import { topicIdFromBytes, topicIdToBytes } from '../wire/batch/frame.ts';
import type { CallControl } from './abort.ts';
import { ask } from './ask.ts';
import { checkArgument, count, flag, listOf, named, optional, shape, size } from './check.ts';
import type { Cluster } from './cluster.ts';
import type { Connections } from './connections.ts';
import { START } from './consumer/options.ts';
import type { StartFrom } from './consumer/types.ts';
import { fromWire, TidemarkError } from './errors.ts';

/** Up to where a group has handled one partition. */
export interface GroupCursor {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Of the next record. */
  readonly offset: number;
  /** Leader epoch of the record before it; 0: not known. */
  readonly leaderEpoch: number;
  /** Rises with each seek. */
  readonly generation: number;
}

/** What is to be committed: a position of a consumer is one. */
export interface CursorCommit {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  /** Commit only while the cursor is of this generation; default: whichever it has. */
  readonly generation?: number;
}

/** What became of one cursor; without an error it is as asked. */
export interface CursorResult {
  /** As it stands, where there is one. */
  readonly cursor?: GroupCursor;
  readonly error?: TidemarkError;
}

/** A group in a list. */
export interface GroupSummary {
  readonly group: string;
  readonly cursors: number;
  readonly topics: readonly string[];
  /** Broker that keeps it. */
  readonly coordinator: number;
}

/** How far a cursor is behind. */
export interface CursorLag {
  /** End of the committed data. */
  readonly endOffset: number;
  /** Offsets from the cursor to there. */
  readonly records: number;
  /** How long ago the first of them was committed, in milliseconds; 0: there is none. */
  readonly ageMs: number;
  /** It is longer ago than the leader remembers. */
  readonly isAgeLeast: boolean;
  readonly logStart: number;
}

/** One partition of a group. Without a lag there is an error that says why. */
export interface GroupPartition {
  readonly cursor: GroupCursor;
  readonly lag?: CursorLag;
  readonly error?: TidemarkError;
}

/** One group. */
export interface GroupDescription {
  readonly group: string;
  readonly coordinator: number;
  /** By topic and partition. */
  readonly partitions: readonly GroupPartition[];
  /** How long it was not used, at least, as far as that was noted. */
  readonly idleMs: number;
  /** Rises with each change of the group or its members; 0: it never had members. */
  readonly epoch: number;
  /** `reconciling`: somebody lacks, or has yet to let go, what it shall. */
  readonly status: string;
  /** How partitions are spread; empty: it never had members. */
  readonly assignor: string;
  /** By id. */
  readonly members: readonly GroupMemberDescription[];
}

/** A member of a group. */
export interface GroupMemberDescription {
  readonly memberId: string;
  /** Name of its place; empty: it has none. */
  readonly instanceId: string;
  /** Program and host, as it says. */
  readonly client: string;
  readonly rack: string;
  /** Broker that it is attached to. */
  readonly broker: number;
  /** It is gone, and its place is kept. */
  readonly isAway: boolean;
  /** Of what it was told to read last. */
  readonly epoch: number;
  /** Names and beginnings that it subscribes to. */
  readonly topics: readonly string[];
  /** What it has, and what it is letting go. */
  readonly assigned: readonly MemberPartition[];
  /** What it shall have. */
  readonly target: readonly MemberPartition[];
}

/** A partition of a member. */
export interface MemberPartition {
  /** Empty: the topic is gone. */
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Of the group when the member was given it; 0: it was not yet. */
  readonly epoch: number;
  /** It is to let it go. */
  readonly isRevoked: boolean;
}

/** What {@link Groups.seek} takes. */
export interface SeekRequest {
  readonly topic: string;
  /** Default: all. */
  readonly partitions?: readonly number[];
  readonly to: StartFrom;
  /** Only say what would be done. */
  readonly dryRun?: boolean;
}

/** One cursor that was moved, or would be. */
export interface SoughtCursor {
  readonly partition: number;
  readonly before?: GroupCursor;
  readonly after?: GroupCursor;
  readonly error?: TidemarkError;
}

type Control = CallControl | undefined;

const READ = { isRead: true } as const;
/** A commit is made again for so long, as far as nothing speaks against it. */
const COMMIT_TIMEOUT_MS = 15_000;
/** Coordinators that are about to lead are asked again for so long. */
const LIST_TIMEOUT_MS = 5_000;

const COMMITS = listOf(
  shape({
    topic: named,
    topicId: named,
    partition: count,
    offset: size,
    leaderEpoch: count,
    generation: optional(count),
  }),
);
const SEEK = shape({
  topic: named,
  partitions: optional(listOf(count)),
  to: START,
  dryRun: optional(flag),
});

/**
 * Made by `Tidemark.cursors()`: cursors of one group, for programs that commit by themselves. Every
 * method rejects with a {@link TidemarkError}, and takes a signal last.
 */
export class Cursors {
  readonly group: string;
  readonly #connections: Connections;
  readonly #cluster: Cluster;

  constructor(connections: Connections, cluster: Cluster, group: string) {
    checkArgument('make cursors', named, group, 'group');
    this.group = group;
    this.#connections = connections;
    this.#cluster = cluster;
  }

  /**
   * Cursors in these topics, as committed; no topics: all. A partition without one is not named.
   * One of a topic that was deleted has the error CURSOR_GONE, also where the name has another
   * topic now.
   */
  async fetch(topics: readonly string[] = [], control?: Control): Promise<CursorResult[]> {
    const doing = 'fetch cursors';
    checkArgument(doing, listOf(named), topics, 'topics');
    const selections = topics.map((topic) => ({ topic, partitions: [] }));
    const request = { group: this.group, topics: selections };
    const { cursors } = await ask(
      this.#cluster,
      doing,
      Service.fetchCursors,
      request,
      control,
      READ,
    );
    return cursors.map(resultOf);
  }

  /**
   * Commits cursors; resolves once each is committed or refused, in their order. It may be
   * repeated: a cursor that stands there already stays. One that would go back is refused
   * (CURSOR_AHEAD).
   */
  async commit(commits: readonly CursorCommit[], control?: Control): Promise<CursorResult[]> {
    const doing = 'commit cursors';
    checkArgument(doing, COMMITS, commits, 'commits');
    const results: CursorResult[] = [];
    for (let from = 0; from < commits.length; from += CURSORS_PER_CALL_MAX)
      results.push(
        ...(await this.#commit(commits.slice(from, from + CURSORS_PER_CALL_MAX), control)),
      );
    return results;
  }

  async #commit(commits: readonly CursorCommit[], control: Control): Promise<CursorResult[]> {
    const { clock } = this.#connections;
    const untilMs = clock.monotonicMs() + COMMIT_TIMEOUT_MS;
    const results = new Map<CursorCommit, CursorResult>();
    for (let attempt = 0; ; attempt += 1) {
      const open = commits.filter((commit) => isOpen(results.get(commit)));
      if (open.length === 0) break;
      const timeoutMs = Math.max(1, untilMs - clock.monotonicMs());
      const cursors = open.map(cursorToWire);
      const request = { group: this.group, cursors, member: undefined };
      try {
        const answer = await ask(
          this.#cluster,
          'commit cursors',
          Service.commitCursors,
          request,
          control,
          { timeoutMs },
        );
        for (const [at, commit] of open.entries())
          results.set(commit, resultOf(answer.outcomes[at] ?? NO_OUTCOME));
      } catch (error) {
        // A commit may be repeated, whatever became of it.
        const isUnknown = error instanceof TidemarkError && error.code === 'OUTCOME_UNKNOWN';
        if (!isUnknown || clock.monotonicMs() >= untilMs) throw error;
      }
      if (clock.monotonicMs() >= untilMs) break;
      if (open.some((commit) => isOpen(results.get(commit))))
        await this.#connections.sleep(this.#connections.backoffMs(attempt));
    }
    return commits.map((commit) => results.get(commit) ?? resultOf(NO_OUTCOME));
  }
}

/** Made by `Tidemark.groups()`: shows, moves and forgets groups. */
export class Groups {
  readonly #connections: Connections;
  readonly #cluster: Cluster;

  constructor(connections: Connections, cluster: Cluster) {
    this.#connections = connections;
    this.#cluster = cluster;
  }

  /**
   * All groups, by name. Rejects where a coordinator does not answer for some seconds, rather than
   * leave some out.
   */
  async list(control?: Control): Promise<GroupSummary[]> {
    const doing = 'list groups';
    const { clock } = this.#connections;
    const untilMs = clock.monotonicMs() + LIST_TIMEOUT_MS;
    const method = Service.listGroups;
    for (let attempt = 0; ; attempt += 1) {
      const { groups, error } = await ask(this.#cluster, doing, method, {}, control, READ);
      if (error === undefined) return groups;
      const failure = fromWire(error);
      // That there are too many does not pass; that a coordinator is about to lead does.
      const isFinal = failure.retry === 'no' || failure.code === 'OVERLOADED';
      if (isFinal || clock.monotonicMs() >= untilMs) throw failure;
      await this.#connections.sleep(this.#connections.backoffMs(attempt));
    }
  }

  /** One group, with the lag of each cursor. Rejects with UNKNOWN_GROUP. */
  async describe(group: string, control?: Control): Promise<GroupDescription> {
    const doing = 'describe group';
    checkArgument(doing, named, group, 'group');
    const request = { group, keeps: false };
    const answer = await ask(this.#cluster, doing, Service.describeGroup, request, control, READ);
    const { partitions, members, ...rest } = answer;
    return {
      ...rest,
      partitions: partitions.flatMap(partitionOf),
      members: members.map(memberOf),
    };
  }

  /** Puts the cursors of a topic somewhere else, for each partition by itself. */
  async seek(group: string, request: SeekRequest, control?: Control): Promise<SoughtCursor[]> {
    const doing = 'seek group';
    checkArgument(doing, named, group, 'group');
    checkArgument(doing, SEEK, request);
    const { topic, partitions = [], to, dryRun = false } = request;
    const message = { group, topic, partitions: [...partitions], to: pointOf(to), dryRun };
    const { outcomes } = await ask(this.#cluster, doing, Service.seekGroup, message, control);
    return outcomes.map(soughtOf);
  }

  /** Forgets a group; resolves with how many cursors it had. Rejects with UNKNOWN_GROUP. */
  async delete(group: string, control?: Control): Promise<number> {
    const doing = 'delete group';
    checkArgument(doing, named, group, 'group');
    const { cursors } = await ask(this.#cluster, doing, Service.deleteGroup, { group }, control);
    return cursors;
  }
}

const NO_OUTCOME: CursorOutcome = { cursor: undefined, error: undefined };

/** Nothing was done, and the same may yet be. */
function isOpen(result: CursorResult | undefined): boolean {
  if (result === undefined) return true;
  return result.error !== undefined && result.error.retry !== 'no';
}

function cursorToWire({ generation = 0, topicId, ...rest }: CursorCommit): WireCursor {
  return { ...rest, topicId: topicIdToBytes(topicId), generation };
}

function cursorOf({ topicId, ...rest }: WireCursor): GroupCursor {
  return { ...rest, topicId: topicIdFromBytes(topicId) };
}

function resultOf({ cursor, error }: CursorOutcome): CursorResult {
  const found = error === undefined ? undefined : fromWire(error);
  const missing =
    cursor === undefined && found === undefined
      ? new TidemarkError('INTERNAL', 'The answer says nothing of a cursor')
      : found;
  return {
    ...(cursor === undefined ? {} : { cursor: cursorOf(cursor) }),
    ...(missing === undefined ? {} : { error: missing }),
  };
}

function partitionOf({ cursor, lag, error }: WirePartition): GroupPartition[] {
  if (cursor === undefined) return [];
  const found =
    error === undefined
      ? new TidemarkError('INTERNAL', 'The answer says nothing of a lag')
      : fromWire(error);
  if (lag === undefined) return [{ cursor: cursorOf(cursor), error: found }];
  const { endOffset, records, ageMs, isAgeLeast, logStart } = lag;
  return [{ cursor: cursorOf(cursor), lag: { endOffset, records, ageMs, isAgeLeast, logStart } }];
}

function memberOf({
  proxy: broker,
  assigned,
  target,
  ...rest
}: WireMember): GroupMemberDescription {
  return {
    ...rest,
    broker,
    assigned: assigned.map(memberPartitionOf),
    target: target.map(memberPartitionOf),
  };
}

function memberPartitionOf({ topicId, ...rest }: WireMemberPartition): MemberPartition {
  return { ...rest, topicId: topicIdFromBytes(topicId) };
}

function soughtOf({ partition, before, after, error }: SeekOutcome): SoughtCursor {
  return {
    partition,
    ...(before === undefined ? {} : { before: cursorOf(before) }),
    ...(after === undefined ? {} : { after: cursorOf(after) }),
    ...(error === undefined ? {} : { error: fromWire(error) }),
  };
}

/** As the wire names it: an offset as well, which the coordinator looks up. */
export function pointOf(to: StartFrom) {
  if (typeof to === 'string') return { point: { $case: to, value: true } } as const;
  return 'offset' in to
    ? ({ point: { $case: 'offset', value: to.offset } } as const)
    : ({ point: { $case: 'timestampMs', value: to.timestampMs } } as const);
}
