/**
 * What an operator meets in the hands of strangers: resources that brokers refuse, policies that
 * refuse or change what it writes, objects of others under its names, nodes that are not called
 * what their label says. Each is a scenario of its own, with what must be true on the way.
 */
import type { Scenario } from './scenario.ts';
import { Cleanup, type CleanupConfig } from '../../../proto/gen/tidemark/v1/cleanup.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import type { Json } from '../../fixtures/kube/field-ownership.ts';
import { ACCESS_STRANGERS } from './access-scenarios.ts';
import { BROKEN_IMAGE, SET } from './kubernetes.ts';
import { LABEL_SCENARIOS } from './label-scenarios.ts';
import { NAMESPACE } from './process.ts';
import { NAME, TOPIC_TYPE, type World } from './world.ts';

/** A claim about the world that must hold now. */
export function demand(world: World, what: string, holds: boolean): void {
  if (!holds) world.faults.push(`must hold: ${what}`);
}

/** Brokers refuse a LogTopic for ever; the cluster rolls, heals and reports all the same. */
async function refusedTopic(world: World): Promise<void> {
  world.applyTopic('wide', { clusterName: 'tm', replicationFactor: 5 });
  world.applyTopic('fit', { clusterName: 'tm', partitions: 2 });
  await world.until('the valid one is made', () => world.brokers.topics.has('fit'));
  await world.until('the refusal stands in its status', () =>
    world.readyOfTopic('wide').startsWith('False TopicRefused: '),
  );
  world.edit({ image: 'tidemark:2' });
  await world.until('the roll is over', () => world.isCalm);
  await world.sleep(20_000);
  world.arm(undefined);
  await world.sleep(300_000);
  demand(world, `few calls repeat a refused LogTopic, not ${world.writes}`, world.writes < 40);
  demand(world, 'the refusal is told', world.reasons.has('TopicRefused'));
}

/**
 * Brokers that do not know of compaction see nothing of it in a request: none is sent. Once all
 * know it the topic is made with it, and an adopted one keeps what nobody states.
 */
async function compactedEarly(world: World): Promise<void> {
  const { brokers } = world;
  const cleanupOf = (name: string): CleanupConfig | undefined =>
    brokers.topics.get(name)?.config.cleanup;
  world.applyTopic('state', { clusterName: 'tm', config: { cleanup: 'Compact' } });
  world.applyTopic('plain', { clusterName: 'tm' });
  await world.until('the plain one is made', () => brokers.topics.has('plain'));
  await world.until('the status says what is waited for', () =>
    world.readyOfTopic('state').startsWith('False TopicRefused: spec.config states cleanup'),
  );
  demand(world, 'no topic is made without its cleanup', !brokers.topics.has('state'));
  brokers.featureLevel = 12;
  await world.until(
    'the topic is made',
    () => cleanupOf('state')?.cleanup === Cleanup.CLEANUP_COMPACT,
  );
  const config = { cleanup: 'Both', compactionDirtyPercent: 10 };
  world.changeTopic('state', { config });
  await world.until(
    'the topic is changed',
    () => cleanupOf('state')?.cleanup === Cleanup.CLEANUP_BOTH,
  );
  demand(world, 'all of it', cleanupOf('state')?.compactionDirtyPercent === 10);
  world.changeTopic('state', { config: { cleanup: null, compactionDirtyPercent: null } });
  await world.sleep(20_000);
  demand(
    world,
    'what is no longer stated stays',
    cleanupOf('state')?.cleanup === Cleanup.CLEANUP_BOTH,
  );
  demand(world, 'what was never stated stays', cleanupOf('plain')?.cleanup === undefined);
}

/** A broker is down, so that a valid LogTopic cannot be made: it is once the broker is back. */
async function topicWhileDown(world: World): Promise<void> {
  world.edit({ image: 'tidemark:missing' });
  world.harm('cut n1', () => world.kubernetes.loseNode('n1', false));
  await world.sleep(10_000);
  world.applyTopic('audit', { clusterName: 'tm' });
  await world.sleep(10_000);
  demand(world, 'the status says who is down', world.condition('Degraded').includes('broker'));
  world.harm('heal n1', () => world.kubernetes.healNode('n1'));
  world.edit({ image: 'tidemark:3' });
  await world.until('the topic is made', () => world.brokers.topics.has('audit'));
}

