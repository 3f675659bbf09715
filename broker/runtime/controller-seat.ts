/**
 * Where decisions are made: here while this broker leads the metadata quorum, else at the broker that does. Starts and ends the controller as
 * leadership comes and goes, and hands leadership on when this broker stops.
 */
import { BrokerError } from '../base/errors.ts';
import type { BrokerId } from '../base/units.ts';
import { NO_BROKER } from '../base/units.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import type { RaftStatus } from '../raft/types.ts';
import { ControllerDriver } from './controller-driver.ts';
import type { ControllerDriverOptions } from './controller-driver.ts';
import type { BrokerOptions } from './options.ts';
import type { Quorum } from './quorum.ts';

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

  /** Controller as others know it: used while this broker's own quorum knows none, since the leader cannot dial a newcomer before it is registered. */
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

  /** Asks wherever the controller is, again and again until the deadline while none is to be found. */
  async decide(request: ControllerRequest, deadlineMs: number): Promise<Decision> {
    const { clock } = this.#options.broker;
    const end = clock.monotonicMs() + deadlineMs;
    for (;;) {
      try {
        return await this.#decideOnce(request, Math.max(1, end - clock.monotonicMs()));
      } catch (error) {
        const isPassing =
          error instanceof BrokerError &&
          (error.code === 'NOT_CONTROLLER' || error.code === 'BROKER_NOT_READY');
        if (!isPassing || clock.monotonicMs() + DECIDE_RETRY_MS >= end) throw error;
      }
      await this.#pause(DECIDE_RETRY_MS);
    }
  }

  /** Answers only while the controller is here. Rejects with NOT_CONTROLLER and a hint. */
  decideHere(request: ControllerRequest): Promise<Decision> {
    if (this.#driver !== null) return this.#driver.request(request);
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
    if (this.#driver !== null) return await this.#driver.request(request);
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
