/**
 * Where decisions are made: here while this broker leads the metadata quorum, else at the broker
 * that does. Starts and ends the controller as leadership comes and goes, and hands leadership on
 * when this broker stops.
 */
import { BrokerError, type ErrorCode } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { NO_BROKER } from '../../../base/units.ts';
import type { Decision, ControllerRequest } from '../../metadata/controller-types.ts';
import type { RaftStatus } from '../../raft/types.ts';
import { ControllerDriver } from './controller-driver.ts';
import type { ControllerDriverOptions } from './controller-driver.ts';
import type { BrokerOptions } from '../options.ts';
import { refusalOf } from './judged-requests.ts';
import type { Quorum } from './quorum.ts';

/** Answers after which the controller is looked for again. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'NOT_CONTROLLER',
  'BROKER_NOT_READY',
  'UNREACHABLE',
  'OUTCOME_UNKNOWN',
]);
/**
 * Requests that name what they change, so that an attempt which arrives late changes nothing that
 * was decided since: a registration names its start, a heartbeat states how the sender is now and
 * is soon followed by another, changes of (S, q) name the epochs that they compare, a new topic or
 * queue its id. No other request is repeated after an attempt that may have left.
 */
const NAMED: ReadonlySet<ControllerRequest['kind']> = new Set([
  'register',
  'heartbeat',
  'alter-sync-set',
  'alter-sync-sets',
  'create-topic',
  'create-queue',
]);
/** Pause between tries to find the controller. */
const DECIDE_RETRY_MS = 20;
/** How long a quorum leader that stops waits for its successor. */
const TRANSFER_WAIT_MS = 2_000;
const TRANSFER_LOOK_MS = 10;

export interface ControllerSeatOptions {
  readonly broker: BrokerOptions;
  readonly clusterId: string;
  readonly quorum: Quorum;
  readonly inspectLocal: ControllerDriverOptions['inspectLocal'];
}

export class ControllerSeat {
  readonly #options: ControllerSeatOptions;
  readonly #self: BrokerId;
  #driver: ControllerDriver | null = null;
  #told: BrokerId = NO_BROKER;

  constructor(options: ControllerSeatOptions) {
    this.#options = options;
    this.#self = options.broker.brokerId;
  }

  /**
   * Controller as others know it: used while this broker's own quorum knows none, since the leader
   * cannot dial a newcomer before it is registered.
   */
  told(controller: BrokerId): void {
    this.#told = controller;
  }

  close(): void {
    this.#driver?.close();
    this.#driver = null;
  }

  disconnected(brokerId: BrokerId): void {
    this.#driver?.disconnected(brokerId);
  }

  /**
   * Asks wherever the controller is, again and again until the deadline while none is to be found.
   * Every attempt that left may still arrive: after one without a certain answer, a refusal of a
   * later one is no proof for the request, and the error says so by its effect (rule 12).
   */
  async decide(request: ControllerRequest, deadlineMs: number): Promise<Decision> {
    const { clock } = this.#options.broker;
    const end = clock.monotonicMs() + deadlineMs;
    let isUncertain = false;
    for (;;) {
      try {
        const decision = await this.#decideOnce(request, Math.max(1, end - clock.monotonicMs()));
        return isUncertain ? withUncertainOutcomes(decision) : decision;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        isUncertain ||= error.effect === 'unknown';
        const isPassing = PASSING.has(error.code) && (!isUncertain || isNamed(request));
        const isLate = clock.monotonicMs() + DECIDE_RETRY_MS >= end;
        if (!isPassing || isLate) throw isUncertain ? uncertain(error) : error;
      }
      await this.#pause(DECIDE_RETRY_MS);
    }
  }

  /** Answers only while the controller is here. Rejects with NOT_CONTROLLER and a hint. */
  decideHere(request: ControllerRequest): Promise<Decision> {
    if (this.#driver !== null) {
      const { access } = this.#options.broker;
      const { image } = this.#options.quorum;
      const refusal = refusalOf(request, (principal) => access.rightsOf(principal, image));
      return refusal === null ? this.#driver.request(request) : Promise.reject(refusal);
    }
    const { leader } = this.#options.quorum;
    const hint = leader === NO_BROKER || leader === this.#self ? {} : { controller: leader };
    return Promise.reject(
      new BrokerError(
        'NOT_CONTROLLER',
        `Cannot decide: broker ${this.#self} is not the controller`,
        hint,
      ),
    );
  }

