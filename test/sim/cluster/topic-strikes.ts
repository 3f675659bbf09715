/** Strikes on a topic as a whole: it is made again, or loses what only one replica held. */
import type { Random } from '../../../base/random.ts';
import { TidemarkError } from '../../../client/index.ts';
import type { Patience, RowOf } from './patience.ts';
import type { SimBroker } from './sim-broker.ts';
import type { History } from './history.ts';
import { creationOf, REMADE, TRIMMED, UNCLEAN } from './topics.ts';

/** Until it is done, healing or not; the bound of liveness is longer. */
const REMAKE_MS = 60_000;
const ALONE_MS = 6_000;
const GIVE_UP_MS = 6_000;

export class TopicStrikes {
  readonly #patience: Patience;
  readonly #brokers: readonly SimBroker[];
  readonly #rowOf: RowOf;
  readonly #history: History;
  #isRemaking = false;
  #isLosing = false;

  constructor(patience: Patience, history: History, brokers: readonly SimBroker[], rowOf: RowOf) {
    this.#patience = patience;
    this.#history = history;
    this.#brokers = brokers;
    this.#rowOf = rowOf;
  }

  /** The topic is deleted and made again under its name, while programs write to it. */
  async remake(random: Random): Promise<void> {
    if (this.#isRemaking) return;
    this.#isRemaking = true;
    const { admin } = this.#patience;
    const { name } = REMADE;
    const remove = () => admin.deleteTopic(name);
    await this.#patience.insist(`delete ${name}`, remove, 'UNKNOWN_TOPIC', REMAKE_MS);
    await this.#patience.pause(random.below(1_000));
    const make = () => admin.createTopic(creationOf(REMADE));
    await this.#patience.insist(`create ${name}`, make, 'TOPIC_EXISTS', REMAKE_MS);
    this.#isRemaking = false;
  }

  /** A log is made to begin somewhere between its start and its end, once. */
  async trim(random: Random): Promise<void> {
    const { name, partitions } = TRIMMED;
    const partition = random.below(partitions);
    const share = random.pick([0.2, 0.6, 1]);
    const { admin, ground } = this.#patience;
    try {
      const [found] = await admin.listOffsets(name, { partitions: [partition] });
      if (found === undefined || found.error !== undefined) return;
      const { logStart: start, highWaterMark: end } = found;
      const offset = start + Math.floor((end - start) * share);
      const trim = { topic: name, partition, offset, logStart: null as number | null };
      this.#history.trims.push(trim);
      const [done] = await admin.trimTopic(name, [{ partition, offset }]);
      trim.logStart = done?.logStart ?? null;
      const answer = done?.error?.code ?? `begins at ${trim.logStart}`;
      ground.note(`trim ${name}/${partition} to ${offset}: ${answer}`);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      ground.note(`trim ${name}/${partition}: ${error.code} ${error.message.slice(0, 120)}`);
    }
  }

  /**
   * One of the two replicas dies, the other goes on alone, and then loses its log, or dies and is
   * given up by name.
   */
  async loseLast(random: Random): Promise<void> {
    if (this.#isLosing) return;
    const { name, partitions } = UNCLEAN;
    const partition = random.below(partitions);
    const row = this.#rowOf(name, partition);
    const [last] = this.#brokersOf([row?.leader ?? -1]);
    const others = this.#brokersOf(row?.replicas ?? []).filter((broker) => broker !== last);
    // A broker that another strike holds comes back when that one says so.
    if (last === undefined || [last, ...others].some(({ isHeld }) => isHeld)) return;
    this.#isLosing = true;
    const { ground } = this.#patience;
    for (const broker of others) broker.hold();
    const isAlone = await this.#patience.until(
      () => !this.#patience.isOn() || this.#rowOf(name, partition)?.syncSet.length === 1,
      ALONE_MS,
    );
    await this.#patience.pause(random.below(2_000));
    if (isAlone && this.#patience.isOn()) {
      ground.note(`${name}/${partition} is held by ${last.brokerId} alone`);
      last.hold();
      if (random.chance(0.3)) await this.#giveUp(partition, last, others);
      else loseLog(last, random);
      last.release();
    }
    for (const broker of others) broker.release();
    this.#isLosing = false;
  }

  /** The others come back and lead without the last one, whose disk returns later. */
  async #giveUp(partition: number, last: SimBroker, others: readonly SimBroker[]): Promise<void> {
    const { admin } = this.#patience;
    for (const broker of others) broker.release();
    const request = { topic: UNCLEAN.name, partition, unclean: true, givenUp: [last.brokerId] };
    await this.#patience.insist(
      `unclean election of ${UNCLEAN.name}/${partition} without ${last.brokerId}`,
      () => admin.electLeader(request),
      '',
      GIVE_UP_MS,
    );
    await this.#patience.pause(1_000);
  }

  #brokersOf(ids: readonly number[]): SimBroker[] {
    return this.#brokers.filter(({ brokerId }) => ids.includes(brokerId));
  }
}

/** The one lossy event: power loss, an emptied disk, or the topic's folders gone. */
function loseLog(broker: SimBroker, random: Random): void {
  const { disk } = broker;
  const how = random.below(3);
  broker.bootNumber += 1;
  if (how === 0) disk.losePower();
  else if (how === 1) disk.volume.empty();
  else {
    const folders = new Set(
      disk.volume
        .files()
        .filter((path) => /partitions\/.*\.log$/.test(path))
        .map((path) => path.slice(0, path.lastIndexOf('/'))),
    );
    for (const folder of folders) if (random.chance(0.5)) disk.volume.lose(folder);
  }
}