/** An ordinary drain: a node whose name is not its host name is there all the same. */
async function renamedNodes(world: World): Promise<void> {
  const { kubernetes } = world;
  world.cordon('n1', true);
  await world.until('the node is drained', () => {
    const onNode = [0, 1, 2].filter((id) => kubernetes.nodeOf(id) === 'n1');
    for (const id of onNode) kubernetes.evict(id);
    return onNode.length === 0;
  });
  await world.sleep(300_000);
  world.cordon('n1', false);
}

/** Somebody cordons a node and leaves it so: its broker leads again before long. */
async function forgottenCordon(world: World): Promise<void> {
  const { partitions } = world.brokers;
  const isLeading = (): boolean => partitions.some(({ leader }) => leader === 1);
  const node = world.kubernetes.nodeOf(1) ?? '';
  world.cordon(node, true);
  await world.until('the broker leads nothing', () => !isLeading());
  await world.sleep(60_000);
  demand(world, 'it goes on leading nothing', !isLeading());
  demand(world, 'all is well', world.condition('Ready').startsWith('True'));
  await world.until('the broker leads again', isLeading, 360_000);
  world.arm(undefined);
  await world.sleep(120_000);
  demand(world, 'it goes on leading', isLeading());
  demand(world, `nothing is written for it, not ${world.writes}`, world.writes < 5);
  world.cordon(node, false);
}

/** Two nodes are cordoned at once: nobody knows which goes first, so leaders stay. */
async function twoCordoned(world: World): Promise<void> {
  const { partitions } = world.brokers;
  for (const id of [0, 1]) world.cordon(world.kubernetes.nodeOf(id) ?? '', true);
  await world.sleep(60_000);
  const leaders = new Set(partitions.map(({ leader }) => leader));
  demand(world, 'all brokers lead', leaders.size === 3);
  for (const node of world.kubernetes.nodes) world.cordon(node, false);
}

/** A Node object that is deleted and made again: its machine never went away. */
async function registersAgain(world: World): Promise<void> {
  const { kubernetes } = world;
  world.harm('unregister n1', () => kubernetes.unregisterNode('n1'));
  await world.sleep(60_000);
  kubernetes.registerNode('n1');
}

/** The node with the only copy of something goes: nobody but a person gives that up. */
async function lastCopy(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  brokers.createTopic('single', 3, 1, { commitMode: 0, minInSyncReplicas: 1 });
  const node = kubernetes.nodeOf(1) ?? '';
  world.harm(`delete ${node}`, () => kubernetes.deleteNode(node));
  kubernetes.addNode('n9', 'z9');
  await world.sleep(400_000);
  demand(world, 'the volume is kept', world.status.waitingFor?.includes('data-tm-1') === true);
  demand(world, 'the gate is told', world.reasons.has('LastCopy'));
  world.annotate('tidemark.dev/give-up-volume', 'data-tm-1');
  await world.until('the broker begins anew', () => kubernetes.nodeOf(1) !== undefined);
  brokers.topics.delete('single');
}

const FOREIGN = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    name: 'tm',
    spec: { ports: [{ port: 80, protocol: 'TCP' }] },
  },
  { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name: 'tm', spec: { minAvailable: 3 } },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    name: 'tm',
    spec: { podSelector: {} },
  },
] as const;

/** Objects of others under our names, before there is a cluster: they stay as they are. */
async function foreignObjects(world: World): Promise<void> {
  const { store } = world.handler;
  const before = FOREIGN.map(({ kind, name }) =>
    JSON.stringify(store.get(builtIn(kind), { namespace: NAMESPACE, name })),
  );
  await world.until('it is said', () => world.condition('Ready').startsWith('False NameTaken'));
  world.edit({ image: 'tidemark:2' });
  const isRolled = (): boolean =>
    world.kubernetes
      .pods()
      .every((pod) => (pod['spec'] as { image: string }).image !== 'tidemark:1');
  await world.until('the cluster rolls all the same', isRolled);
  await world.sleep(30_000);
  const after = FOREIGN.map(({ kind, name }) =>
    JSON.stringify(store.get(builtIn(kind), { namespace: NAMESPACE, name })),
  );
  demand(world, 'they are untouched', before.join() === after.join());
  demand(world, 'it is told', world.reasons.has('NameTaken'));
  for (const { kind, name } of FOREIGN) store.delete(builtIn(kind), { namespace: NAMESPACE, name });
}

