/**
 * Commits what a member acknowledges, one message after the other, so that a later one never
 * overtakes an earlier. While some wait, the member is not listened to.
 */
import type {
  AcknowledgeOutcome,
  ConsumeAcknowledge,
  ConsumeAcknowledged,
  CursorAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import type { CommitCursorsRequest } from '../../../proto/gen/tidemark/v1/groups.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import { ACKNOWLEDGEMENTS_PER_CALL_MAX, OFFSET_MAX } from '../../../base/limits.ts';
import { type Offset, partitionKey, type PartitionKey } from '../../../base/units.ts';
import { integerField, refuse, topicIdField } from '../../messages/fields.ts';
import { expected } from '../../messages/handlers.ts';
import type { GroupParts } from '../groups/coordinated.ts';
import { askedCommits, commitCursors } from '../groups/commits.ts';
import { partitionField } from '../groups/fields.ts';
import type { AttachedMember } from './member-proxy.ts';

/** Acknowledgements that wait, from which on the member is not listened to. */
const WAITING_MAX = 16;
const COMMIT_MS = 10_000;
const U32_MAX = 0xffff_ffff;

export interface AcknowledgerPorts extends GroupParts {
  readonly principal: string;
  readonly answer: (acknowledged: ConsumeAcknowledged) => void;
  readonly committed: (key: PartitionKey, offset: Offset) => void;
  readonly listen: (isListening: boolean) => void;
}

export class Acknowledger {
  readonly #member: AttachedMember;
  readonly #ports: AcknowledgerPorts;
  #waiting: ConsumeAcknowledge[] = [];
  #working: Promise<void> | null = null;
  #isClosed = false;

  constructor(member: AttachedMember, ports: AcknowledgerPorts) {
    this.#member = member;
    this.#ports = ports;
  }

  get hasRoom(): boolean {
    return this.#waiting.length < WAITING_MAX;
  }

  /** Throws INVALID_ARGUMENT. */
  take(acknowledge: ConsumeAcknowledge): void {
    const { cursors, records } = acknowledge;
    if (records.length > 0) refuse('records length', records.length, '0: this is no queue');
    integerField('cursors length', cursors.length, 0, ACKNOWLEDGEMENTS_PER_CALL_MAX);
    const seen = new Set<string>();
    for (const [at, cursor] of cursors.entries()) {
      const key = checked(`cursors[${at}]`, cursor);
      if (seen.has(key)) refuse(`cursors[${at}]`, key, 'of a partition that no other names');
      seen.add(key);
    }
    this.#waiting.push(acknowledge);
    if (!this.hasRoom) this.#ports.listen(false);
    this.#working ??= this.#work();
  }

  /** Resolves once nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#working !== null) await this.#working;
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }

  async #work(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#waiting.length === WAITING_MAX - 1) this.#ports.listen(true);
      const cursors = await this.#commit(next.cursors);
      if (this.#isClosed) break;
      const { acknowledgeId } = next;
      this.#ports.answer({ acknowledgeId, cursors, records: [] });
    }
    this.#working = null;
  }

  async #commit(asked: readonly CursorAcknowledgement[]): Promise<AcknowledgeOutcome[]> {
    if (asked.length === 0) return [];
    const { cluster, principal, report, committed } = this.#ports;
    const { group, memberId, attachment } = this.#member;
    const { topics } = cluster.image();
    const outcomes: AcknowledgeOutcome[] = asked.map(() => ({ error: undefined }));
    const known = asked.flatMap((cursor, at) => {
      const topicId = topicIdField('topic_id', cursor.topicId);
      const topic = topics.get(topicId);
      if (topic !== undefined) return [{ at, cursor, topicId, topic: topic.name }];
      const error = new BrokerError('UNKNOWN_TOPIC', `No topic has id ${topicId}`);
      outcomes[at] = { error: errorToMessage(error) };
      return [];
    });
    if (known.length === 0) return outcomes;
    const epochs = known.map(({ cursor }) => cursor.epoch);
    const request: CommitCursorsRequest = {
      group,
      cursors: known.map(({ cursor: { topicId, partition, offset, leaderEpoch }, topic }) => ({
        ...{ topic, topicId, partition, offset, leaderEpoch, generation: 0 },
      })),
      member: { memberId, attachment, epochs },
    };
    try {
      const onwards = { deadlineMs: COMMIT_MS, principal, isForwarded: false };
      const isGone = (): boolean => this.#isClosed;
      const asked = askedCommits(request);
      const done = await commitCursors(this.#ports, asked, { ...onwards, isGone });
      for (const [index, { at, cursor, topicId }] of known.entries()) {
        const error = done.outcomes[index]?.error;
        outcomes[at] = { error };
        if (error === undefined) committed(partitionKey(topicId, cursor.partition), cursor.offset);
      }
    } catch (thrown) {
      const error = errorToMessage(expected(thrown, report));
      for (const { at } of known) outcomes[at] = { error };
    }
    return outcomes;
  }
}

function checked(field: string, cursor: CursorAcknowledgement): string {
  integerField(`${field}.offset`, cursor.offset, 0, OFFSET_MAX);
  integerField(`${field}.leader_epoch`, cursor.leaderEpoch, 0, U32_MAX);
  integerField(`${field}.epoch`, cursor.epoch, 1, Number.MAX_SAFE_INTEGER);
  const topicId = topicIdField(`${field}.topic_id`, cursor.topicId);
  return partitionKey(topicId, partitionField(`${field}.partition`, cursor.partition));
}
