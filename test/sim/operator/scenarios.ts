/**
 * What people do, and what befalls them: each scenario is played once undisturbed, then once for
 * each point at which the operator can be killed.
 */
import { LOG_TOPIC } from '../../../operator/api/kinds.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { ACCESS_SCENARIOS } from './access-scenarios.ts';
import { BROKEN_IMAGE } from './kubernetes.ts';
import { LISTENER_SCENARIOS } from './listener-scenarios.ts';
import { NAMESPACE } from './process.ts';
import { TLS_SCENARIOS } from './tls-scenarios.ts';
import type { Scenario } from './scenario.ts';
import { TOPIC_TYPE, type KillPlan, World, type WorldOptions } from './world.ts';

const SPEC = { replicas: 3, minInSyncReplicas: 2, image: 'tidemark:1', storage: { size: '10Gi' } };
const TOPIC = { namespace: NAMESPACE, name: 'audit' };

async function scaleDownCancelled(world: World): Promise<void> {
  world.edit({ replicas: 3 });
  const { brokers } = world;
  await world.until('a broker is cordoned', () =>
    [...brokers.registrations.values()].some(({ isCordoned }) => isCordoned),
  );
  await world.sleep(1_500);
  world.edit({ replicas: 5 });
}

async function brokenImage(world: World): Promise<void> {
  world.edit({ image: BROKEN_IMAGE });
  const isBroken = (): boolean =>
    world.kubernetes
      .pods()
      .some((pod) => (pod['spec'] as { image: string }).image === BROKEN_IMAGE);
  await world.until('a pod of the broken image', isBroken);
  await world.sleep(8_000);
  if (world.brokers.partitions.some((partition) => world.brokers.left(partition, []) < 2))
    world.faults.push('a broken image took a second broker');
  world.edit({ image: 'tidemark:3' });
}

async function nodeGone(world: World): Promise<void> {
  world.harm('node-deleted n1', () => world.kubernetes.deleteNode('n1'));
  await world.sleep(2_000);
  world.kubernetes.addNode('n3', 'z1');
}

async function nodeCut(world: World): Promise<void> {
  const { kubernetes } = world;
  world.edit({ image: 'tidemark:2' });
  await world.sleep(2_500);
  world.harm('node-cut n2', () => kubernetes.loseNode('n2', false));
  await world.sleep(45_000);
  world.harm('node-healed n2', () => kubernetes.healNode('n2'));
}

async function drain(world: World): Promise<void> {
  const { kubernetes } = world;
  world.edit({ image: 'tidemark:2' });
  for (const node of ['n0', 'n1']) world.cordon(node, true);
  for (let second = 0; second < 60; second += 1) {
    for (const id of [0, 1, 2])
      if (['n0', 'n1'].includes(kubernetes.nodeOf(id) ?? '')) kubernetes.evict(id);
    await world.sleep(1_000);
  }
  for (const node of ['n0', 'n1']) world.cordon(node, false);
}

/** Leaders leave before the eviction, and come back where there is none. */
async function cordon(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  const isLeading = (): boolean => brokers.partitions.some(({ leader }) => leader === 1);
  const node = kubernetes.nodeOf(1) ?? '';
  world.cordon(node, true);
  await world.until('the broker leads nothing', () => !isLeading());
  world.cordon(node, false);
  await world.until('the broker leads again', isLeading);
  world.cordon(node, true);
  await world.until('the broker leads nothing, once more', () => !isLeading());
  await world.until('the node is drained', () => {
    if (kubernetes.nodeOf(1) === node) kubernetes.evict(1);
    return kubernetes.nodeOf(1) !== node;
  });
  world.cordon(node, false);
}

/** A broker is back and ready, and fetches nothing for a while: nobody else may be evicted. */
async function drainWhileBehind(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  brokers.isFetchHeld = true;
  world.harm('crash of broker 1', () => kubernetes.crash(1));
  await world.sleep(30_000);
  for (let second = 0; second < 10; second += 1) {
    for (const id of [0, 2]) kubernetes.evict(id);
    await world.sleep(1_000);
  }
  brokers.isFetchHeld = false;
}