/** A StatefulSet that somebody else made under our name: no pod of it is touched. */
async function foreignSet(world: World): Promise<void> {
  const { store } = world.handler;
  await world.until('it is said', () =>
    (world.status.conditions ?? []).some(({ reason }) => reason === 'NameTaken'),
  );
  await world.sleep(60_000);
  const set = store.get(SET, { namespace: NAMESPACE, name: 'tm' });
  demand(world, 'the set is untouched', (set['spec'] as { replicas: number }).replicas === 0);
  store.delete(SET, set.metadata);
}

/** A policy changes what we apply, a person adds a port: few calls, and rolls go on. */
async function mutations(world: World): Promise<void> {
  const { store } = world.handler;
  store.mutate = (type, object) => {
    const spec = object['spec'] as Record<string, unknown>;
    if (type.kind === 'Service') return { ...object, spec: { ...spec, type: 'NodePort' } };
    if (type.kind !== 'StatefulSet') return object;
    const template = spec['template'] as { readonly spec: object };
    const pod = { ...template.spec, automountServiceAccountToken: true };
    return { ...object, spec: { ...spec, template: { ...template, spec: pod } } };
  };
  const { ports } = store.get(builtIn('Service'), NAME)['spec'] as { ports: Json[] };
  const added = [{ name: 'http', port: 80, protocol: 'TCP' }, ...ports];
  store.mergePatch(builtIn('Service'), NAME, { spec: { ports: added } }, { manager: 'person' });
  world.edit({ image: 'tidemark:2' });
  await world.until('the roll is over', () => world.isCalm);
  await world.until('it is said', () => world.condition('TemplateMutated').startsWith('True '));
  demand(world, 'it is told', world.reasons.has('TemplateMutated'));
  await world.sleep(60_000);
  world.arm(undefined);
  await world.sleep(600_000);
  demand(world, `few writes for nothing, not ${world.writes}`, world.writes < 20);
  const { ports: kept } = store.get(builtIn('Service'), NAME)['spec'] as { ports: Json[] };
  demand(world, 'the port that was added is left', kept.length === 2);
  store.mutate = (_, object) => object;
  await world.until('it is said no more', () => world.condition('TemplateMutated') === '');
}

/** The API server refuses one kind: all else goes on, and status and event say what it said. */
async function refusedKind(world: World): Promise<void> {
  world.network.policy = (title) =>
    title.startsWith('PATCH') && title.includes('/services/')
      ? 'denied by policy no-h2c'
      : undefined;
  const { store } = world.handler;
  store.delete(builtIn('Service'), NAME);
  await world.until('it is said', () => {
    const ready = world.condition('Ready');
    return ready.startsWith('False WriteRefused') && ready.includes('denied by policy no-h2c');
  });
  world.edit({ image: 'tidemark:2' });
  const isRolled = (): boolean =>
    world.kubernetes
      .pods()
      .every((pod) => (pod['spec'] as { image: string }).image !== 'tidemark:1');
  await world.until('the cluster rolls all the same', isRolled);
  await world.sleep(60_000);
  world.arm(undefined);
  await world.sleep(300_000);
  demand(world, `few writes for nothing, not ${world.writes}`, world.writes < 25);
  demand(world, 'it is told', world.reasons.has('WriteRefused'));
  world.network.policy = () => undefined;
}

const imagesOf = ({ kubernetes }: World): string[] =>
  kubernetes.pods().map((pod) => (pod['spec'] as { image: string }).image);

/** Whoever is evicted under `Manual` comes back as it was, until somebody approves the change. */
async function manual(world: World): Promise<void> {
  const { kubernetes } = world;
  world.edit({ image: 'tidemark:2', rollout: { policy: 'Manual' } });
  await world.until('approval is asked for', () =>
    (world.status.waitingFor ?? '').includes('approved-rollout'),
  );
  for (const id of [0, 1, 2]) {
    await world.until(`broker ${id} is evicted`, () => kubernetes.evict(id));
    await world.sleep(30_000);
  }
  demand(
    world,
    'nobody has taken the new image',
    imagesOf(world).every((each) => each === 'tidemark:1'),
  );
  world.annotate('tidemark.dev/approved-rollout', world.status.templateHash ?? '');
}

