/**
 * Runs the controller core while this broker leads the metadata quorum: carries requests in, proposals, probes and inspections out, and
 * keeps the set of voters in repair. When leadership goes, everything pending is answered NOT_CONTROLLER; nothing is carried over.
 */
import { BrokerError } from '../base/errors.ts';
import type { BrokerId } from '../base/units.ts';
import { ClockSkew } from '../metadata/clock-skew.ts';
import { Controller } from '../metadata/controller/controller.ts';
import type {
  ControllerInput,
  ControllerOutput,
  Decision,
  ControllerRequest,
} from '../metadata/controller-types.ts';
import type { MetadataImage, TopicConfig } from '../metadata/types.ts';
import type { Peer } from '../raft/types.ts';
import { nextVoters } from '../metadata/voters.ts';
import type { LiveOptions } from './live-options.ts';
import type { InspectedLog, Inspection, NodeInfo, Address, Cancel, Clock, Peers } from './ports.ts';
import type { Quorum } from './quorum.ts';

const TICK_MS = 50;
/** How long one probe or inspection may take. */
const PROBE_DEADLINE_MS = 1_000;
/** Pause between probes of a broker that is not heard: a process that is being killed may still take connections that nobody will answer. */
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
  readonly inspectLocal: (inspection: Inspection) => Promise<InspectedLog | null>;
  readonly onFact: (
    event: string,
    fields: Readonly<Record<string, string | number | boolean>>,
  ) => void;
}

type Answer = {
  readonly resolve: (reply: Decision) => void;
  readonly reject: (error: BrokerError) => void;
};

export class ControllerDriver {
  readonly #options: ControllerDriverOptions;
  readonly #controller: Controller;
  readonly #answers = new Map<number, Answer>();
  readonly #inputs: ControllerInput[] = [];
  readonly #fencedSinceMs = new Map<BrokerId, number>();
  readonly #clockSkew = new ClockSkew();
  #isStepping = false;
  #isClosed = false;
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
    this.#isClosed = true;
    for (const cancel of this.#cancels) cancel();
    for (const answer of this.#answers.values()) {
      answer.reject(
        new BrokerError(
          'NOT_CONTROLLER',
          `Cannot decide: broker ${this.#options.self} is no longer the controller`,
        ),
      );
    }
    this.#answers.clear();
  }

  request(request: ControllerRequest): Promise<Decision> {
    if (request.kind !== 'heartbeat' || request.wallMs === undefined) return this.#ask(request);
    const { brokerId, wallMs } = request;
    // As of its arrival: what the answer waits for is no part of the broker's clock.
    const clockSkewMs = this.#clockSkew.note(brokerId, wallMs, this.#options.clock.monotonicMs());
    return this.#ask(request).then((reply) =>
      reply.kind === 'heartbeat' ? { ...reply, clockSkewMs } : reply,
    );
  }

  #ask(request: ControllerRequest): Promise<Decision> {
    const requestId = this.#nextRequestId;
    this.#nextRequestId += 1;
    return new Promise((resolve, reject) => {
      this.#answers.set(requestId, { resolve, reject });
      this.#step({ kind: 'request', requestId, request });
    });
  }

  disconnected(brokerId: BrokerId): void {
    this.#step({ kind: 'disconnected', brokerId });
  }

  #tick(): void {
    const { clock, quorum } = this.#options;
    const { voters, areVotersCommitted } = quorum.status;
    if (areVotersCommitted && voters !== this.#votersTold) {
      this.#votersTold = voters;
      this.#step({ kind: 'voters', voters });
    }
    this.#step({ kind: 'tick', nowMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  }

  #step(input: ControllerInput): void {
    if (this.#isClosed) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (
        let next = this.#inputs.shift();
        next !== undefined && !this.#isClosed;
        next = this.#inputs.shift()
      ) {
        this.#carryOut(this.#controller.step(next));
      }
    } finally {
      this.#isStepping = false;
    }
  }

  #carryOut(output: ControllerOutput): void {
    for (const fact of output.facts) this.#options.onFact(fact.event, fact.fields);
    for (const { proposalId, records } of output.proposals) {
      this.#options.quorum.propose(records).then(
        () => {
          this.#step({ kind: 'committed', proposalId });
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
      this.#step({ kind: 'probed', brokerId, brokerEpoch, result });
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
        ? inspectLocal({ topicId, partition, leaderEpoch, brokerEpoch })
        : peers.callInspect(
            brokerId,
            { topicId, partition, leaderEpoch, brokerEpoch },
            INSPECT_DEADLINE_MS,
          );
    const done = (log: InspectedLog | null): void => {
      this.#step({
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
    if (this.#isChangingVoters || this.#isClosed) return;
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

/** Whatever answers at the address may be another incarnation, or another broker: then the one we asked about is dead. */
function isIncarnation(
  info: (NodeInfo & Partial<Address>) | null,
  brokerId: BrokerId,
  brokerEpoch: number,
): boolean {
  return info !== null && info.brokerId === brokerId && info.brokerEpoch === brokerEpoch;
}