  /** The quorum's role, leader or readiness changed. */
  moved(status: RaftStatus): void {
    const { broker, quorum, clusterId } = this.#options;
    if (status.role !== 'leader' || !status.isLeaderReady) {
      this.close();
      return;
    }
    if (this.#driver !== null) return;
    if (quorum.image.clusterId !== '') {
      this.#begin();
      return;
    }
    const featureLevel = broker.featureLevelMax;
    quorum.propose([{ kind: 'cluster', clusterId, featureLevel }]).then(
      () => {
        if (this.#driver === null && quorum.status.role === 'leader') this.#begin();
      },
      (error: unknown) => {
        broker.onFact('cluster-record-failed', { reason: String(error) });
      },
    );
  }

  /** Lets another voter lead the quorum, if this broker leads it and there is one. */
  async handOver(): Promise<void> {
    const { quorum } = this.#options;
    const { clock } = this.#options.broker;
    const isUsable = (brokerId: BrokerId): boolean => {
      const broker = quorum.image.brokers.get(brokerId);
      return brokerId !== this.#self && broker !== undefined && !broker.fenced && !broker.stopping;
    };
    const successor = quorum.status.voters.find((voter) => isUsable(voter.brokerId));
    if (quorum.status.role !== 'leader' || successor === undefined) return;
    quorum.step({ kind: 'transfer', to: successor.brokerId });
    const end = clock.monotonicMs() + TRANSFER_WAIT_MS;
    while (quorum.status.role === 'leader' && clock.monotonicMs() < end)
      await this.#pause(TRANSFER_LOOK_MS);
  }

  #begin(): void {
    const { broker, quorum, inspectLocal } = this.#options;
    const { brokerId, seed, sessionTimeoutMs, live, partitionsMax } = broker;
    const { defaults, clock, peers, onFact } = broker;
    const settings = {
      self: brokerId,
      seed,
      sessionTimeoutMs,
      live,
      partitionsMax,
      defaults,
    };
    this.#driver = new ControllerDriver(
      { ...settings, clock, peers, quorum, inspectLocal, onFact },
      quorum.image,
    );
    this.#driver.start();
  }

  async #decideOnce(request: ControllerRequest, deadlineMs: number): Promise<Decision> {
    if (this.#driver !== null) return await this.decideHere(request);
    const { leader } = this.#options.quorum;
    const controller = leader === NO_BROKER ? this.#told : leader;
    if (controller === NO_BROKER || controller === this.#self) {
      throw new BrokerError(
        'NOT_CONTROLLER',
        'Cannot decide: no controller is known at the moment',
      );
    }
    return await this.#options.broker.peers.callController(controller, request, deadlineMs);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.broker.clock.after(delayMs, resolve);
    });
  }
}

function isNamed(request: ControllerRequest): boolean {
  if (request.kind !== 'init-producer') return NAMED.has(request.kind);
  // An anonymous producer takes a number that nobody else has; a name is compared first.
  return request.name === '' || request.expected !== undefined;
}

/** What the last attempt was answered, with the certainty of all of them. */
function uncertain(error: BrokerError): BrokerError {
  if (error.effect === 'unknown') return error;
  return new BrokerError(
    error.code,
    `${error.message}; an earlier attempt got no answer and may still be carried out`,
    { ...error.details, effect: 'unknown' },
    error,
  );
}

/** The same for each of many changes that is refused. */
function withUncertainOutcomes(decision: Decision): Decision {
  if (decision.kind !== 'alter-sync-sets') return decision;
  const outcomes = decision.outcomes.map((outcome) =>
    outcome instanceof BrokerError ? uncertain(outcome) : outcome,
  );
  return { ...decision, outcomes };
}