/** The API server has a newer schema than the operator: unknown fields stop and move nothing. */
async function newerSchema(world: World): Promise<void> {
  const before = podUids(world);
  const later = { spread: 'Preferred', later: 'yes' };
  world.edit({
    later: { depth: 1 },
    rack: later,
    storage: { later: 'x' },
    rollout: { later: 1 },
  });
  await world.sleep(60_000);
  demand(world, 'no pod has moved', podUids(world) === before);
  demand(world, 'it is ready', world.condition('Ready').startsWith('True '));
  world.edit({ image: 'tidemark:2' });
}

/** The StatefulSet loses what is written on it: the pods that are there stay as they are. */
async function lostRecord(world: World): Promise<void> {
  const before = podUids(world);
  const annotations = { 'tidemark.dev/template': null, 'tidemark.dev/template-inputs': null };
  world.handler.store.mergePatch(SET, NAME, { metadata: { annotations } }, { manager: 'person' });
  await world.sleep(60_000);
  demand(world, 'no pod has moved', podUids(world) === before);
}

function podUids({ kubernetes }: World): string {
  return kubernetes
    .pods()
    .map(({ metadata }) => metadata.uid)
    .join();
}

/** A spec that no operator could carry out: budget and status go on, and it is said. */
async function faultySpec(world: World): Promise<void> {
  world.edit({ replicas: 1 });
  await world.until('it is said', () => world.condition('Ready').startsWith('False InvalidSpec'));
  world.harm('crash of broker 1', () => world.kubernetes.crash(1));
  await world.sleep(30_000);
  demand(world, 'the status goes on', world.status.readyReplicas === 3);
  await world.until('a drain goes on', () => world.kubernetes.evict(2));
  world.edit({ replicas: 3 });
}

/** The node goes with the volume of a broker that a roll has just restarted. */
async function lostInRoll(world: World): Promise<void> {
  const { kubernetes } = world;
  const before = new Map([0, 1, 2].map((id) => [id, kubernetes.pod(id)?.metadata.uid]));
  world.edit({ image: 'tidemark:2' });
  const restarted = (): number | undefined =>
    [0, 1, 2].find((id) => {
      const uid = kubernetes.pod(id)?.metadata.uid;
      return uid !== undefined && uid !== before.get(id) && kubernetes.nodeOf(id) !== undefined;
    });
  await world.until('a broker is restarted', () => restarted() !== undefined);
  const node = kubernetes.nodeOf(restarted() ?? 0) ?? '';
  world.harm(`delete ${node}`, () => kubernetes.deleteNode(node));
  kubernetes.addNode('n9', 'z9');
}

/** Two nodes go, the second while the first is being replaced. */
const lostBoth =
  (first: number, second: number): Scenario['play'] =>
  async (world) => {
    const { kubernetes } = world;
    const lose = (id: number): void => {
      const node = kubernetes.nodeOf(id) ?? '';
      world.harm(`delete ${node}`, () => kubernetes.deleteNode(node));
    };
    lose(first);
    await world.until(
      'it is being replaced',
      () => world.status.disruption?.kind === 'ReplaceVolume',
    );
    if (kubernetes.nodeOf(second) !== undefined) lose(second);
    kubernetes.addNode('n8', 'z8');
    kubernetes.addNode('n9', 'z9');
  };

/** A node goes while a scale-down moves a replica to its broker. */
async function lostInScaleDown(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  brokers.isFetchHeld = true;
  world.edit({ replicas: 4 });
  const target = (): number | undefined =>
    brokers.partitions
      .flatMap(({ replicas, syncSet }) => replicas.filter((id) => !syncSet.includes(id)))
      .at(0);
  await world.until('a replica is on its way', () => target() !== undefined);
  const node = kubernetes.nodeOf(target() ?? 0) ?? '';
  world.harm(`delete ${node}`, () => kubernetes.deleteNode(node));
  brokers.isFetchHeld = false;
  kubernetes.addNode('n9', 'z9');
}

