/**
 * Keeps what is decided about partitions in a topic, if there is one of that name, so that it is
 * known when all who saw it have restarted. Whoever controls appends what it has seen: also what
 * its predecessor decided lately, which may not have come to it. So a decision may stand twice, and
 * readers join what is of one entry. It never holds up a decision; what cannot be appended is tried
 * again while the broker remembers it.
 */
import { DECISIONS_TOPIC, type KeptDecision, type KeptStand } from '../../base/kept-decisions.ts';
import { NO_BROKER } from '../../base/units.ts';
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
  /** Everything up to this entry is kept; null: this broker does not control. */
  #keptTo: number | null = null;
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
      this.#keptTo = null;
      return;
    }
    if (!broker.image().topicIdsByName.has(DECISIONS_TOPIC)) return;
    const due = this.#due();
    if (due.length > 0) void this.#keep(due);
  }

  /** Oldest first, and all of an entry. */
  #due(): readonly KeptDecision[] {
    const { broker } = this.#cluster;
    const sinceMs = this.#keptTo === null ? broker.clock.wallMs() - OVERLAP_MS : 0;
    const due = broker
      .decisionsAfter(this.#keptTo ?? 0)
      .map(keptDecision)
      .filter(({ atMs }) => atMs >= sinceMs)
      .sort((one, other) => one.index - other.index);
    const beyond = due[RECORDS_MAX];
    const whole = due.findIndex(({ index }) => index === beyond?.index);
    return beyond === undefined ? due : due.slice(0, whole > 0 ? whole : RECORDS_MAX);
  }

  async #keep(due: readonly KeptDecision[]): Promise<void> {
    this.#isWriting = true;
    const failure = await this.#append(due);
    this.#isWriting = false;
    if (this.#isClosed) return;
    if (failure === null) {
      this.#keptTo = due.at(-1)?.index ?? this.#keptTo;
      this.#look();
    } else {
      this.#cancelRetry();
      this.#cancelRetry = this.#cluster.clock.after(TRY_AGAIN_MS, () => {
        this.#look();
      });
    }
  }

  async #append(due: readonly KeptDecision[]): Promise<BrokerError | null> {
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
      const failed = results.find(({ error }) => error !== undefined)?.error;
      return failed === undefined ? null : errorFromMessage(failed);
    } catch (error) {
      return expected(error, this.#report);
    }
  }
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
