/**
 * Certificates that are renewed, lost and replaced. In each no pod moves, and brokers always let
 * each other in: see tls.ts.
 */
import { authoritySecretName, certificatesSecretName } from '../../../operator/api/names.ts';
import type { TlsPhase } from '../../../operator/api/types.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { tlsPhaseOf } from '../../../operator/objects/pod.ts';
import { builtIn } from '../../fixtures/kube/objects.ts';
import { NAMESPACE } from './process.ts';
import type { Scenario } from './scenario.ts';
import { between } from './time.ts';
import { CLUSTER_TYPE, NAME, type World } from './world.ts';

const SECRET = builtIn('Secret');
const AUTHORITY = authoritySecretName(NAME.name);
const CERTIFICATES = certificatesSecretName(NAME.name);
const ANNOTATION = 'tidemark.dev/new-certificate-authority';
const DAY_MS = 86_400_000;
const PLAINTEXT = { internalTls: { mode: 'Disabled' } };
/** A little longer than the operator waits, once all brokers have read a change. */
const SPREAD_MS = 660_000;

function secretOf(world: World, name: string): KubeObject | undefined {
  return world.handler.store.list(SECRET, NAMESPACE).find(({ metadata }) => metadata.name === name);
}

function remove(world: World, name: string): void {
  world.harm(`secret-deleted ${name}`, () =>
    world.handler.store.delete(SECRET, { namespace: NAMESPACE, name }),
  );
}

/** From a backup: as it was, under another uid. */
function restore(world: World, { metadata, ...rest }: KubeObject): void {
  const { name, labels, annotations = {}, ownerReferences } = metadata;
  const kept = { namespace: NAMESPACE, name, labels, annotations, ownerReferences };
  const object = { ...rest, metadata: kept };
  world.handler.store.create(SECRET, object as unknown as KubeObject, { manager: 'backup' });
}

/** Everything that brokers show each other, but not the authority. */
export function loseCertificates(world: World): void {
  if (secretOf(world, CERTIFICATES) !== undefined) remove(world, CERTIFICATES);
}

/** The authority's Secret is gone, and somebody puts it back. */
export function loseAndRestore(world: World, forMs: number): void {
  const lost = secretOf(world, AUTHORITY);
  if (lost === undefined) return;
  remove(world, AUTHORITY);
  world.time.after(forMs, () => {
    if (secretOf(world, AUTHORITY) === undefined) restore(world, lost);
  });
}

export function askForAuthority(world: World): void {
  const { authority } = world.status.internalTls ?? {};
  if (authority !== undefined) world.annotate(ANNOTATION, authority);
}

const podsOf = (world: World): string[] =>
  world.kubernetes.pods().map(({ metadata }) => metadata.uid ?? '');
const shownIn = (world: World): (string | undefined)[] =>
  podsOf(world).map((uid) => world.tls.shown(uid));

function whereNoPodMoves(play: (world: World) => Promise<void>): Scenario['play'] {
  return async (world) => {
    const before = podsOf(world);
    await play(world);
    if (podsOf(world).join() !== before.join()) world.faults.push('a pod was replaced');
  };
}

async function untilShownAnew(world: World, before: readonly unknown[]): Promise<void> {
  await world.until('every broker shows a new certificate', () =>
    shownIn(world).every((shown) => !before.includes(shown)),
  );
}

const untilTrusted = (world: World, count: number): Promise<void> =>
  world.until(`every broker trusts ${count}`, () =>
    podsOf(world).every((uid) => world.tls.trusted(uid) === count),
  );

async function renewed(world: World): Promise<void> {
  const before = shownIn(world);
  world.time.skip(59 * DAY_MS);
  await world.sleep(10_000);
  if (secretOf(world, CERTIFICATES) === undefined) world.faults.push('no Secret of certificates');
  world.time.skip(2 * DAY_MS);
  await untilShownAnew(world, before);
}

