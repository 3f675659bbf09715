/**
 * A history in which everything may happen at any time; then people leave it alone, and it has to
 * come to its end.
 */
import { tlsPhaseOf } from '../../../operator/objects/pod.ts';
import { type Faults, NO_FAULTS } from './network.ts';
import { between, pick, randomOf } from './time.ts';
import { askForAuthority, loseAndRestore, loseCertificates } from './tls-scenarios.ts';
import { BRISK, SLOW, World } from './world.ts';

const ROUNDS = 14;
const IMAGES = ['tidemark:1', 'tidemark:2', 'tidemark:broken', 'tidemark:3'];

type Deed = (world: World) => void;

const PEOPLE: readonly Deed[] = [
  (world) => world.edit({ image: pick(world.random, IMAGES)! }),
  (world) => world.edit({ replicas: 3 + Math.floor(world.random() * 3) }),
  (world) => world.edit({ minInSyncReplicas: 1 + Math.floor(world.random() * 2) }),
  (world) => world.edit({ paused: pick(world.random, ['Disruptions', 'All', null, null])! }),
  (world) => world.edit({ config: { heartbeatMs: 100 + Math.floor(world.random() * 100) } }),
  askForAuthority,
];

const changesTls: Deed = (world) => {
  const mode = pick(world.random, ['Enabled', 'Enabled', 'Disabled', null]);
  world.edit({ internalTls: mode == null ? null : { mode } });
};
/** Of histories that begin in plaintext between brokers. */
const PLAINTEXT_SHARE = 0.3;

const HARM: readonly Deed[] = [
  (world) => {
    const id = world.kubernetes.anyBroker();
    if (id !== undefined) world.harm(`crash of broker ${id}`, () => world.kubernetes.crash(id));
  },
  (world) => {
    const id = world.kubernetes.anyBroker();
    if (id !== undefined) world.say(`eviction of broker ${id}: ${world.kubernetes.evict(id)}`);
  },
  (world) => {
    const id = world.kubernetes.anyBroker();
    if (id !== undefined) world.harm(`hold pod ${id}`, () => world.kubernetes.hold(id, 40_000));
  },
  (world) => {
    const node = pick(world.random, world.kubernetes.nodes);
    if (node === undefined) return;
    world.harm(`cut ${node}`, () => world.kubernetes.loseNode(node, false));
    const heal = (): void => world.harm(`heal ${node}`, () => world.kubernetes.healNode(node));
    world.time.after(between(world.random, 2_000, 60_000), heal);
  },
  loseCertificates,
  (world) => loseAndRestore(world, between(world.random, 2_000, 60_000)),
];

const HINDRANCES: readonly Deed[] = [
  (world) => {
    const process = pick(world.random, world.processes);
    if (process !== undefined) world.kill(process);
  },
  (world) => {
    const process = pick(world.random, world.processes);
    const forMs = between(world.random, 1_000, 30_000);
    if (process !== undefined) world.hinder(`pause ${process.name}`, () => process.pause(forMs));
  },
  (world) => {
    const process = pick(world.random, world.processes);
    if (process !== undefined) world.hinder(`stop ${process.name}`, () => process.stop());
  },
  (world) => world.hinder('watches-broken', () => world.network.disturbWatches('break')),
  (world) => world.hinder('watches-silent', () => world.network.disturbWatches('silence')),
  (world) => world.hinder('compaction', () => world.handler.compact()),
  (world) => {
    world.hinder('api-away', () => Object.assign(world.network.faults, { isApiAway: true }));
    const back = (): void =>
      world.hinder('api-back', () => Object.assign(world.network.faults, { isApiAway: false }));
    world.time.after(between(world.random, 1_000, 25_000), back);
  },
  (world) => {
    world.hinder('lagging-watches', () =>
      Object.assign(world.network.faults, { watchLagMs: [50, 6_000] }),
    );
    const back = (): void =>
      world.hinder('watches-in-time', () =>
        Object.assign(world.network.faults, { watchLagMs: NO_FAULTS.watchLagMs }),
      );
    world.time.after(between(world.random, 5_000, 30_000), back);
  },
];

/** Small shares of everything that a network does, some of it in each history. */
function badNetwork(random: () => number): Partial<Faults> {
  const some = (share: number): number => (random() < 0.4 ? share : 0);
  return {
    unsent: some(0.03),
    lost: some(0.03),
    conflicts: some(0.1),
    refused: some(0.03),
    broken: some(0.03),
    silent: some(0.01),
    repeated: some(0.1),
    compacted: some(0.02),
    admin: some(0.03),
    latencyMs: random() < 0.3 ? [1, 400] : NO_FAULTS.latencyMs,
  };
}

export async function hostile(seed: number, trace?: (line: string) => void): Promise<World> {
  const random = randomOf(seed + 1_000_000);
  const world = new World({
    seed,
    copies: random() < 0.6 ? 2 : 1,
    slowness: random() < 0.25 ? SLOW : BRISK,
    isLocal: random() < 0.5,
    trace,
  });
  // Brokers of some histories do not know who follows the spec's minimum.
  if (seed % 3 === 0) world.brokers.featureLevel = 15;
  // A stream of its own: the other histories stay as they are known.
  const isPlaintext = randomOf(seed + 2_000_000)() < PLAINTEXT_SHARE;
  const people = isPlaintext ? [...PEOPLE, changesTls, changesTls, changesTls] : PEOPLE;
  world.apply({
    replicas: 3,
    minInSyncReplicas: 2,
    image: 'tidemark:1',
    storage: { size: '10Gi' },
    ...(isPlaintext ? { internalTls: { mode: 'Disabled' } } : {}),
  });
  if (random() < 0.5) world.edit({ rollout: { maxUnavailable: 2 } });
  await world.until('the cluster is formed', () => world.isCalm);
  if (world.faults.length > 0) return world;
  world.createOrders();
  Object.assign(world.network.faults, badNetwork(random));
  for (let round = 0; round < ROUNDS && world.faults.length === 0; round += 1) {
    const deeds = pick(random, [people, people, HARM, HINDRANCES, HINDRANCES]) ?? people;
    pick(random, deeds)?.(world);
    await world.sleep(between(random, 200, 15_000));
  }
  await world.sleep(60_000);
  world.hinder('calm', () => Object.assign(world.network.faults, NO_FAULTS));
  for (const node of world.kubernetes.nodes) world.kubernetes.healNode(node);
  world.edit({ image: 'tidemark:4', replicas: 3, minInSyncReplicas: 2, paused: null });
  if (isPlaintext) world.edit({ internalTls: { mode: 'Enabled' } });
  await world.until('all is left alone', () => world.isCalm, 1_800_000);
  await world.sleep(12_000);
  await world.until('all is left alone, and after', () => world.isCalm);
  if (world.kubernetes.pods().some((pod) => tlsPhaseOf(pod) !== 'Require'))
    world.faults.push('not all brokers take TLS alone, as was asked last');
  return world;
}
