/**
 * A leader's replica, the way to the controller and the controller itself, all real: only the wire
 * between them, the disk and the metadata quorum are played. Each attempt of a request is answered
 * as the test says, and may be delivered, again or for the first time, whenever it says.
 */
import { setImmediate } from 'node:timers/promises';
import { BrokerError } from '../../../base/errors.ts';
import type { Clock } from '../../../base/clock.ts';
import type { ControllerRequest, Decision } from '../../../broker/metadata/controller-types.ts';
import type { MetadataImage } from '../../../broker/metadata/types.ts';
import { Partition } from '../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../broker/replication/producers.ts';
import type {
  PartitionInput,
  PartitionOutput,
  SyncSetProposal,
} from '../../../broker/replication/types.ts';
import { ControllerSeat } from '../../../broker/runtime/controller/controller-seat.ts';
import type { ControllerSeatOptions } from '../../../broker/runtime/controller/controller-seat.ts';
import { ChangeRequests } from '../../../broker/runtime/partitions/change-requests.ts';
import { assignmentOf } from '../../../broker/runtime/partitions/assignment.ts';
import { Bench } from '../../unit/broker/metadata/controller/bench.ts';
import { FakeClock } from '../../unit/broker/runtime/fake-clock.ts';
import { header } from '../../unit/broker/replication/header.ts';

const CONTROLLER = 9;

/** What becomes of one attempt on its way. */
export type Fate = 'delivered' | 'lost' | 'answer-lost';

export class Joined {
  readonly clock = new FakeClock();
  readonly bench: Bench;
  readonly partition: Partition;
  readonly self: number;
  /** Offsets that a producer was told are committed. */
  readonly acknowledged: number[] = [];
  readonly proposals: SyncSetProposal[] = [];
  readonly attempts: ControllerRequest[] = [];
  /** Fates of the attempts to come; the last one stands for all others. */
  fates: Fate[] = ['delivered'];
  readonly #requests: ChangeRequests;
  #requestId = 0;
  #writeId = 0;

  /** @param image its only topic is "t", with one partition that broker `self` leads */
  constructor(image: MetadataImage, self: number) {
    this.self = self;
    this.bench = new Bench(image);
    const seat = newSeat(this.clock, self, (request) => this.#attempt(request));
    this.#requests = new ChangeRequests({
      clock: this.clock,
      image: () => this.bench.image,
      sender: () => ({
        brokerId: self,
        brokerEpoch: this.bench.image.brokers.get(self)?.brokerEpoch ?? 0,
      }),
      decide: (request, deadlineMs) => seat.decide(request, deadlineMs),
    });
    this.partition = new Partition(
      {
        self,
        selfEpoch: image.brokers.get(self)?.brokerEpoch ?? 0,
        key: 't/0',
        lagMsMax: 60_000,
        appendsPendingMax: 100,
        nowMs: 0,
      },
      { startOffset: 0, endOffset: 0, epochs: [], highWaterMark: 0, syncedOffset: 0 },
      new ProducerTable({ producersMax: 10, nowMs: 0 }),
    );
    this.assign();
  }

  /** The leader's broker hears what is committed. */
  assign(): void {
    const topic = this.bench.image.topics.get('t');
    const state = topic?.partitions[0];
    if (topic === undefined || state === undefined) throw new Error('there is no partition');
    const { brokers } = this.bench.image;
    this.step({ kind: 'assign', assignment: assignmentOf(brokers, topic, state) });
  }

  step(input: PartitionInput): PartitionOutput {
    const output = this.partition.step(input);
    for (const { result } of output.replies)
      if (result.ok) this.acknowledged.push(result.baseOffset);
    if (output.proposal !== null) this.#propose(output.proposal);
    for (const { writeId } of output.writes) {
      this.#writeId = writeId;
      this.step({ kind: 'written', writeId: this.#writeId });
    }
    return output;
  }

  append(): void {
    this.#requestId += 1;
    const requestId = this.#requestId;
    this.step({ kind: 'append', requestId, ack: 'all', header: header(), wallMs: 0 });
  }

  /** A follower states that it has everything up to `endOffset`. */
  position(from: number, endOffset: number): void {
    const { leaderEpoch } = this.partition.status();
    const brokerEpoch = this.bench.image.brokers.get(from)?.brokerEpoch ?? 0;
    this.partition.pushed(from, Math.max(endOffset, this.partition.status().writtenEnd), 0);
    this.step({
      kind: 'position',
      position: {
        from,
        brokerEpoch,
        leaderEpoch,
        lastEpoch: leaderEpoch,
        endOffset,
        syncedOffset: 0,
      },
    });
  }

  /** Time passes, with answers in between. */
  async pass(ms: number): Promise<void> {
    this.clock.settle();
    await setImmediate();
    for (let step = 0; step < ms; step += 10) {
      this.clock.advance(10);
      await setImmediate();
    }
    this.step({ kind: 'tick', nowMs: this.clock.nowMs });
    this.clock.settle();
    await setImmediate();
  }

  /** An attempt arrives, for the first time or again. */
  deliver(request: ControllerRequest): ReturnType<Bench['ask']> {
    return this.bench.ask(request);
  }

  #propose(proposal: SyncSetProposal): void {
    this.proposals.push(proposal);
    const { proposalId, leaderEpoch, partitionEpoch, change } = proposal;
    const result = (error: BrokerError | null): void => {
      this.step({ kind: 'sync-set-result', leaderEpoch, proposalId, error });
    };
    const asked = { topicId: 't', partition: 0, leaderEpoch, partitionEpoch, change };
    this.#requests.propose(asked).then(
      () => {
        result(null);
      },
      (error: unknown) => {
        result(error as BrokerError);
      },
    );
  }

  #attempt(request: ControllerRequest): Promise<Decision> {
    this.attempts.push(request);
    const fate = this.fates.length > 1 ? this.fates.shift() : this.fates[0];
    const answer = fate === 'lost' ? undefined : this.deliver(request);
    if (answer instanceof BrokerError && fate === 'delivered') return Promise.reject(answer);
    if (answer === undefined || answer instanceof BrokerError || fate !== 'delivered')
      return Promise.reject(new BrokerError('UNREACHABLE', 'the connection broke'));
    return Promise.resolve(answer);
  }
}

function newSeat(
  clock: Clock,
  self: number,
  attempt: (request: ControllerRequest) => Promise<Decision>,
): ControllerSeat {
  const peers = { callController: (_to: number, request: ControllerRequest) => attempt(request) };
  const options = {
    broker: { brokerId: self, clock, peers, onFact: () => undefined },
    clusterId: 'c',
    quorum: { leader: CONTROLLER },
    inspectLocal: () => Promise.resolve(null),
  };
  return new ControllerSeat(options as unknown as ControllerSeatOptions);
}