async function authorityAsked(world: World): Promise<void> {
  const asked = world.status.internalTls?.authority ?? '';
  const before = shownIn(world);
  askForAuthority(world);
  await untilTrusted(world, 2);
  world.time.skip(SPREAD_MS);
  await untilShownAnew(world, before);
  // Somebody puts both Secrets back, and owns their fields with the operator from now on.
  for (const secret of [AUTHORITY, CERTIFICATES].map((name) => secretOf(world, name))) {
    if (secret === undefined) continue;
    remove(world, secret.metadata.name);
    restore(world, secret);
  }
  world.time.skip(SPREAD_MS);
  await untilTrusted(world, 1);
  await world.until(
    'the status names the new authority',
    () => world.isCalm && world.status.internalTls?.authority !== asked,
  );
  // What was asked for is done: the annotation that is left asks for nothing.
  const versions = (): string =>
    [AUTHORITY, CERTIFICATES].map((name) => secretOf(world, name)?.metadata.resourceVersion).join();
  const known = versions();
  world.time.skip(SPREAD_MS);
  await world.sleep(20_000);
  if (versions() !== known) world.faults.push('Secrets change that nobody asked to');
}

const untilLost = (world: World): Promise<void> =>
  world.until('the loss is told', () =>
    world.condition('Ready').includes('CertificateAuthorityLost'),
  );

async function authorityLost(world: World): Promise<void> {
  const lost = secretOf(world, AUTHORITY);
  remove(world, AUTHORITY);
  await untilLost(world);
  await world.sleep(30_000);
  if (secretOf(world, AUTHORITY) !== undefined) world.faults.push('a silent new authority');
  if (lost !== undefined) restore(world, lost);
}

async function authorityReplaced(world: World): Promise<void> {
  const asked = world.status.internalTls?.authority ?? '';
  const before = shownIn(world);
  remove(world, AUTHORITY);
  await untilLost(world);
  world.annotate(ANNOTATION, asked);
  await untilTrusted(world, 2);
  world.time.skip(SPREAD_MS);
  await untilShownAnew(world, before);
  world.time.skip(SPREAD_MS);
  await untilTrusted(world, 1);
}

/** From a backup of before another authority took its place: nobody may be cut off. */
async function authorityRestoredFromBefore(world: World): Promise<void> {
  const before = shownIn(world);
  const backup = secretOf(world, AUTHORITY);
  askForAuthority(world);
  await untilTrusted(world, 2);
  world.time.skip(SPREAD_MS);
  await untilShownAnew(world, before);
  const second = shownIn(world);
  remove(world, AUTHORITY);
  if (backup !== undefined) restore(world, backup);
  await untilShownAnew(world, second);
  await world.sleep(130_000);
  world.time.skip(8 * DAY_MS);
  // What was asked for is asked again, since the Secret is as it was.
  world.annotate(ANNOTATION, null);
  await untilTrusted(world, 1);
}

async function certificatesLost(world: World): Promise<void> {
  const before = shownIn(world);
  remove(world, CERTIFICATES);
  await untilShownAnew(world, before);
}

/** Rights to Secrets are taken away for a while, as by another chart's values. */
async function unreadable(world: World): Promise<void> {
  world.network.policy = (title) => (title.includes('/secrets/') ? 'may not' : undefined);
  await world.until('that is told', () =>
    world.condition('Ready').includes('CertificatesUnreadable'),
  );
  await world.sleep(10_000);
  world.network.policy = () => undefined;
}

/** As an operator left it that knew of no TLS: nothing says so, and the brokers speak plaintext. */
async function olderCluster(world: World): Promise<void> {
  const { store } = world.handler;
  world.hinder('upgrade of the operator', () => {
    for (const process of world.processes) process.kill();
    world.edit({ internalTls: null });
    store.mergePatch(
      CLUSTER_TYPE,
      NAME,
      { status: { internalTls: null } },
      { manager: 'kubectl', subresource: 'status' },
    );
  });
  await world.sleep(30_000);
  if (secretOf(world, AUTHORITY) !== undefined) world.faults.push('an authority for plaintext');
}

const phasesOf = (world: World): TlsPhase[] => world.kubernetes.pods().map(tlsPhaseOf);

async function untilIn(world: World, phase: TlsPhase, limitMs?: number): Promise<void> {
  await world.until(
    `every pod is of phase ${phase}`,
    () => world.isCalm && phasesOf(world).every((each) => each === phase),
    limitMs,
  );
}

