/**
 * Listeners behind load balancers: a cloud that gives addresses late, and others later on; kubelets
 * that bring the files to pods later still; brokers that tell an address once their certificate
 * holds it. A listener that is added, or taken away, replaces each pod once; an address none.
 */
import { isIP } from 'node:net';
import type { ListenerAddress } from '../../../base/listeners.ts';
import { addressesName, LISTENER_LABEL } from '../../../operator/api/names.ts';
import type { ListenerStatus } from '../../../operator/api/types.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { NAMESPACE } from './process.ts';
import type { Scenario } from './scenario.ts';
import { between, randomOf, type Random } from './time.ts';
import { NAME, type World } from './world.ts';

const SERVICE = builtIn('Service');
const CONFIG_MAP = builtIn('ConfigMap');
/** Of a cloud, and of a kubelet. */
const GIVEN_MS = [1_000, 40_000] as const;
const SPREAD_MS = [1_000, 90_000] as const;
const OUTSIDE = {
  ...{ name: 'outside', port: 9_651, type: 'LoadBalancer', tls: { mode: 'Enabled' } },
  auth: { methods: ['token'], tokensSecretName: 'tokens' },
};
const INSIDE = { name: 'inside', port: 9_652, type: 'ClusterIP', auth: {} };

type Texts = Readonly<Record<string, string>>;