async function paused(world: World): Promise<void> {
  world.edit({ image: 'tidemark:2' });
  await world.sleep(2_500);
  world.edit({ paused: 'Disruptions' });
  await world.sleep(30_000);
  world.edit({ image: 'tidemark:3', paused: 'All' });
  await world.sleep(20_000);
  world.edit({ paused: null });
}

async function topics(world: World): Promise<void> {
  const { store } = world.handler;
  const { apiVersion, kind } = LOG_TOPIC;
  const change = (spec: Record<string, string | number>): void =>
    void store.mergePatch(TOPIC_TYPE, TOPIC, { spec }, { manager: 'kubectl' });
  const spec = { clusterName: 'tm', partitions: 2, deletionPolicy: 'Delete' };
  store.create(
    TOPIC_TYPE,
    { apiVersion, kind, metadata: { ...TOPIC }, spec },
    { manager: 'kubectl' },
  );
  await world.until('the topic is made', () => world.brokers.topics.has('audit'));
  change({ minInSyncReplicas: 1 });
  const min = (): number | undefined => world.brokers.topics.get('audit')?.config.minInSyncReplicas;
  await world.until('the topic is changed', () => min() === 1);
  // A LogTopic whose status does not name the topic cannot prove that it is its own, and leaves it.
  const isOwned = (): boolean =>
    (store.get(TOPIC_TYPE, TOPIC)['status'] as { topicId?: string } | undefined)?.topicId !==
    undefined;
  await world.until('the LogTopic names the topic', isOwned);
  // Whoever was killed is back: a LogTopic whose end nobody saw leaves its topic behind.
  await world.sleep(30_000);
  const kills = (): number => world.happened.get('kill') ?? 0;
  const before = kills();
  store.delete(TOPIC_TYPE, TOPIC);
  if (store.list(TOPIC_TYPE, NAMESPACE).length > 0) world.faults.push('the LogTopic is held');
  await world.until(
    'the topic is deleted',
    () => !world.brokers.topics.has('audit') || kills() > before,
  );
}

/**
 * One topic follows by its LogTopic, one by nobody's choice, one has a LogTopic that states just
 * what the LogCluster has, one was given another minimum by a person.
 */
async function chosenMinimums(world: World): Promise<void> {
  const spec = { clusterName: 'tm', partitions: 1 };
  world.applyTopic('follower', spec);
  world.applyTopic('stated', { ...spec, minInSyncReplicas: 2 });
  world.brokers.createTopic('person', 1, 3, { commitMode: 0, minInSyncReplicas: 1 });
  const mins = (): string =>
    ['orders', 'follower', 'stated', 'person']
      .map((name) => `${name} ${world.brokers.topics.get(name)?.config.minInSyncReplicas}`)
      .join(', ');
  const until = (wanted: string): Promise<void> =>
    world.until(wanted, () => world.isCalm && mins() === wanted);
  await until('orders 2, follower 2, stated 2, person 1');
  world.edit({ minInSyncReplicas: 1 });
  await until('orders 1, follower 1, stated 2, person 1');
  world.changeTopic('stated', { minInSyncReplicas: 0 });
  await until('orders 1, follower 1, stated 1, person 1');
  world.changeTopic('follower', { minInSyncReplicas: 1 });
  const { topics } = world.brokers;
  await world.until('chosen', () => topics.get('follower')?.followsMin === false);
  world.edit({ minInSyncReplicas: 2 });
  await until('orders 2, follower 1, stated 2, person 1');
}

/**
 * The leader stands still for longer than its lease, in the middle of whatever it does, and goes
 * on.
 */