const ask = (world: World, mode: 'Enabled' | 'Disabled' | null): void =>
  world.edit({ internalTls: mode === null ? null : { mode } });

async function toTls(world: World): Promise<void> {
  ask(world, 'Enabled');
  await untilIn(world, 'Require');
  ask(world, 'Disabled');
  await world.until('it is refused', () => world.condition('Ready').includes('InternalTlsFixed'));
  await world.sleep(10_000);
  if (phasesOf(world).some((phase) => phase !== 'Require')) world.faults.push('TLS is taken back');
  ask(world, null);
}

/** Taken back in each phase, as the template gets there, and in the middle of its roll. */
async function toTlsAndBack(world: World): Promise<void> {
  for (const [phase, count] of [
    ['Allow', 1],
    ['Prefer', 1],
    ['Prefer', 3],
  ] as const) {
    ask(world, 'Enabled');
    await world.until(
      `${count} of phase ${phase}`,
      () => phasesOf(world).filter((each) => each === phase).length >= count,
    );
    ask(world, count === 1 ? 'Disabled' : null);
    await untilIn(world, 'Plaintext');
  }
  const asked = world.cluster?.metadata.generation;
  ask(world, 'Enabled');
  await world.until('that is begun', () => world.status.observedGeneration !== asked);
  ask(world, null);
  await untilIn(world, 'Plaintext');
}

/** The status is lost again and again, whatever is under way. */
async function toTlsForgetful(world: World): Promise<void> {
  const { store } = world.handler;
  ask(world, 'Enabled');
  for (let round = 0; round < 8; round += 1) {
    await world.sleep(between(world.random, 500, 6_000));
    world.hinder('status-lost', () =>
      store.mergePatch(
        CLUSTER_TYPE,
        NAME,
        { status: { internalTls: null } },
        { manager: 'kubectl', subresource: 'status' },
      ),
    );
  }
  await untilIn(world, 'Require');
}

/** Brokers of a build that knows no steps to TLS: nothing moves before they have another one. */
async function toTlsOfOldBuild(world: World): Promise<void> {
  const before = podsOf(world);
  ask(world, 'Enabled');
  await world.until('the build is named', () =>
    world.condition('Ready').includes('InternalTlsAllow'),
  );
  await world.sleep(30_000);
  if (podsOf(world).join() !== before.join()) world.faults.push('a pod was replaced');
  world.tls.isOldBuild = false;
  world.edit({ image: 'tidemark:2' });
  await untilIn(world, 'Require');
}

export const TLS_SCENARIOS: readonly Scenario[] = [
  { title: 'certificates renewed', play: whereNoPodMoves(renewed) },
  { title: 'certificates lost', play: whereNoPodMoves(certificatesLost) },
  { title: 'another authority asked for', play: whereNoPodMoves(authorityAsked) },
  { title: 'authority lost and restored', play: whereNoPodMoves(authorityLost) },
  {
    title: 'authority restored from before',
    play: whereNoPodMoves(authorityRestoredFromBefore),
  },
  { title: 'authority lost and replaced', play: whereNoPodMoves(authorityReplaced) },
  { title: 'certificates that may not be read', play: whereNoPodMoves(unreadable) },
  {
    title: 'made before TLS',
    spec: PLAINTEXT,
    play: whereNoPodMoves(olderCluster),
  },
  { title: 'from plaintext to TLS', spec: PLAINTEXT, play: toTls },
  { title: 'from plaintext to TLS, and back', isLong: true, spec: PLAINTEXT, play: toTlsAndBack },
  { title: 'from plaintext to TLS, forgetfully', spec: PLAINTEXT, play: toTlsForgetful },
  {
    title: 'from plaintext to TLS, by two operators',
    isLong: true,
    spec: PLAINTEXT,
    world: { copies: 2, operators: 2 },
    play: toTls,
  },
  {
    title: 'from plaintext to TLS, of a build that knows no steps',
    isLong: true,
    spec: PLAINTEXT,
    prepare: (world) => {
      world.tls.isOldBuild = true;
    },
    play: toTlsOfOldBuild,
  },
];
