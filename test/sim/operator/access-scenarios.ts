/**
 * LogAccess among everything else: who wants the same, who withdraws consent, brokers that are down
 * or refuse, statuses that are forged, operators that die between a grant and its status.
 */
import { LOG_ACCESS } from '../../../operator/api/kinds.ts';
import type { LogAccessStatus } from '../../../operator/api/types.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { ruleOf } from '../../fixtures/operator/access.ts';
import { ACCESS_TYPE } from './access.ts';
import { NAMESPACE } from './process.ts';
import type { Scenario } from './scenario.ts';
import type { World } from './world.ts';

const CONSENT = {
  namespaces: ['shop'],
  topics: ['shop-*', 'orders'],
  operations: ['append', 'read'],
};
const CONSENTS = { access: [CONSENT] };
const API = 'system:serviceaccount:shop:api';

function put(world: World, name: string, rules: readonly string[], namespace = 'shop'): void {
  const { apiVersion, kind } = LOG_ACCESS;
  const spec = {
    clusterName: 'tm',
    clusterNamespace: NAMESPACE,
    serviceAccounts: ['api'],
    rules: rules.map(ruleOf),
  };
  const object = { apiVersion, kind, metadata: { namespace, name }, spec };
  world.say(`LogAccess ${namespace}/${name}: ${rules.join('; ')}`);
  world.handler.store.create(ACCESS_TYPE, object, { manager: 'kubectl' });
}

function remove(world: World, name: string, namespace = 'shop'): void {
  world.say(`LogAccess ${namespace}/${name} is deleted`);
  world.handler.store.delete(ACCESS_TYPE, { namespace, name });
}

function ready(world: World, name: string, namespace = 'shop'): string {
  const found = world.handler.store
    .list(ACCESS_TYPE, namespace)
    .find(({ metadata }) => metadata.name === name);
  const { conditions = [] } = (found?.['status'] ?? {}) as LogAccessStatus;
  const condition = conditions.find(({ type }) => type === 'Ready');
  return condition === undefined
    ? ''
    : `${condition.status} ${condition.reason}: ${condition.message}`;
}

async function settles(world: World, what: string): Promise<void> {
  await world.until(what, () => world.access.isSettled);
}

/** Two want the same, a third what is not consented to; consent shrinks, grows, and goes. */
async function shared(world: World): Promise<void> {
  world.access.grantByHand(API, 'read topic:orders');
  world.access.grantByHand('token:root', 'administer cluster');
  put(world, 'a', ['append,read topic:orders', 'read topic:shop-a']);
  put(world, 'b', ['append topic:orders']);
  put(world, 'c', ['read topic:orders'], 'team');
  await settles(world, 'what is consented to is granted');
  await world.until('all are told', () =>
    [ready(world, 'a'), ready(world, 'b')].every((each) => each.startsWith('True Granted')),
  );
  await world.until('who is not named is told nothing', () =>
    ready(world, 'c', 'team').startsWith(
      'False NotConsented: LogCluster default/tm is not there, or',
    ),
  );
  remove(world, 'a');
  await settles(world, 'what the other one wants stays');
  world.edit({ access: [{ ...CONSENT, operations: ['read'] }] });
  await settles(world, 'what is not consented to any more goes');
  await world.until('which is told', () => ready(world, 'b').startsWith('False NotConsented'));
  world.edit({ access: [{ ...CONSENT, namespaces: ['shop', 'team'] }] });
  await settles(world, 'a wider consent counts at once');
  world.edit({ access: null });
  await settles(world, 'without consent nothing is left but what people granted');
}

/** Nobody sees a LogAccess go, nor a consent; nothing holds them, and it is made good later. */
async function unwatched(world: World): Promise<void> {
  put(world, 'a', ['read topic:orders']);
  put(world, 'b', ['append topic:shop-b']);
  await settles(world, 'both are granted');
  world.desert();
  remove(world, 'a');
  if (world.handler.store.list(ACCESS_TYPE, 'shop').length !== 1)
    world.faults.push('a LogAccess is held');
  await world.sleep(30_000);
  world.returns();
  await settles(world, 'what nobody saw go is taken back');
}

/** The controller is cut off: nothing is claimed meanwhile, and all of it is done afterwards. */
async function whileDown(world: World): Promise<void> {
  const { kubernetes } = world;
  put(world, 'a', ['read topic:orders']);
  await settles(world, 'it is granted');
  for (const node of ['n0', 'n1'])
    world.harm(`cut ${node}`, () => kubernetes.loseNode(node, false));
  await world.sleep(20_000);
  put(world, 'b', ['append topic:shop-b']);
  remove(world, 'a');
  await world.until('it waits', () => ready(world, 'b').startsWith('Unknown ClusterUnreachable'));
  for (const node of ['n0', 'n1']) world.harm(`heal ${node}`, () => kubernetes.healNode(node));
  await settles(world, 'all is made good');
}

