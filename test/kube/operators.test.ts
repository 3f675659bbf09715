/** Two operators: one leads, the other waits for its lease. */
import { describe, expect, it } from 'vitest';
import { type Kube, type KubeObject, useKube } from './harness.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

const LEASE = 'tidemark';

interface Lease extends KubeObject {
  readonly spec: { readonly holderIdentity?: string };
}

interface LogLine {
  /** ISO 8601. */
  readonly time: string;
  readonly msg: string;
  readonly action?: string;
}

describe('two operators', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      await cluster.start();
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  it('take turns: one that hung in the middle of a roll does nothing when it wakes up', async () => {
    const { kube, cluster } = scene();
    const hung = await leader(kube);
    let wokenMs = 0;
    const verdict = await cluster.underLoad('operators', async ({ progress }) => {
      await cluster.change({ config: { heartbeatMs: 300 } });
      await cluster.waitStatus('a broker to be restarted', ({ step = '' }) =>
        /^restarting broker/.test(step),
      );
      const restarts = await kube.signalContainer(hung, 'SIGSTOP');
      const hungMs = Date.now();
      const next = await kube.wait('the other operator to take over', async (note) => {
        const holder = await leader(kube);
        note(holder);
        return holder !== '' && holder !== hung ? holder : undefined;
      });
      console.log(`  the other operator leads after ${Date.now() - hungMs} ms`);
      wokenMs = Date.now();
      await kube.signalContainer(hung, 'SIGCONT');
      await kube.waitRestarted(hung, restarts);
      await cluster.waitReady();
      expect(await leader(kube)).toBe(next);
      await progress();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const previous = await kube.kubectl('logs', hung, '--previous', '--tail=-1');
    const lines = previous
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    const woken = lines.filter(({ time }) => Date.parse(time) >= wokenMs);
    expect(woken.map(({ msg }) => msg)).toContain('leadership lost');
    expect(woken.filter(({ msg }) => msg === 'act')).toEqual([]);
  });
});

/** Name of the pod that leads; empty where none does. */
async function leader(kube: Kube): Promise<string> {
  const { spec } = await kube.get<Lease>('lease', LEASE);
  return (spec.holderIdentity ?? '').split('_')[0] ?? '';
}
