/**
 * Runs the controller core while this broker leads the metadata quorum: carries requests in,
 * proposals, probes and inspections out, and keeps the set of voters in repair. When leadership
 * goes, everything pending is answered NOT_CONTROLLER; nothing is carried over.
 */
import type { OnFact } from '../../../base/events.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, WallMs } from '../../../base/units.ts';
import { ClockSkew } from '../../metadata/clock-skew.ts';
import { Controller } from '../../metadata/controller/controller.ts';
import type {
  ControllerInput,
  ControllerOutput,
  Decision,
  ControllerRequest,
  HeartbeatRequest,
} from '../../metadata/controller-types.ts';
import type { MetadataImage, TopicConfig } from '../../metadata/types.ts';
import type { Peer } from '../../raft/types.ts';
import { nextVoters } from '../../metadata/voters.ts';
import type { LiveOptions } from '../live-options.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { InspectedLog, Inspection, NodeInfo, Address, Peers } from '../ports.ts';
import { StepQueue } from '../step-queue.ts';
import type { Quorum } from './quorum.ts';

const TICK_MS = 50;
/** How long one probe or inspection may take. */
const PROBE_DEADLINE_MS = 1_000;
/**
 * Pause between probes of a broker that is not heard: a process that is being killed may still take
 * connections that nobody will answer.
 */
const PROBE_INTERVAL_MS = 50;
const INSPECT_DEADLINE_MS = 2_000;
/** Pause between looks at the set of voters. */
const VOTERS_INTERVAL_MS = 50;

export interface ControllerDriverOptions {
  readonly self: BrokerId;
  readonly seed: number;
  readonly sessionTimeoutMs: number;
  readonly live: LiveOptions;
  readonly partitionsMax: number;
  readonly defaults: TopicConfig;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly quorum: Quorum;
  readonly inspectLocal: (
    inspection: Inspection,
    deadlineMs: number,
  ) => Promise<InspectedLog | null>;
  readonly onFact: OnFact;
}

type Answer = {
  readonly resolve: (reply: Decision) => void;
  readonly reject: (error: BrokerError) => void;
};