/** Brokers refuse one rule for ever: others are granted, and it is tried again at leisure. */
async function refused(world: World): Promise<void> {
  world.access.refuses = ({ name }) =>
    name === 'orders' ? 'there are 10000 rules already' : undefined;
  put(world, 'a', ['read topic:orders']);
  put(world, 'b', ['read topic:shop-b']);
  await world.until('the other one is granted', () => ready(world, 'b').startsWith('True Granted'));
  await world.until('the refusal stands in its status', () =>
    ready(world, 'a').startsWith('False AccessRefused: '),
  );
  world.edit({ image: 'tidemark:2' });
  await world.until('the cluster rolls all the same', () => world.isCalm);
  const before = world.access.calls;
  await world.sleep(300_000);
  const calls = world.access.calls - before;
  if (calls > 40) world.faults.push(`${calls} calls for a rule that is refused`);
  world.access.refuses = () => undefined;
  await settles(world, 'it is granted once they take it');
}

/** Whoever may write statuses gains nothing by it. */
async function forged(world: World): Promise<void> {
  const { store } = world.handler;
  world.access.grantByHand(API, 'read topic:secret');
  put(world, 'a', ['read topic:secret', 'read topic:orders']);
  await settles(world, 'it has what it may');
  const status = {
    observedGeneration: 7,
    rules: 9,
    granted: [{ principal: API, kind: 'topic', name: 'secret', operations: ['read'] }],
    conditions: [],
  };
  store.mergePatch(
    ACCESS_TYPE,
    { namespace: 'shop', name: 'a' },
    { status },
    {
      manager: 'somebody',
      subresource: 'status',
    },
  );
  await world.until('it is overwritten', () => ready(world, 'a').startsWith('False NotConsented'));
  remove(world, 'a');
  await settles(world, 'and no more is taken back than was given');
}

/** As with a chart of before: the definition is not there, and everything else goes on. */
async function withoutDefinition(world: World): Promise<void> {
  world.edit({ image: 'tidemark:2' });
  await world.until('the roll is over', () => world.isCalm);
  const topics = world.handler.store.list(builtIn('Pod'), NAMESPACE).length;
  if (topics === 0) world.faults.push('no pods');
}

/** An operator that starts may not list LogAccess at first: an empty cache takes nothing back. */
async function unlisted(world: World): Promise<void> {
  put(world, 'a', ['read topic:orders', 'append topic:shop-a']);
  await settles(world, 'it is granted');
  await world.sleep(70_000);
  world.network.policy = (title) =>
    /^GET .*[/]logaccesses/.test(title) ? 'logaccesses is forbidden' : undefined;
  for (const process of world.processes) world.kill(process);
  world.edit({ image: 'tidemark:2' });
  await world.sleep(60_000);
  await world.until('the cluster is rolled all the same', () => world.isCalm);
  world.network.policy = () => undefined;
  remove(world, 'a');
  await settles(world, 'it goes on once it may');
}

/** Brokers of before note nothing: nothing is granted until they are rolled. */
async function oldBrokers(world: World): Promise<void> {
  world.brokers.featureLevel = 9;
  put(world, 'a', ['read topic:orders']);
  await world.until('it says what it waits for', () =>
    ready(world, 'a').startsWith('False BrokersTooOld'),
  );
  await world.sleep(30_000);
  if (world.access.calls > 0) world.faults.push('brokers of before are asked');
  world.brokers.featureLevel = 10;
  await settles(world, 'it is granted once they are new');
}

/** Played once for each point at which the operator can be killed. */
export const ACCESS_SCENARIOS: readonly Scenario[] = [
  { title: 'access shared, consent withdrawn', spec: CONSENTS, play: shared },
];

export const ACCESS_STRANGERS: readonly Scenario[] = [
  { title: 'LogAccess deleted without an operator', spec: CONSENTS, play: unwatched },
  { title: 'LogAccess while brokers are down', spec: CONSENTS, play: whileDown },
  { title: 'a LogAccess that brokers refuse', spec: CONSENTS, play: refused },
  { title: 'forged statuses of LogAccess', spec: CONSENTS, play: forged },
  { title: 'no definition of LogAccess', world: { hasAccess: false }, play: withoutDefinition },
  { title: 'LogAccess that may not be listed', spec: CONSENTS, play: unlisted },
  { title: 'LogAccess with brokers of before', spec: CONSENTS, play: oldBrokers },
];
