/**
 * Rolls that have to wait: for a broker that is down, for a person, for the time of day. And rolls
 * of two brokers at a time.
 */
import { describe, expect, it } from 'vitest';
import { type Pod, useKube } from '../harness.ts';
import { tagImage } from '../launcher/image.ts';
import { PAUSE_IMAGE } from '../launcher/settings.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';

const MANUAL = { policy: 'Manual', window: null };
const AUTOMATIC = { policy: 'Automatic', window: null };
const TWELVE_HOURS_MS = 43_200_000;
const HOUR_MS = 3_600_000;

interface ImagedPod extends Pod {
  readonly spec: Pod['spec'] & { readonly containers: readonly { readonly image: string }[] };
}

describe('a roll', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  it('waits while a broker is down, and says for which', async () => {
    const { kube, cluster } = scene();
    const node = await kube.nodeOf(cluster.podName(1));
    const before = await cluster.podUids();
    await kube.kubectl('cordon', node);
    const verdict = await cluster.underLoad('down', async (load) => {
      await kube.kubectl('delete', 'pod', cluster.podName(1));
      await cluster.change({ config: { heartbeatMs: 300 } });
      await cluster.waitWaitingFor('pod log-1 does not run (Unschedulable');
      await load.progress();
      const during = await cluster.podUids();
      expect([during[0], during[2]]).toEqual([before[0], before[2]]);
      await kube.kubectl('uncordon', node);
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
  });

  it('goes on after an image that runs and never serves, once the spec is corrected', async () => {
    const { kube, cluster } = scene();
    const verdict = await cluster.underLoad('mute', async (load) => {
      await cluster.change({ image: PAUSE_IMAGE });
      const said = await cluster.waitWaitingFor('it does not answer (no ');
      expect(said).toMatch(
        /^waiting for broker \d to be in service: it does not answer \(no (connection|answer within 3 s)\)$/,
      );
      await load.progress();
      const { updatedReplicas, readyReplicas } = await cluster.waitStatus(
        'its pod to be shown',
        ({ updatedReplicas: updated }) => updated === 1,
      );
      expect([updatedReplicas, readyReplicas]).toEqual([1, 2]);
      await cluster.change({ image: kube.image });
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
  });

  it('waits for an approval where the policy is Manual, here of another image', async ({
    skip,
  }) => {
    const { kube, cluster } = scene();
    if (!kube.isOurs) skip('the image gets a second name on its nodes, and those are not ours');
    const image = kube.image.replace(/:[^:/]+$/, ':again');
    await tagImage(kube.image, image);
    const before = await cluster.podUids();
    await cluster.change({ rollout: MANUAL, image });
    const said = await cluster.waitWaitingFor('rollout.policy is Manual');
    const { status } = await cluster.resource();
    const hash = status?.templateHash ?? '';
    expect(said).toBe(
      `rollout.policy is Manual: annotation tidemark.dev/approved-rollout is absent, must be ${hash}`,
    );
    expect(await cluster.podUids()).toEqual(before);
    const verdict = await cluster.underLoad('image', async () => {
      const approval = `tidemark.dev/approved-rollout=${hash}`;
      await kube.kubectl('annotate', 'logcluster', cluster.name, approval);
      await cluster.waitReady();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const after = (await cluster.pods()) as ImagedPod[];
    expect(after.map(({ spec }) => spec.containers[0]?.image)).toEqual([image, image, image]);
    expect(after.filter(({ metadata }) => before.includes(metadata.uid))).toEqual([]);
  });

  it('waits for its window, not any longer than the policy does, and while it is paused', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    const templates = async (): Promise<string> =>
      kube.kubectl('get', 'statefulset', cluster.name, '-o', 'jsonpath={.spec.template}');
    // Far enough off whatever time it is, and on the hour.
    const opens = new Date(Math.ceil(Date.now() / HOUR_MS) * HOUR_MS + TWELVE_HOURS_MS)
      .toISOString()
      .replace('.000', '');
    const window = { start: opens.slice(11, 16), durationMinutes: 30 };
    await cluster.change({ rollout: { policy: 'Window', window }, config: { heartbeatMs: 350 } });
    expect(await cluster.waitWaitingFor('rollout window')).toBe(
      `waiting for the rollout window: it opens ${opens}`,
    );
    expect(await cluster.podUids()).toEqual(before);
    const template = await templates();
    await cluster.change({ paused: 'All', rollout: AUTOMATIC, config: { heartbeatMs: 400 } });
    await cluster.waitStatus('the pause of everything', ({ conditions = [] }) =>
      conditions.some(({ message }) => message === 'spec.paused is All: nothing is changed'),
    );
    expect(await templates()).toBe(template);
    await cluster.change({ paused: 'Disruptions' });
    await cluster.waitWaitingFor('spec.paused is Disruptions, must be absent to stop a broker');
    expect(await templates()).not.toBe(template);
    expect(await cluster.podUids()).toEqual(before);
    await cluster.change({ paused: null });
    await cluster.waitReady();
  });

  it('takes two brokers of a rack at once where the controller finds both together harmless', async () => {
    const { cluster } = scene();
    await cluster.change({ replicas: 5, rollout: { ...AUTOMATIC, maxUnavailable: 2 } });
    await cluster.waitReady();
    const { brokers } = await cluster.described();
    const racks = new Map(brokers.map(({ brokerId, rack }) => [brokerId, rack]));
    const earlier = await cluster.acts('check-safe', 'delete-pod');
    const verdict = await cluster.underLoad(
      'pairs',
      async () => {
        await cluster.change({ config: { heartbeatMs: 300 } });
        await cluster.waitReady();
      },
      { partitions: 5 },
    );
    expect(verdict).toMatchObject(UNHARMED);
    const acts = await cluster.acts('check-safe', 'delete-pod');
    // What the controller was asked right before it was done.
    const sets = acts
      .slice(earlier.length)
      .flatMap(({ brokerIds }) => (brokerIds === undefined ? [] : [[...brokerIds]]));
    expect(sets.flat().sort()).toEqual([0, 1, 2, 3, 4]);
    const pairs = sets.filter(({ length }) => length === 2);
    expect(pairs.length).toBeGreaterThan(0);
    for (const pair of pairs) expect(new Set(pair.map((id) => racks.get(id))).size).toBe(1);
  });
});