export class ControllerDriver {
  readonly #options: ControllerDriverOptions;
  readonly #controller: Controller;
  readonly #answers = new Map<number, Answer>();
  readonly #steps = new StepQueue<ControllerInput>((input) => {
    this.#carryOut(this.#controller.step(input));
  });
  readonly #fencedSinceMs = new Map<BrokerId, number>();
  readonly #clockSkew = new ClockSkew();
  #isChangingVoters = false;
  /** As the core was told last. */
  #votersTold: readonly Peer[] | null = null;
  #nextRequestId = 1;
  #cancels: Cancel[] = [];

  /** @param image committed metadata, complete up to this leader's term */
  constructor(options: ControllerDriverOptions, image: MetadataImage) {
    this.#options = options;
    this.#controller = new Controller({
      seed: options.seed,
      self: options.self,
      sessionTimeoutMs: options.sessionTimeoutMs,
      probeIntervalMs: PROBE_INTERVAL_MS,
      defaults: options.defaults,
      requestsPendingMax: 10_000,
      partitionsMax: options.partitionsMax,
      image,
      nowMs: options.clock.monotonicMs(),
    });
  }

  start(): void {
    const { clock } = this.#options;
    this.#cancels = [
      clock.every(TICK_MS, () => {
        this.#tick();
      }),
      clock.every(VOTERS_INTERVAL_MS, () => {
        this.#repairVoters();
      }),
    ];
    this.#tick();
  }

  close(): void {
    this.#steps.close();
    for (const cancel of this.#cancels) cancel();
    for (const answer of this.#answers.values()) {
      answer.reject(
        new BrokerError(
          'OUTCOME_UNKNOWN',
          `Cannot tell what was decided: broker ${this.#options.self} is no longer the controller`,
        ),
      );
    }
    this.#answers.clear();
  }

  request(request: ControllerRequest): Promise<Decision> {
    if (request.kind !== 'heartbeat' || request.wallMs === undefined) return this.#ask(request);
    const clockSkewMs = this.#compareClock(request, request.wallMs);
    if (clockSkewMs === null) return this.#ask(request);
    return this.#ask(request).then((reply) =>
      reply.kind === 'heartbeat' ? { ...reply, clockSkewMs } : reply,
    );
  }

  /** As of its arrival: what the answer waits for is no part of the broker's clock. */
  #compareClock({ brokerId, brokerEpoch }: HeartbeatRequest, wallMs: WallMs): number | null {
    const { clock, quorum } = this.#options;
    const { brokers } = quorum.image;
    // An incarnation that was replaced, or a broker that was removed, is told so by the core.
    if (brokers.get(brokerId)?.brokerEpoch !== brokerEpoch) return null;
    return this.#clockSkew.note(brokerId, wallMs, clock.monotonicMs(), brokers.keys());
  }

  #ask(request: ControllerRequest): Promise<Decision> {
    const requestId = this.#nextRequestId;
    this.#nextRequestId += 1;
    return new Promise((resolve, reject) => {
      this.#answers.set(requestId, { resolve, reject });
      this.#steps.push({ kind: 'request', requestId, request });
    });
  }

  disconnected(brokerId: BrokerId): void {
    this.#steps.push({ kind: 'disconnected', brokerId });
  }

  #tick(): void {
    const { clock, quorum } = this.#options;
    const { voters, areVotersCommitted } = quorum.status;
    if (areVotersCommitted && voters !== this.#votersTold) {
      this.#votersTold = voters;
      this.#steps.push({ kind: 'voters', voters });
    }
    this.#steps.push({ kind: 'tick', nowMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  }

  #carryOut(output: ControllerOutput): void {
    for (const fact of output.facts) this.#options.onFact(...fact);
    for (const { proposalId, records } of output.proposals) {
      this.#options.quorum.propose(records).then(
        () => {
          this.#steps.push({
            kind: 'committed',
            proposalId,
            index: this.#options.quorum.image.index,
          });
        },
        (error: unknown) => {
          // The speculative image is wrong from here on; only a new term may start another one.
          this.#options.onFact('controller-proposal-failed', { reason: String(error) });
          this.#options.quorum.resign();
          this.close();
        },
      );
    }
    for (const { requestId, reply } of output.replies) {
      const answer = this.#answers.get(requestId);
      this.#answers.delete(requestId);
      if (reply instanceof BrokerError) answer?.reject(reply);
      else answer?.resolve({ ...reply, metadataIndex: this.#options.quorum.image.index });
    }
    for (const probe of output.probes) this.#probe(probe);
    for (const inspection of output.inspections) this.#inspect(inspection);
  }

  #probe(probe: ControllerOutput['probes'][number]): void {
    const { brokerId, brokerEpoch } = probe;
    const done = (result: 'alive' | 'refused' | 'silent'): void => {
      this.#steps.push({ kind: 'probed', brokerId, brokerEpoch, result });
    };
    this.#options.peers.probe(probe, PROBE_DEADLINE_MS).then(
      (info) => {
        done(isIncarnation(info, brokerId, brokerEpoch) ? 'alive' : 'refused');
      },
      () => {
        done('silent');
      },
    );
  }

  #inspect(inspection: ControllerOutput['inspections'][number]): void {
    const { topicId, partition, leaderEpoch, brokerId, brokerEpoch } = inspection;
    const { self, peers, inspectLocal } = this.#options;
    const look =
      brokerId === self
        ? inspectLocal({ topicId, partition, leaderEpoch, brokerEpoch }, INSPECT_DEADLINE_MS)
        : peers.callInspect(
            brokerId,
            { topicId, partition, leaderEpoch, brokerEpoch },
            INSPECT_DEADLINE_MS,
          );
    const done = (log: InspectedLog | null): void => {
      this.#steps.push({
        kind: 'inspected',
        topicId,
        partition,
        leaderEpoch,
        brokerId,
        brokerEpoch,
        log,
      });
    };
    look.then(done, () => {
      done(null);
    });
  }

  /** One change of voters at a time, decided from what is committed. */
  #repairVoters(): void {
    const { clock, quorum, live } = this.#options;
    const { voterReplaceMs, votersMax } = live.values;
    const nowMs = clock.monotonicMs();
    for (const broker of quorum.image.brokers.values()) {
      if (!broker.fenced) this.#fencedSinceMs.delete(broker.brokerId);
      else if (!this.#fencedSinceMs.has(broker.brokerId))
        this.#fencedSinceMs.set(broker.brokerId, nowMs);
    }
    if (this.#isChangingVoters || this.#steps.isClosed) return;
    const isGone = (brokerId: BrokerId): boolean =>
      nowMs - (this.#fencedSinceMs.get(brokerId) ?? nowMs) >= voterReplaceMs;
    const voters = nextVoters(quorum.image, quorum.status, { votersMax, isGone });
    if (voters === null) return;
    this.#isChangingVoters = true;
    const names = voters.map((voter) => voter.brokerId).join(',');
    quorum
      .changeVoters(voters)
      .then(
        () => {
          this.#options.onFact('voters-changed', { voters: names });
        },
        (error: unknown) => {
          this.#options.onFact('voters-change-refused', { voters: names, reason: String(error) });
        },
      )
      .finally(() => {
        this.#isChangingVoters = false;
      });
  }
}

/**
 * Whatever answers at the address may be another incarnation, or another broker: then the one we
 * asked about is dead.
 */
function isIncarnation(
  info: (NodeInfo & Partial<Address>) | null,
  brokerId: BrokerId,
  brokerEpoch: number,
): boolean {
  return info !== null && info.brokerId === brokerId && info.brokerEpoch === brokerEpoch;
}