async function deposed(world: World): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    world.edit({ image: `tidemark:${2 + round}` });
    await world.sleep(world.random() * 3_000);
    world.pauseWithWriteMs = 25_000;
    await world.sleep(40_000);
  }
}

const edits =
  (...specs: readonly object[]): Scenario['play'] =>
  async (world) => {
    for (const spec of specs) {
      world.edit(spec as never);
      await world.until('the change is carried out', () => world.isCalm);
    }
  };

export const SCENARIOS: readonly Scenario[] = [
  { title: 'create', isFromNothing: true, play: () => Promise.resolve() },
  { title: 'roll', play: edits({ image: 'tidemark:2' }) },
  {
    title: 'roll two at a time',
    spec: { replicas: 6, rollout: { maxUnavailable: 2 } },
    play: edits({ image: 'tidemark:2' }),
  },
  { title: 'scale up', play: edits({ replicas: 5 }) },
  { title: 'scale down', spec: { replicas: 5 }, play: edits({ replicas: 3 }) },
  {
    title: 'scale down and up again',
    spec: { replicas: 4 },
    play: edits({ replicas: 3 }, { replicas: 4 }),
  },
  { title: 'scale down cancelled', spec: { replicas: 5 }, play: scaleDownCancelled },
  { title: 'min change', play: edits({ minInSyncReplicas: 1 }, { minInSyncReplicas: 2 }) },
  { title: 'min change of topics that follow and topics that chose theirs', play: chosenMinimums },
  {
    title: 'min change below feature level 16',
    prepare: ({ brokers }) => {
      brokers.featureLevel = 15;
    },
    play: edits({ minInSyncReplicas: 1 }, { minInSyncReplicas: 2 }),
  },
  { title: 'config change', play: edits({ config: { heartbeatMs: 200 } }) },
  { title: 'broken image, then corrected', play: brokenImage },
  { title: 'volume grow', play: edits({ storage: { size: '20Gi' } }) },
  { title: 'node lost with its volume', world: { isLocal: true }, play: nodeGone },
  { title: 'node lost and back, during a roll', play: nodeCut },
  { title: 'drain of two nodes during a roll', play: drain },
  { title: 'node cordoned, then drained', play: cordon },
  {
    title: 'drain while a broker is behind',
    play: drainWhileBehind,
  },
  { title: 'paused during a roll', play: paused },
  { title: 'topic made, changed, deleted', play: topics },
  { title: 'lease lost in the middle of a roll', world: { copies: 2 }, play: deposed },
  ...TLS_SCENARIOS,
  ...ACCESS_SCENARIOS,
  ...LISTENER_SCENARIOS,
];

/** Plays a scenario to its end. */
export async function play(
  scenario: Scenario,
  options: WorldOptions,
  plan?: KillPlan,
): Promise<World> {
  const world = new World({ ...scenario.world, ...options });
  scenario.prepare?.(world);
  for (const { apiVersion, kind, name, spec } of scenario.before?.() ?? []) {
    const object = { apiVersion, kind, metadata: { namespace: NAMESPACE, name }, spec };
    world.handler.store.create(builtIn(kind), object, { manager: 'somebody' });
  }
  world.apply({ ...SPEC, ...scenario.spec });
  if (scenario.isFromNothing === true) world.arm(plan);
  if (scenario.before === undefined) await world.until('the cluster is formed', () => world.isCalm);
  else await scenario.play(world);
  if (scenario.before !== undefined) await world.until('the cluster is formed', () => world.isCalm);
  if (world.faults.length > 0) return world;
  world.createOrders();
  if (scenario.isFromNothing !== true) {
    await world.until('the topic shows', () => world.isCalm);
    world.arm(plan);
  }
  if (scenario.before === undefined) await scenario.play(world);
  await world.until(scenario.title, () => world.isCalm);
  // What is wrong may show only once all is said to be right.
  await world.sleep(12_000);
  await world.until(`${scenario.title}, and after`, () => world.isCalm);
  return world;
}