/** Nobody is paged for a restart that was asked for; a broken image has a reason of its own. */
async function plannedRestart(world: World): Promise<void> {
  const degraded: string[] = [];
  world.edit({ image: 'tidemark:2' });
  while (!world.isCalm && world.faults.length === 0) {
    await world.sleep(200);
    if (world.condition('Degraded').startsWith('True')) degraded.push(world.condition('Degraded'));
  }
  demand(world, `Degraded is not True in a roll: ${degraded[0]}`, degraded.length === 0);
  world.edit({ image: BROKEN_IMAGE });
  await world.until('the image is named', () =>
    world.condition('Degraded').startsWith('True ImageUnavailable'),
  );
  await world.until('it is told', () => world.reasons.has('ImageUnavailable'));
  world.edit({ image: 'tidemark:3' });
}

/**
 * Volumes are to go with their brokers: each goes once its broker is forgotten, and none because
 * somebody lowers the StatefulSet.
 */
async function volumesGo(world: World): Promise<void> {
  const { store } = world.handler;
  const claimNames = (): string[] =>
    store
      .list(builtIn('PersistentVolumeClaim'), NAMESPACE)
      .map(({ metadata }) => metadata.name)
      .sort();
  const { persistentVolumeClaimRetentionPolicy: policy } = store.get(SET, NAME)['spec'] as {
    readonly persistentVolumeClaimRetentionPolicy: Json;
  };
  demand(
    world,
    'Kubernetes is to delete no volume',
    JSON.stringify(policy).includes('"whenScaled":"Retain"'),
  );
  world.edit({ replicas: 3 });
  await world.until('the volumes are gone', () => claimNames().length === 3);
  demand(world, 'the others stay', claimNames().join() === 'data-tm-0,data-tm-1,data-tm-2');
}

/** A scale-down moves replicas for long and stops nobody: nodes are drained all the same. */
async function drainInScaleDown(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  brokers.isFetchHeld = true;
  world.edit({ replicas: 4 });
  await world.until(
    'replicas are on the move',
    () => world.status.disruption?.kind === 'ScaleDown' && world.status.disruption.phase === 'move',
  );
  await world.until('a drain goes on', () => kubernetes.evict(0));
  brokers.isFetchHeld = false;
}

/**
 * The operator is away for ten minutes, its budget left open. Whoever evicts one broker after
 * another meets the brokers' own veto: nobody stops while the one before is behind.
 */
async function unwatched(world: World): Promise<void> {
  const { kubernetes, brokers } = world;
  const uidOf = (id: number): string | undefined => kubernetes.pod(id)?.metadata.uid;
  const isServing = (id: number): boolean => brokers.isReady(uidOf(id) ?? '');
  await world.until('the budget is open', () => kubernetes.isEvictable(0));
  world.desert();
  const goneMs = world.time.monotonicMs;
  for (const id of [0, 1, 2]) {
    const before = uidOf(id);
    brokers.isFetchHeld = true;
    await world.until(`broker ${id} is evicted`, () => kubernetes.evict(id));
    for (let second = 0; second < 40; second += 1) {
      await world.sleep(1_000);
      const closed = brokers.partitions.filter((partition) => brokers.left(partition, []) < 2);
      demand(world, `appends go on: ${closed[0]?.name} is below min`, closed.length === 0);
    }
    brokers.isFetchHeld = false;
    await world.until(
      `broker ${id} has another pod`,
      () => uidOf(id) !== undefined && uidOf(id) !== before && isServing(id),
    );
  }
  await world.sleep(Math.max(0, 600_000 - (world.time.monotonicMs - goneMs)));
  world.returns();
}

/** A roll is held up midway, by a pause or a spec at fault: nodes are drained all the same. */
const drainHeldUp =
  (spec: Json, back: Json): Scenario['play'] =>
  async (world) => {
    const { kubernetes } = world;
    const before = podUids(world);
    world.edit({ image: 'tidemark:2' });
    await world.until('a broker is restarted', () => podUids(world) !== before);
    world.edit(spec);
    await world.until('it is seen', () => {
      const { observedGeneration } = world.status;
      return observedGeneration === world.cluster?.metadata.generation;
    });
    for (const id of [0, 1, 2])
      await world.until(`broker ${id} is evicted`, () => kubernetes.evict(id), 120_000);
    world.edit(back);
  };

