/**
 * Strikes the cluster by its profile's weights, and heals it. Every strike is drawn from its number
 * alone, so that a schedule from which some are left out does the same for the rest. Lossy events
 * are spaced so that the promise must hold throughout.
 */
import { Random } from '../../../base/random.ts';
import { type Admin, TidemarkError } from '../../../client/index.ts';
import type { Ground } from './ground.ts';
import type { History } from './history.ts';
import { type Fault, FAULTS, LOSSY, type Profile } from './profile.ts';
import { hostName, type SimBroker } from './sim-broker.ts';
import { Patience, type RowOf } from './patience.ts';
import { BrokerStrikes } from './broker-strikes.ts';
import { TopicStrikes } from './topic-strikes.ts';
import type { SimTopic } from './topics.ts';

const DAY_MS = 86_400_000;
const DOWN_MS_MAX = 6_000;
const MIB = 2 ** 20;
const IO_ERROR_MS = 300;
const LOG_FILE = /partitions\/.*\.log$/;

export interface FaultsParts {
  readonly seed: number;
  readonly ground: Ground;
  readonly history: History;
  readonly profile: Profile;
  readonly brokers: SimBroker[];
  readonly topics: readonly SimTopic[];
  readonly admin: Admin;
  /** Numbers of strikes that are left out. */
  readonly skipped: ReadonlySet<number>;
  /** Every replica is in its sync set, trusted: what was lost is copied again. */
  readonly isWhole: () => boolean;
  readonly rowOf: RowOf;
  readonly makeBroker: () => SimBroker;
  /** Another program takes the producer's name. */
  readonly takeName: () => Promise<void>;
}

/** One strike, and the chance that is its own. */
interface Strike {
  readonly broker: SimBroker;
  readonly random: Random;
}

export class Faults {
  readonly #parts: FaultsParts;
  readonly #acts: Readonly<Record<Fault, (strike: Strike) => void>>;
  #isOn = false;
  #strikes = 0;

