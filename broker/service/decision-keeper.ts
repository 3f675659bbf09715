/**
 * Keeps what is decided about partitions in a topic, if there is one of that name, so that it is
 * known when all who saw it have restarted. Whoever controls appends what it has seen: also what
 * its predecessor decided lately, which may not have come to it. So a decision may stand twice, and
 * readers join what is of one entry. It never holds up a decision; what cannot be appended is tried
 * again while the broker remembers it.
 */
import { DECISIONS_TOPIC, type KeptDecision, type KeptStand } from '../../base/kept-decisions.ts';
import { NO_BROKER, type WallMs } from '../../base/units.ts';
import type { Cancel } from '../../base/clock.ts';
import type { BrokerError } from '../../base/errors.ts';
import { AckLevel } from '../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage } from '../../wire/grpc/errors.ts';
import type { Stand } from '../metadata/explain.ts';
import type { NamedDecision } from '../runtime/api.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import type { Appender } from './appender.ts';
import type { Cluster } from './cluster.ts';

/** Decisions of one append, about 1 KB each. */
const RECORDS_MAX = 500;
const DEADLINE_MS = 10_000;
const TRY_AGAIN_MS = 2_000;
/** What a controller that died had not appended yet is not older. */
const OVERLAP_MS = 60_000;

export class DecisionKeeper {
  readonly #cluster: Cluster;
  readonly #appender: Pick<Appender, 'append'>;
  readonly #report: ReportDefect;
  readonly #cancelWatch: Cancel;
  #cancelRetry: Cancel = () => {};
  /** What is older was for an earlier controller to keep; null: this broker does not control. */
  #sinceMs: WallMs | null = null;
  /** Everything up to this entry is settled: kept, or such as the topic never takes. */
  #settledTo = 0;
  /** Names of what is settled of later entries. */
  readonly #settled = new Set<string>();
  #isWriting = false;
  #isClosed = false;

  constructor(cluster: Cluster, appender: Pick<Appender, 'append'>, report: ReportDefect) {
    this.#cluster = cluster;
    this.#appender = appender;
    this.#report = report;
    this.#cancelWatch = cluster.broker.watchImage(() => {
      this.#look();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelWatch();
    this.#cancelRetry();
  }

  #look(): void {
    const { broker } = this.#cluster;
    if (this.#isWriting || this.#isClosed) return;
    if (!broker.isController()) {
      this.#sinceMs = null;
      this.#settledTo = 0;
      this.#settled.clear();
      return;
    }
    // Not each time anew: what cannot be appended for long must not grow too old for it.
    this.#sinceMs ??= broker.clock.wallMs() - OVERLAP_MS;
    if (!broker.image().topicIdsByName.has(DECISIONS_TOPIC)) return;
    const due = this.#due(this.#sinceMs);
    if (due.length > 0) void this.#keep(due);
  }

  /** The oldest of what is not settled. */
  #due(sinceMs: WallMs): readonly KeptDecision[] {
    const seen = this.#cluster.broker
      .decisionsAfter(this.#settledTo)
      .map(keptDecision)
      .filter(({ atMs }) => atMs >= sinceMs)
      .sort((one, other) => one.index - other.index);
    const due = seen.filter((one) => !this.#settled.has(nameOf(one)));
    const [first] = due;
    this.#settledTo =
      first === undefined ? (seen.at(-1)?.index ?? this.#settledTo) : first.index - 1;
    const later = new Set(seen.filter(({ index }) => index > this.#settledTo).map(nameOf));
    for (const name of this.#settled) if (!later.has(name)) this.#settled.delete(name);
    return due.slice(0, RECORDS_MAX);
  }

  async #keep(due: readonly KeptDecision[]): Promise<void> {
    this.#isWriting = true;
    const failures = await this.#append(due);
    this.#isWriting = false;
    if (this.#isClosed) return;
    const settled = due.filter((_, at) => isSettled(failures[at]));
    for (const decision of settled) this.#settled.add(nameOf(decision));
    if (settled.length === due.length) {
      this.#look();
    } else {
      this.#cancelRetry();
      this.#cancelRetry = this.#cluster.clock.after(TRY_AGAIN_MS, () => {
        this.#look();
      });
    }
  }

  /** Why each was not appended; null: it was. */
  async #append(due: readonly KeptDecision[]): Promise<readonly (BrokerError | null)[]> {
    const records = due.map((decision) => ({
      partition: undefined,
      key: Buffer.from(`${decision.topicId}/${decision.partition}`),
      value: Buffer.from(JSON.stringify(decision)),
      headers: [],
      timestampMs: 0,
      tombstone: false,
    }));
    const acks = AckLevel.ACK_LEVEL_ALL;
    try {
      const { results } = await this.#appender.append(
        { topic: DECISIONS_TOPIC, records, acks, condition: undefined },
        // Nobody asked for it.
        { deadlineMs: DEADLINE_MS, principal: '' },
      );
      return results.map(({ error }) => (error === undefined ? null : errorFromMessage(error)));
    } catch (thrown) {
      const error = expected(thrown, this.#report);
      return due.map(() => error);
    }
  }
}

function nameOf({ index, topicId, partition }: KeptDecision): string {
  return `${index}/${topicId}/${partition}`;
}

/** It is kept, or larger than the topic ever takes. */
function isSettled(failure: BrokerError | null | undefined): boolean {
  return failure === null || failure?.code === 'BATCH_TOO_LARGE';
}

function keptDecision({
  index,
  atMs,
  topic,
  topicId,
  partition,
  before,
  after,
  reasons,
}: NamedDecision): KeptDecision {
  return {
    index,
    atMs: Math.max(0, Math.round(atMs ?? 0)),
    topic,
    topicId,
    partition,
    before: before === null ? null : keptStand(before),
    after: keptStand(after),
    reasons: reasons.map(({ text, rule }) => ({ text, rule })),
  };
}

function keptStand(stand: Stand): KeptStand {
  const { leader, leaderEpoch, partitionEpoch, syncSet, suspects, quorum } = stand;
  return {
    leader: leader === NO_BROKER ? null : leader,
    leaderEpoch,
    partitionEpoch,
    syncSet,
    suspects,
    quorum,
  };
}