/** A broker crashes again and again, and nobody needs it: its own node is drained, no other. */
async function drainPastCrashes(world: World): Promise<void> {
  const { kubernetes } = world;
  const uid = kubernetes.pod(1)?.metadata.uid;
  world.harm('broker 1 crashes again and again', () => kubernetes.crashAlways(1));
  await world.until('it is said', () =>
    world.condition('Degraded').startsWith('True BrokerCrashes'),
  );
  await world.sleep(20_000);
  demand(world, 'nobody else is evicted', !kubernetes.isEvictable(0) && !kubernetes.isEvictable(2));
  await world.until('its node is drained', () => kubernetes.evict(1), 60_000);
  await world.until('it has another pod', () => {
    const now = kubernetes.pod(1)?.metadata.uid;
    return now !== undefined && now !== uid;
  });
}

/** After an uninstall nothing holds a LogTopic; a topic whose end nobody saw is kept. */
async function topicUnwatched(world: World): Promise<void> {
  const { store } = world.handler;
  for (const name of ['seen', 'unseen'])
    world.applyTopic(name, { clusterName: 'tm', deletionPolicy: 'Delete' });
  const isReady = (name: string): boolean => world.readyOfTopic(name).startsWith('True');
  await world.until('both are made', () => isReady('seen') && isReady('unseen'));
  store.delete(TOPIC_TYPE, { namespace: NAMESPACE, name: 'seen' });
  await world.until('its topic goes with it', () => !world.brokers.topics.has('seen'));
  await world.until('it is forgotten', () => world.status.topicsToDelete === undefined);
  demand(world, 'it is told', world.reasons.has('TopicDeleted'));
  world.desert();
  store.delete(TOPIC_TYPE, { namespace: NAMESPACE, name: 'unseen' });
  demand(world, 'nothing holds a LogTopic', store.list(TOPIC_TYPE, NAMESPACE).length === 0);
  world.returns();
  await world.sleep(60_000);
  demand(world, 'a topic whose end nobody saw is kept', world.brokers.topics.has('unseen'));
}

/** Two operators that know nothing of each other, installed for the same namespaces. */
async function rivals(world: World): Promise<void> {
  world.edit({ image: 'tidemark:2' });
  await world.until('the roll is over', () => world.isCalm);
  world.edit({ replicas: 4 });
  await world.until('it is scaled', () => world.isCalm);
  world.arm(undefined);
  await world.sleep(300_000);
  demand(world, `few writes for nothing, not ${world.writes}`, world.writes < 10);
  demand(world, 'one of them is refused, and it is told', world.reasons.has('ManagedElsewhere'));
  // The one that looks after the cluster is uninstalled; the other takes over.
  const holder = world.claimant;
  for (const process of world.processes)
    if (holder.endsWith(`/${process.leaseName}`)) world.uninstall(process);
  await world.sleep(1_000);
  world.edit({ image: 'tidemark:3', replicas: 3 });
  await world.until('the other one takes over', () => world.claimant !== holder);
}

/** Two operators that share the LogClusters by label: one whose label changes changes hands. */
async function selected(world: World): Promise<void> {
  const [first, second] = [...world.processes].map(({ leaseName }) => leaseName);
  const holds = (leaseName: string | undefined): boolean =>
    world.claimant === `${NAMESPACE}/${leaseName}`;
  demand(world, 'the first one looks after it', holds(first));
  await world.sleep(120_000);
  demand(world, 'the other one says nothing of it', !world.reasons.has('ManagedElsewhere'));
  world.label('operator', 'blue');
  world.edit({ image: 'tidemark:2' });
  await world.until('the other one takes over', () => holds(second));
  await world.until('and rolls', () => world.isCalm);
  world.label('operator', null);
  world.edit({ image: 'tidemark:3' });
  await world.until('the first one takes over', () => holds(first));
}

