/**
 * A rolling restart as the operator does it, on a healed cluster under load: the next broker stops
 * once every partition takes appends and the brokers say that it hurts nobody. Nothing that is sent
 * meanwhile may fail, and no partition may be without its minimum for longer than one broker's
 * death explains.
 */
import type { Random } from '../../../base/random.ts';
import type { PartitionState } from '../../../broker/metadata/types.ts';
import type { Admin, Producer } from '../../../client/index.ts';
import { Patience } from './patience.ts';
import type { Ground } from './ground.ts';
import type { Sent } from './history.ts';
import type { SimBroker } from './sim-broker.ts';

/** Detection and an election, with room for slow disks and networks. */
export const BELOW_MS_MAX = 3_000;
const DELIVERY_MS = 5_000;
const SEND_EVERY_MS = 50;
const LOOK_MS = 50;
const SAFE_MS = 60_000;
const DOWN_MS_MAX = 2_000;

/** A partition and how many replicas must hold what it acknowledges. */
export interface RolledPartition {
  readonly topic: string;
  readonly state: PartitionState;
  readonly minInSyncReplicas: number;
}

export interface RollParts {
  readonly ground: Ground;
  readonly random: Random;
  readonly admin: Admin;
  readonly brokers: readonly SimBroker[];
  readonly partitions: () => readonly RolledPartition[];
  readonly producerOf: (options: { readonly deliveryTimeoutMs: number }) => Producer;
  /** Hands in a record, which the checkers hear of. */
  readonly send: (
    producer: Producer,
    place: { readonly topic: string; readonly partition: number },
  ) => Promise<Sent>;
}

/** How long partitions had no leader or fewer than their minimum, from looks at metadata. */
export class BelowMin {
  readonly #sinceMs = new Map<string, number>();
  readonly faults = new Set<string>();

  look(partitions: readonly RolledPartition[], isUp: (id: number) => boolean, nowMs: number): void {
    for (const partition of partitions) {
      const place = `${partition.topic}/${partition.state.partition}`;
      if (takesAppends(partition, isUp)) {
        this.#sinceMs.delete(place);
        continue;
      }
      const sinceMs = this.#sinceMs.get(place) ?? nowMs;
      this.#sinceMs.set(place, sinceMs);
      if (nowMs - sinceMs > BELOW_MS_MAX)
        this.faults.add(`${place} took no appends for more than ${BELOW_MS_MAX} ms of a roll`);
    }
  }
}

function takesAppends(
  { state, minInSyncReplicas }: RolledPartition,
  isUp: (id: number) => boolean,
): boolean {
  const { leader, syncSet, suspects } = state;
  const counted = syncSet.filter((id) => isUp(id) && !suspects.includes(id));
  return isUp(leader) && counted.length >= minInSyncReplicas;
}

/** Resolves with what was wrong. */
export async function roll(parts: RollParts): Promise<string[]> {
  const { ground, admin, brokers, partitions, random } = parts;
  const below = new BelowMin();
  const faults: string[] = [];
  const isUp = (id: number): boolean =>
    brokers.some(({ brokerId, isServing }) => brokerId === id && isServing);
  let isOn = true;
  const watch = (): void => {
    below.look(partitions(), isUp, ground.time.nowMs);
    if (isOn) ground.time.after(LOOK_MS, watch);
  };
  const sending = load(parts, () => isOn, faults);
  watch();
  const patience = new Patience(ground, admin, () => isOn);
  const isReady = (): boolean =>
    brokers.every(({ isServing }) => isServing) &&
    partitions().every((partition) => takesAppends(partition, isUp));
  for (const broker of [...brokers]) {
    ground.note(`roll: b${broker.brokerId}`);
    if (!(await patience.until(isReady, SAFE_MS))) {
      faults.push(`not every partition takes appends ${SAFE_MS} ms after a restart of a roll`);
      break;
    }
    if (!(await isSafe(patience, broker.brokerId))) {
      ground.note(`the roll ends: b${broker.brokerId} may not stop`);
      break;
    }
    await restart(broker, patience, random);
  }
  await patience.until(isReady, SAFE_MS);
  isOn = false;
  await sending;
  return [...faults, ...below.faults];
}

async function isSafe(patience: Patience, brokerId: number): Promise<boolean> {
  let isAllowed = false;
  const ask = async (): Promise<void> => {
    const { safe, reason } = await patience.admin.checkDisruption([brokerId]);
    isAllowed = safe;
    if (!safe) patience.ground.note(`b${brokerId} must not stop: ${reason.slice(0, 120)}`);
  };
  const endMs = patience.ground.time.nowMs + SAFE_MS;
  while (!isAllowed && patience.ground.time.nowMs < endMs) {
    await patience.insist(`check b${brokerId}`, ask, '', SAFE_MS);
    if (!isAllowed) await patience.pause(500);
  }
  return isAllowed;
}

async function restart(broker: SimBroker, patience: Patience, random: Random): Promise<void> {
  broker.isWanted = false;
  await broker.stop();
  await patience.pause(random.below(DOWN_MS_MAX));
  broker.isWanted = true;
  if (!broker.isRunning) broker.start();
}

/** Sends to every partition in turn; resolves when all is answered. */
async function load(
  { ground, partitions, producerOf, send }: RollParts,
  isOn: () => boolean,
  faults: string[],
): Promise<void> {
  const producer = producerOf({ deliveryTimeoutMs: DELIVERY_MS });
  const calls: Promise<unknown>[] = [];
  for (let turn = 0; isOn(); turn += 1) {
    const all = partitions();
    const { topic, state } = all[turn % all.length]!;
    calls.push(
      send(producer, { topic, partition: state.partition }).then(({ value, fate }) => {
        if (fate?.kind !== 'acknowledged')
          faults.push(`"${value}" of a roll, to ${topic}/${state.partition}, was refused`);
      }),
    );
    await new Promise<void>((resolve) => ground.time.after(SEND_EVERY_MS, resolve));
  }
  await Promise.all(calls);
}