  constructor(parts: FaultsParts) {
    this.#parts = parts;
    this.#acts = {
      ...this.#processActs(),
      ...this.#diskActs(),
      ...this.#adminActs(),
      ...this.#longActs(),
    };
  }

  /** Strikes so far, those that were left out among them. */
  get strikes(): number {
    return this.#strikes;
  }

  start(): void {
    this.#isOn = true;
    this.#next();
  }

  /**
   * No more faults; what is down comes up, what is cut is joined, disks are sound and have room.
   */
  heal(): void {
    this.#isOn = false;
    const { ground, brokers } = this.#parts;
    ground.network.heal();
    for (const broker of brokers) {
      broker.isWanted = true;
      broker.wallOffsetMs = 0;
      const { faults, volume } = broker.disk;
      faults.profile = { ...faults.profile, eioRate: 0, enospcRate: 0, stallRate: 0 };
      volume.setCapacity(2 ** 40);
      if (!broker.isRunning) broker.start();
    }
  }

  #next(): void {
    const { ground, profile, seed, skipped } = this.#parts;
    this.#strikes += 1;
    const number = this.#strikes;
    const random = new Random(seed).fork(`strike ${number}`);
    ground.time.after(1 + random.below(2 * profile.faultEveryMs), () => {
      if (!this.#isOn) return;
      if (!skipped.has(number)) this.#strike(number, random);
      this.#next();
    });
  }

  #strike(number: number, random: Random): void {
    const { ground, profile, brokers, isWhole } = this.#parts;
    const tickets = FAULTS.flatMap((fault) =>
      Array.from({ length: profile.weights[fault] }, () => fault),
    );
    if (tickets.length === 0) return;
    const fault = random.pick(tickets);
    const broker = random.pick(brokers);
    // What was lost before is not yet copied again: another loss in the same window is more than
    // was promised.
    if (LOSSY.includes(fault) && !isWhole()) return;
    ground.trace.mark(ground.time.nowMs, `strike ${number}: ${fault} ${hostName(broker.brokerId)}`);
    this.#acts[fault]({ broker, random });
  }

  #processActs() {
    const { ground, brokers } = this.#parts;
    return {
      kill: (strike: Strike) => this.#down(strike, (broker) => broker.kill()),
      'kill-two': (strike: Strike) => {
        this.#down(strike, (broker) => broker.kill());
        this.#down({ ...strike, broker: strike.random.pick(brokers) }, (broker) => broker.kill());
      },
      'orderly-stop': (strike: Strike) => this.#orderlyStop(strike),
      'roll-all': ({ random }: Strike) => void this.#rollAll(random),
      stall: ({ broker, random }: Strike) => broker.process?.stall(50 + random.below(8_000)),
      cut: (strike: Strike) => this.#cut(strike, true),
      'cut-one-way': (strike: Strike) => this.#cut(strike, false),
      'break-connection': () => ground.network.breakOne(),
      'clock-jump': ({ broker, random }: Strike) => {
        const size = random.pick([5_000, 120_000, DAY_MS, 40 * DAY_MS]);
        const way = random.pick([-1, 0, 1]);
        broker.wallOffsetMs = way * size;
      },
    };
  }

  #diskActs() {
    const { ground, brokers } = this.#parts;
    /** Something happens to the disk while its broker is down. */
    const lose = (strike: Strike, what: (broker: SimBroker) => void): void =>
      this.#down(strike, (broker) => {
        broker.kill();
        what(broker);
        broker.bootNumber += 1;
      });
    return {
      'power-loss': (strike: Strike) => this.#down(strike, (broker) => broker.losePower()),
      'disk-stall': ({ broker, random }: Strike) => {
        const fault = { kind: 'delay', delayMs: 100 + random.below(4_000) } as const;
        broker.disk.faults.add({ kinds: ['writev', 'datasync'], times: 3, fault });
      },
      'io-error': ({ broker }: Strike) => {
        const disarm = broker.disk.faults.add({
          kinds: ['writev', 'datasync', 'rename', 'truncate'],
          path: /partitions|checkpoint/,
          fault: { kind: 'error', code: 'EIO' },
        });
        // It strikes in this repair window or not at all.
        ground.time.after(IO_ERROR_MS, disarm);
      },
      'bit-flip': ({ random }: Strike) => {
        // Always on the same broker: see profile.ts.
        const { volume } = brokers[0]!.disk;
        const files = volume.files().filter((path) => LOG_FILE.test(path));
        if (files.length > 0) volume.flipBit(random.pick(files));
      },
      'empty-disk': (strike: Strike) => lose(strike, ({ disk }) => disk.volume.empty()),
      'lose-folder': (strike: Strike) =>
        lose(strike, ({ disk }) => loseFolder(disk.volume, strike.random)),
      'lose-file': (strike: Strike) =>
        lose(strike, ({ disk: { volume } }) => {
          const files = volume.files().filter((path) => LOG_FILE.test(path));
          if (files.length > 0) volume.lose(strike.random.pick(files));
        }),
      rollback: ({ broker, random }: Strike) => {
        const snapshot = broker.disk.volume.snapshot();
        ground.time.after(500 + random.below(4_000), () => {
          if (!this.#isOn || !this.#parts.isWhole()) return;
          ground.note(`rollback ${hostName(broker.brokerId)}`);
          lose({ broker, random }, ({ disk }) => disk.volume.restore(snapshot));
        });
      },
      'full-disk': ({ broker, random }: Strike) => {
        const { volume } = broker.disk;
        volume.setCapacity(volume.usedBytes + random.pick([0, 64 * 1024, MIB]));
        ground.time.after(1_000 + random.below(10_000), () => {
          volume.setCapacity(2 ** 40);
        });
      },
    };
  }

  #adminActs() {
    const modes = ['in-sync', 'quorum'] as const;
    return {
      min: ({ random }: Strike) =>
        this.#alter(random, { minInSyncReplicas: random.pick([2, 2, 3]) }),
      mode: ({ random }: Strike) => this.#alter(random, { commitMode: random.pick(modes) }),
      retention: ({ random }: Strike) =>
        this.#alter(random, { segmentMs: random.pick([1_000, 5_000, 60_000]) }),
      reassign: ({ random }: Strike) => this.#reassign(random),
      elect: (strike: Strike) => this.#elect(strike),
    };
  }

  /** Those of several steps. */
  #longActs() {
    const { admin, brokers, ground, history, rowOf, isWhole, makeBroker } = this.#parts;
    const patience = new Patience(ground, admin, () => this.#isOn);
    const topics = new TopicStrikes(patience, history, brokers, rowOf);
    const places = new BrokerStrikes({ patience, brokers, isWhole, makeBroker });
    return {
      remake: ({ random }: Strike) => this.#follow('remake', topics.remake(random)),
      remove: ({ broker, random }: Strike) => this.#follow('remove', places.remove(broker, random)),
      double: ({ broker, random }: Strike) => this.#follow('double', places.double(broker, random)),
      'take-name': () => this.#follow('take-name', this.#parts.takeName()),
      trim: ({ random }: Strike) => this.#follow('trim', topics.trim(random)),
      unclean: ({ random }: Strike) => this.#follow('unclean', topics.loseLast(random)),
    };
  }

  #follow(what: string, strike: Promise<void>): void {
    const { ground, history } = this.#parts;
    history.follow(what, ground.time.nowMs, strike).catch((error: unknown) => {
      ground.fail(`${what} failed with ${String(error)}`);
    });
  }

  #down({ broker, random }: Strike, how: (broker: SimBroker) => void): void {
    broker.isWanted = false;
    how(broker);
    this.#parts.ground.time.after(100 + random.below(DOWN_MS_MAX), () => {
      broker.isWanted = true;
      if (!broker.isRunning) broker.start();
    });
  }

  /** Resolves when it is down; it comes up again by itself. */
  async #orderlyStop({ broker, random }: Strike): Promise<void> {
    const { ground, history } = this.#parts;
    broker.isWanted = false;
    const pauseMs = random.below(2_000);
    try {
      await history.follow(`stop of ${broker.brokerId}`, ground.time.nowMs, broker.stop());
    } catch (error) {
      ground.note(`stop failed: ${String(error)}`);
      broker.kill();
    }
    broker.isWanted = true;
    ground.time.after(pauseMs, () => {
      if (!broker.isRunning && broker.isWanted) broker.start();
    });
  }

  /** One after the other, as an impatient person would: the next as soon as the last one serves. */
  async #rollAll(random: Random): Promise<void> {
    const { ground, brokers } = this.#parts;
    for (const broker of brokers) {
      await this.#orderlyStop({ broker, random });
      while (this.#isOn && !broker.isServing)
        await new Promise<void>((resolve) => ground.time.after(100, resolve));
      if (!this.#isOn) return;
    }
  }

  #cut({ broker, random }: Strike, isBothWays: boolean): void {
    const { ground, brokers } = this.#parts;
    const { network } = ground;
    const one = hostName(broker.brokerId);
    const all = brokers.filter((each) => each !== broker).map(({ brokerId }) => hostName(brokerId));
    const others = random.chance(0.5) ? all : [random.pick(all)];
    for (const other of others) {
      network.cut(one, other);
      if (isBothWays) network.cut(other, one);
    }
    ground.time.after(500 + random.below(15_000), () => {
      network.join(one, others);
    });
  }

  #alter(random: Random, config: Record<string, unknown>): void {
    const { admin, topics } = this.#parts;
    const { name } = random.pick(topics);
    const call = admin.alterTopic({ name, config: config });
    this.#ask(`alter ${name} ${JSON.stringify(config)}`, call);
  }

  #reassign(random: Random): void {
    const { admin, brokers, topics } = this.#parts;
    const { name, partitions } = random.pick(topics);
    const partition = random.below(partitions);
    const ids = brokers.map(({ brokerId }) => brokerId);
    for (let at = ids.length - 1; at > 0; at -= 1) {
      const other = random.below(at + 1);
      [ids[at], ids[other]] = [ids[other]!, ids[at]!];
    }
    const replicas = random.chance(0.2) ? [] : ids.slice(0, 3);
    const call = admin.reassignPartition(name, partition, replicas);
    this.#ask(`reassign ${name}/${partition} ${replicas.join(',')}`, call);
  }

  #elect({ broker: { brokerId }, random }: Strike): void {
    const { admin, topics } = this.#parts;
    const { name, partitions } = random.pick(topics);
    const partition = random.below(partitions);
    const call = admin.electLeader({ topic: name, partition, target: brokerId });
    this.#ask(`elect ${name}/${partition} ${brokerId}`, call);
  }

  #ask(what: string, call: Promise<unknown>): void {
    const { ground, history } = this.#parts;
    history.follow(what, ground.time.nowMs, call).then(
      () => {
        ground.note(`done ${what}`);
      },
      (error: unknown) => {
        if (error instanceof TidemarkError)
          ground.note(`${what}: ${error.code} ${error.message.slice(0, 120)}`);
        else ground.fail(`${what} failed with ${String(error)}`);
      },
    );
  }
}

function loseFolder(volume: { files(): string[]; lose(path: string): void }, random: Random): void {
  const folders = new Set(
    volume
      .files()
      .filter((path) => LOG_FILE.test(path))
      .map((path) => path.slice(0, path.lastIndexOf('/'))),
  );
  if (folders.size > 0) volume.lose(random.pick([...folders]));
}
