/**
 * A controller under test whose proposals are committed only when a test says so, and the requests
 * that tests send it.
 */
import { apply } from '../../../../../broker/metadata/apply.ts';
import { BrokerError } from '../../../../../base/errors.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../../broker/metadata/config.ts';
import { Controller } from '../../../../../broker/metadata/controller/controller.ts';
import type {
  ControllerInput,
  ControllerOutput,
  ControllerReply,
  ControllerRequest,
  SyncSetChange,
} from '../../../../../broker/metadata/controller-types.ts';
import type {
  MetadataImage,
  MetadataRecord,
  PartitionState,
} from '../../../../../broker/metadata/types.ts';

/** A reply as tests compare it: the refusal's code and message, or the reply itself. */
export type Answer = ControllerReply | BrokerError | undefined;

export class Bench {
  image: MetadataImage;
  readonly controller: Controller;
  /** What was committed, in order. */
  readonly entries: {
    readonly before: MetadataImage;
    readonly after: MetadataImage;
    readonly records: readonly MetadataRecord[];
  }[] = [];
  readonly replies = new Map<number, ControllerReply | BrokerError>();
  last: ControllerOutput = { proposals: [], replies: [], probes: [], inspections: [], facts: [] };
  #proposals: ControllerOutput['proposals'][number][] = [];
  #requestId = 0;

  constructor(image: MetadataImage, requestsPendingMax = 100) {
    this.image = image;
    this.controller = new Controller({
      seed: 1,
      self: 0,
      sessionTimeoutMs: 100_000,
      probeIntervalMs: 100,
      defaults: TOPIC_CONFIG_DEFAULTS,
      requestsPendingMax,
      partitionsMax: 100,
      image,
      nowMs: 0,
    });
  }

  step(input: ControllerInput): ControllerOutput {
    this.last = this.controller.step(input);
    this.#proposals.push(...this.last.proposals);
    for (const { requestId, reply } of this.last.replies) this.replies.set(requestId, reply);
    return this.last;
  }

  tick(nowMs: number): void {
    this.step({ kind: 'tick', nowMs, wallMs: nowMs });
    this.commit();
  }

  send(request: ControllerRequest): number {
    this.#requestId += 1;
    this.step({ kind: 'request', requestId: this.#requestId, request });
    return this.#requestId;
  }

  commit(): void {
    for (let next = this.#proposals.shift(); next !== undefined; next = this.#proposals.shift()) {
      const before = this.image;
      this.image = apply(before, next.records, { index: before.index + 1, term: 1 });
      this.entries.push({ before, after: this.image, records: next.records });
      this.step({ kind: 'committed', proposalId: next.proposalId, index: this.image.index });
    }
  }

  /** Sends, commits and returns the answer. */
  ask(request: ControllerRequest): Answer {
    const requestId = this.send(request);
    this.commit();
    return this.replies.get(requestId);
  }

  row(partition = 0): PartitionState | undefined {
    return this.image.topics.get('t')?.partitions[partition];
  }

  /** The leader of the partition asks for a change of (S, q) under the epochs that hold now. */
  alter(
    change: Extract<ControllerRequest, { kind: 'alter-sync-set' }>['change'],
    partition = 0,
  ): Answer {
    const row = this.row(partition);
    if (row === undefined) return undefined;
    const { leader, leaderEpoch, partitionEpoch } = row;
    const brokerEpoch = this.image.brokers.get(leader)?.brokerEpoch ?? 0;
    return this.ask({
      kind: 'alter-sync-set',
      brokerId: leader,
      brokerEpoch,
      topicId: 't',
      partition,
      leaderEpoch,
      partitionEpoch,
      change,
    });
  }

  /** The leader of these partitions asks for a change of each, in one request. */
  alterTogether(
    leader: number,
    changes: readonly {
      readonly partition: number;
      readonly change: SyncSetChange['change'];
      readonly partitionEpoch?: number;
    }[],
  ): Answer {
    return this.ask({
      kind: 'alter-sync-sets',
      brokerId: leader,
      brokerEpoch: this.image.brokers.get(leader)?.brokerEpoch ?? 0,
      changes: changes.map(({ partition, change, partitionEpoch }) => {
        const row = this.row(partition);
        return {
          topicId: 't',
          partition,
          leaderEpoch: row?.leaderEpoch ?? 0,
          partitionEpoch: partitionEpoch ?? row?.partitionEpoch ?? 0,
          change,
        };
      }),
    });
  }

  /** The leader certifies a caught-up follower. */
  add(member: number, partition = 0): Answer {
    return this.alter(
      { op: 'add', member, memberEpoch: this.image.brokers.get(member)?.brokerEpoch ?? 0 },
      partition,
    );
  }

  reassign(replicas: readonly number[], partition = 0): Answer {
    return this.ask({ kind: 'reassign', topic: 't', partition, replicas });
  }
}

export function codeOf(reply: Answer): string {
  return reply instanceof BrokerError ? reply.code : 'ok';
}
