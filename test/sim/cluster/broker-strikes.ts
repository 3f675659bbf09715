/**
 * Strikes on a broker's place in the cluster: it is removed and returns, or there are two of it.
 */
import type { Random } from '../../../base/random.ts';
import type { Patience } from './patience.ts';
import type { SimBroker } from './sim-broker.ts';

const EMPTY_MS = 25_000;
const REMOVE_MS = 30_000;
/** Long enough for a registration, were it granted. */
const RETURN_MS = 5_000;
/** Fewer brokers cannot hold all replicas of a topic while one is gone. */
const BROKERS_MIN = 4;

export interface BrokerStrikesParts {
  readonly patience: Patience;
  /** Those that the cluster has; a removed one gives its place to a new one. */
  readonly brokers: SimBroker[];
  readonly isWhole: () => boolean;
  /** Of an id that nobody had before, with an empty disk. */
  readonly makeBroker: () => SimBroker;
}

export class BrokerStrikes {
  readonly #parts: BrokerStrikesParts;
  #isBusy = false;

  constructor(parts: BrokerStrikesParts) {
    this.#parts = parts;
  }

  /**
   * A broker is emptied, or just dies, and is removed. Then it returns with an empty disk, its old
   * disk is tried, or another one takes its place.
   */
  async remove(broker: SimBroker, random: Random): Promise<void> {
    const { brokers } = this.#parts;
    if (this.#isBusy || brokers.length < BROKERS_MIN || broker.isHeld) return;
    this.#isBusy = true;
    const isRemoved = random.chance(0.5) ? await this.#empty(broker) : true;
    if (isRemoved) {
      broker.hold();
      if (await this.#forget(broker)) await this.#return(broker, random);
      else broker.release();
    }
    this.#isBusy = false;
  }

  /** Resolves with whether it holds nothing any more, and was stopped. */
  async #empty(broker: SimBroker): Promise<boolean> {
    const { patience } = this.#parts;
    const { admin, ground } = patience;
    const { brokerId } = broker;
    let left = Number.POSITIVE_INFINITY;
    const look = async (): Promise<void> => {
      left = await admin.decommission(brokerId);
    };
    for (let waitedMs = 0; left > 0 && waitedMs < EMPTY_MS && patience.isOn(); waitedMs += 500) {
      await patience.insist(`decommission ${brokerId}`, look, '', 500);
      await patience.pause(500);
    }
    if (left === 0) {
      broker.isWanted = false;
      await broker.stop();
      broker.isWanted = true;
      return true;
    }
    ground.note(`b${brokerId} still holds ${left} replicas`);
    await patience.insist(
      `recommission ${brokerId}`,
      () => admin.recommission(brokerId),
      '',
      REMOVE_MS,
    );
    return false;
  }

  /** Resolves with whether the cluster has forgotten the broker. */
  #forget({ brokerId }: SimBroker): Promise<boolean> {
    const { patience } = this.#parts;
    const call = () => patience.admin.removeBroker(brokerId);
    return patience.insist(`remove ${brokerId}`, call, 'UNKNOWN_BROKER', REMOVE_MS);
  }

  async #return(broker: SimBroker, random: Random): Promise<void> {
    const { patience, brokers, makeBroker } = this.#parts;
    const { ground } = patience;
    const way = random.pick(['empty disk', 'old disk', 'another id'] as const);
    ground.note(`b${broker.brokerId} is removed; what comes has ${way}`);
    await patience.pause(random.below(3_000));
    if (way === 'another id') {
      const other = makeBroker();
      brokers.splice(brokers.indexOf(broker), 1, other);
      other.start();
      return;
    }
    if (way === 'old disk') {
      broker.release();
      if (await patience.until(() => broker.isServing, RETURN_MS))
        ground.fail(`b${broker.brokerId} serves from the disk of a broker that was removed (P12)`);
      broker.hold();
    }
    broker.disk.volume.empty();
    broker.bootNumber += 1;
    broker.release();
  }

  /**
   * A copy of the broker's disk runs on another host under the broker's id, before the broker comes
   * back or while it runs.
   */
  async double(broker: SimBroker, random: Random): Promise<void> {
    if (this.#isBusy || broker.isHeld) return;
    this.#isBusy = true;
    const { patience, isWhole } = this.#parts;
    // The copy is another's disk, or old by then: one lossy event, which others of the same window
    // must not join. Whoever is held back is not whole, so it is asked before.
    const isClean = random.chance(0.4);
    let mayRun = isWhole();
    if (isClean && mayRun) {
      broker.isWanted = false;
      await broker.stop();
      broker.isWanted = true;
      broker.hold();
    }
    const twin = broker.twin(random);
    if (!isClean) await this.#rest(random, 4_000);
    const isAlone = isClean || random.chance(0.5);
    if (!isClean) mayRun = isWhole();
    if (isAlone && mayRun && !isClean) broker.hold();
    mayRun &&= patience.isOn();
    if (mayRun) {
      patience.ground.note(`b${broker.brokerId} runs twice`);
      twin.start();
      await this.#rest(random, 6_000);
    }
    if (isAlone) broker.release();
    if (mayRun) await this.#rest(random, 6_000);
    twin.isWanted = false;
    twin.kill();
    this.#isBusy = false;
  }

  /** Ends early when healing begins. */
  async #rest(random: Random, maxMs: number): Promise<void> {
    const { patience } = this.#parts;
    await patience.until(() => !patience.isOn(), random.below(maxMs));
  }
}
