/** Labels and annotations of objects: they come, change and go with the spec, and with it alone. */
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import type { Json } from '../../fixtures/kube/field-ownership.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { BUDGET, CLAIM } from './kubernetes.ts';
import { NAMESPACE } from './process.ts';
import type { Scenario } from './scenario.ts';
import type { World } from './world.ts';

type Texts = Readonly<Record<string, string>>;

const SERVICE = builtIn('Service');
/** Two Services, three claims, and the budget. */
const OBJECTS = 6;

function overlaid({ handler: { store } }: World): readonly KubeObject[] {
  const named = [SERVICE, BUDGET].flatMap((type) =>
    store.list(type, NAMESPACE).filter(({ metadata }) => /^tm(-brokers)?$/.test(metadata.name)),
  );
  return [...store.list(CLAIM, NAMESPACE), ...named];
}

function all(world: World, holds: (labels: Texts, annotations: Texts) => boolean): boolean {
  const objects = overlaid(world);
  return (
    objects.length === OBJECTS &&
    objects.every(({ metadata: { labels = {}, annotations = {} } }) => holds(labels, annotations))
  );
}

function overlay(world: World, change: Json): void {
  const objects = ['clientsService', 'brokersService', 'claims', 'budget'];
  world.edit({ objects: Object.fromEntries(objects.map((object) => [object, change])) });
}

async function comeAndGo(world: World): Promise<void> {
  const { store } = world.handler;
  const pods = (): string =>
    world.kubernetes
      .pods()
      .map(({ metadata }) => metadata.uid)
      .join();
  const before = pods();
  overlay(world, { labels: { team: 'shop', cost: '7' }, annotations: { note: 'x' } });
  await world.until('all have them', () =>
    all(world, ({ team, cost }, { note }) => team === 'shop' && cost === '7' && note === 'x'),
  );
  const patch = { metadata: { labels: { mesh: 'on' }, annotations: { note: 'by hand' } } };
  for (const { kind, metadata } of overlaid(world))
    store.mergePatch(
      kind === 'Service' ? SERVICE : kind === 'PersistentVolumeClaim' ? CLAIM : BUDGET,
      { namespace: NAMESPACE, name: metadata.name },
      patch,
      { manager: 'person' },
    );
  await world.until('what was changed by hand is set back', () =>
    all(world, ({ mesh }, { note }) => mesh === 'on' && note === 'x'),
  );
  overlay(world, { labels: { team: 'sales', cost: null }, annotations: null });
  await world.until('what left the spec is gone, and nothing of others is', () =>
    all(
      world,
      ({ team, cost, mesh }, { note }) =>
        team === 'sales' && cost === undefined && mesh === 'on' && note === undefined,
    ),
  );
  world.edit({ objects: null });
  await world.until('all is gone', () =>
    all(world, ({ team, mesh }) => team === undefined && mesh === 'on'),
  );
  world.arm(undefined);
  await world.sleep(120_000);
  if (world.writes >= 5) world.faults.push(`must hold: few writes for nothing: ${world.writes}`);
  if (pods() !== before) world.faults.push('must hold: no pod has moved');
}

export const LABEL_SCENARIOS: readonly Scenario[] = [
  { title: 'labels of objects that come and go', play: comeAndGo },
];