/** A leader that has not seen the newest metadata, then marks that stand still: no roll begins. */
async function stallThenRoll(world: World): Promise<void> {
  const { brokers } = world;
  const before = podUids(world);
  brokers.deaf.add(brokers.partitions[0]?.leader ?? 0);
  await world.until('it is not sure', () =>
    world.condition('Available').startsWith('Unknown MetadataBehind'),
  );
  world.edit({ image: 'tidemark:2' });
  await world.sleep(30_000);
  demand(world, 'no pod has moved', podUids(world) === before);
  brokers.isMarkHeld = true;
  brokers.deaf.clear();
  await world.until('the stall is said', () =>
    world.condition('Available').startsWith('False AppendsStalled'),
  );
  await world.sleep(30_000);
  demand(world, 'no pod has moved in a stall', podUids(world) === before);
  demand(world, 'both gates are told', world.reasons.has('AppendsStalled'));
  brokers.isMarkHeld = false;
  await world.until('it is over', () => world.condition('Available').startsWith('True'));
}

export const STRANGERS: readonly Scenario[] = [
  ...ACCESS_STRANGERS,
  ...LABEL_SCENARIOS,
  { title: 'a LogTopic that brokers refuse', play: refusedTopic },
  { title: 'a LogTopic while a broker is down', play: topicWhileDown },
  {
    title: 'a drain where nodes are not called what their label says',
    world: { isLocal: true, isRenamed: true },
    play: renamedNodes,
  },
  { title: 'a node that stays cordoned', play: forgottenCordon },
  { title: 'two nodes cordoned at once', play: twoCordoned },
  { title: 'a node that registers again', world: { isLocal: true }, play: registersAgain },
  { title: 'a node lost with the last copy', world: { isLocal: true }, play: lastCopy },
  { title: 'objects of others under our names', before: () => FOREIGN, play: foreignObjects },
  {
    title: 'a StatefulSet of others under our name',
    before: () => [
      {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        name: 'tm',
        spec: {
          replicas: 0,
          template: { metadata: {}, spec: { containers: [] } },
          volumeClaimTemplates: [],
        },
      },
    ],
    isFromNothing: true,
    play: foreignSet,
  },
  { title: 'evictions under Manual', play: manual },
  { title: 'a newer schema than the operator knows', play: newerSchema },
  { title: 'a StatefulSet without its record', play: lostRecord },
  { title: 'a spec at fault', play: faultySpec },
  {
    title: 'a node lost after its broker was restarted',
    world: { isLocal: true },
    play: lostInRoll,
  },
  {
    title: 'two nodes lost, the lower one first',
    spec: { replicas: 5 },
    world: { isLocal: true, nodes: 5 },
    play: lostBoth(1, 3),
  },
  {
    title: 'two nodes lost, the higher one first',
    spec: { replicas: 5 },
    world: { isLocal: true, nodes: 5 },
    play: lostBoth(3, 1),
  },
  {
    title: 'a node lost in a scale-down',
    spec: { replicas: 5 },
    world: { isLocal: true, nodes: 5 },
    play: lostInScaleDown,
  },
  { title: 'a restart by plan, then a broken image', play: plannedRestart },
  {
    title: 'a scale-down whose volumes are to go',
    spec: { replicas: 5, storage: { size: '1Gi', whenScaled: 'Delete' } },
    world: { nodes: 5 },
    play: volumesGo,
  },
  {
    title: 'a drain while a scale-down moves replicas',
    spec: { replicas: 5 },
    world: { nodes: 5 },
    play: drainInScaleDown,
  },
  {
    title: 'a leader without the newest metadata, and marks that stand still',
    play: stallThenRoll,
  },
  {
    title: 'drains while a roll is paused',
    play: drainHeldUp({ paused: 'All' }, { paused: null }),
  },
  {
    title: 'drains while the spec of a roll is at fault',
    play: drainHeldUp({ replicas: 1 }, { replicas: 3 }),
  },
  { title: 'a drain past a broker that crashes', play: drainPastCrashes },
  { title: 'LogTopics deleted with and without an operator', play: topicUnwatched },
  { title: 'two operators with leases of their own', world: { operators: 2 }, play: rivals },
  {
    title: 'two operators that share by label',
    world: { operators: 2, selectors: ['operator!=blue', 'operator=blue'] },
    play: selected,
  },
  { title: 'evictions while nobody watches', play: unwatched },
  {
    title: 'a compacted topic before brokers know of such',
    prepare: ({ brokers }) => {
      brokers.featureLevel = 11;
    },
    play: compactedEarly,
  },
  { title: 'a policy that changes what is applied', play: mutations },
  { title: 'a policy that refuses one kind', play: refusedKind },
];