/** The cloud, and what brokers make of its addresses. */
class Cloud {
  readonly #world: World;
  readonly #random: Random;
  readonly #under = new Set<string>();
  /** By uid of the pod. */
  readonly #files = new Map<string, Texts>();
  #given = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = randomOf(7);
    world.brokers.listenersOf = (id) => this.#toldBy(id);
    this.#loop();
  }

  get services(): readonly string[] {
    return this.#world.handler.store
      .list(SERVICE, NAMESPACE)
      .filter(({ metadata }) => metadata.labels?.[LISTENER_LABEL] !== undefined)
      .map(({ metadata }) => metadata.name);
  }

  /** Another address in the place of one. */
  move(service: string): void {
    this.#world.say(`another address for ${service}`);
    this.#give(service);
  }

  #give(name: string): void {
    this.#given += 1;
    const { store } = this.#world.handler;
    const isThere = store.list(SERVICE, NAMESPACE).some(({ metadata }) => metadata.name === name);
    const named = `lb${this.#given}.example.net`;
    const ingress =
      this.#given % 2 === 0 ? { hostname: named } : { ip: `203.0.113.${this.#given}` };
    const patch = { status: { loadBalancer: { ingress: [ingress] } } };
    const by = { manager: 'cloud', subresource: 'status' } as const;
    if (isThere) store.mergePatch(SERVICE, { namespace: NAMESPACE, name }, patch, by);
  }

  #loop(): void {
    const { time, handler, kubernetes } = this.#world;
    const later = (key: string, ms: readonly [number, number], run: () => void): void => {
      if (this.#under.has(key)) return;
      this.#under.add(key);
      time.after(between(this.#random, ...ms), () => {
        this.#under.delete(key);
        run();
      });
    };
    for (const service of handler.store.list(SERVICE, NAMESPACE)) {
      const { type } = service['spec'] as { readonly type?: string };
      const { loadBalancer } = (service['status'] ?? {}) as { readonly loadBalancer?: object };
      if (type !== 'LoadBalancer' || loadBalancer !== undefined) continue;
      const { name, uid = '' } = service.metadata;
      later(uid, GIVEN_MS, () => this.#give(name));
    }
    for (const { metadata } of kubernetes.pods()) {
      const { uid = '' } = metadata;
      // A pod that starts finds what there is.
      if (!this.#files.has(uid)) this.#files.set(uid, this.#data());
      else later(uid, SPREAD_MS, () => this.#files.set(uid, this.#data()));
    }
    time.after(1_000, () => this.#loop());
  }

  #data(): Texts {
    const map = this.#world.handler.store
      .list(CONFIG_MAP, NAMESPACE)
      .find(({ metadata }) => metadata.name === addressesName(NAME.name));
    return (map?.['data'] ?? {}) as Texts;
  }

  /** As a broker does it: see broker/advertised.ts. */
  #toldBy(brokerId: number): ListenerAddress[] {
    const { kubernetes, tls, spec } = this.#world;
    const pod = kubernetes.pods().find(({ metadata: { name } }) => name === `tm-${brokerId}`);
    const uid = pod?.metadata.uid ?? '';
    const files = this.#files.get(uid) ?? {};
    const certificate = tls.certificate(uid);
    return (spec.listeners ?? []).flatMap(
      ({ name: listener, tls: { mode } = { mode: 'Disabled' } }) => {
        const address = files[`${listener}.tm-${brokerId}`];
        if (address === undefined) return [];
        const at = address.lastIndexOf(':');
        const host = address.slice(0, at);
        const held = isIP(host) === 0 ? certificate?.checkHost(host) : certificate?.checkIP(host);
        if (mode === 'Enabled' && held === undefined) return [];
        return [{ listener, host, port: Number(address.slice(at + 1)) }];
      },
    );
  }
}

const clouds = new WeakMap<World, Cloud>();

function cloudOf(world: World): Cloud {
  const cloud = clouds.get(world);
  if (cloud === undefined) throw new Error('the world has no cloud');
  return cloud;
}

const podsOf = (world: World): string[] =>
  world.kubernetes.pods().map(({ metadata }) => metadata.uid ?? '');

const statusOf = (world: World, name: string): ListenerStatus | undefined =>
  world.status.listeners?.find((listener) => listener.name === name);

const untilTold = (world: World, brokers: number): Promise<void> =>
  world.until(`${brokers} brokers tell where they are`, () => {
    const of = statusOf(world, 'outside');
    return (
      world.isCalm &&
      of?.bootstrap !== undefined &&
      of.brokers.length === brokers &&
      of.brokers.every(({ advertised }) => advertised)
    );
  });

async function listeners(world: World): Promise<void> {
  const cloud = cloudOf(world);
  const first = podsOf(world);
  world.edit({ listeners: [OUTSIDE] });
  await untilTold(world, 3);
  const second = podsOf(world);
  if (second.some((uid) => first.includes(uid))) world.faults.push('a pod knows of no listener');
  const before = statusOf(world, 'outside')?.brokers[1]?.address;
  cloud.move('tm-outside-1');
  await world.until('the status has the other address', () => {
    const now = statusOf(world, 'outside')?.brokers[1]?.address;
    return now !== undefined && now !== before;
  });
  await untilTold(world, 3);
  world.edit({ listeners: [{ ...OUTSIDE, annotations: { 'cloud.example/kind': 'network' } }] });
  await untilTold(world, 3);
  await world.sleep(10_000);
  if (podsOf(world).join() !== second.join()) world.faults.push('an address replaced a pod');
  world.edit({ replicas: 4 });
  await untilTold(world, 4);
  world.edit({ replicas: 3 });
  await world.until(
    'the Service of the broker that left is gone',
    () => !cloud.services.includes('tm-outside-3') && world.isCalm,
  );
  world.edit({ listeners: [INSIDE] });
  await world.until(
    'one listener has taken the place of another',
    () =>
      world.isCalm &&
      cloud.services.join() === 'tm-inside' &&
      statusOf(world, 'inside')?.brokers.every(({ advertised }) => advertised) === true,
  );
  world.edit({ listeners: null });
  await world.until(
    'nothing is left of any',
    () => world.isCalm && cloud.services.length === 0 && world.status.listeners === undefined,
  );
}

export const LISTENER_SCENARIOS: readonly Scenario[] = [
  {
    title: 'listeners behind load balancers',
    isLong: true,
    prepare: (world) => void clouds.set(world, new Cloud(world)),
    play: listeners,
  },
];
