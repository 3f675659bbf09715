/** A LogCluster that was made in plaintext goes over to TLS between its brokers, under load. */
import { describe, expect, it } from 'vitest';
import { type Pod, useKube } from '../harness.ts';
import { OperatedCluster, UNHARMED } from '../operated.ts';

const STEPS = ['Plaintext', 'Allow', 'Prefer', 'Require'];
const VARIABLE = 'TIDEMARK_INTERNAL_TLS_MODE';

interface BrokerPod extends Pod {
  readonly spec: Pod['spec'] & {
    readonly volumes: readonly { readonly name: string }[];
    readonly containers: readonly {
      readonly env: readonly { readonly name: string; readonly value?: string }[];
    }[];
  };
}

/** By what its pod says: docs/security.md#tls. */
function stepOf({ spec: { volumes, containers } }: BrokerPod): number {
  const mode = containers[0]?.env.find(({ name }) => name === VARIABLE)?.value;
  if (!volumes.some(({ name }) => name === 'tls')) return 0;
  return mode === 'allow' ? 1 : mode === 'prefer' ? 2 : 3;
}

describe('a LogCluster that was made in plaintext', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start({ internalTls: { mode: 'Disabled' } });
    return { kube, cluster };
  });

  const steps = async (): Promise<number[]> => {
    const pods = (await scene().cluster.pods()) as BrokerPod[];
    return pods.map(stepOf);
  };

  /** Watches every pod until the way is at its end: no two may be further apart than a step. */
  async function go(mode: string | null, end: number): Promise<number[][]> {
    const { kube, cluster } = scene();
    const seen: number[][] = [];
    await cluster.change({ internalTls: { mode } });
    await kube.wait(
      `all brokers to be in phase ${STEPS[end]}`,
      async (note) => {
        const now = await steps();
        seen.push(now);
        const { metadata, status } = await cluster.resource();
        note({ now, status });
        const isReady = status?.conditions?.some(
          (each) => each.type === 'Ready' && each.status === 'True',
        );
        const isOver = now.length === 3 && now.every((step) => step === end);
        return isOver && isReady === true && status?.observedGeneration === metadata.generation
          ? now
          : undefined;
      },
      900_000,
    );
    expect(seen.filter((each) => Math.max(...each) - Math.min(...each) > 1)).toEqual([]);
    return seen;
  }

  it('goes over to TLS in three steps, and no append fails', async () => {
    const { kube, cluster } = scene();
    expect(await steps()).toEqual([0, 0, 0]);
    expect((await cluster.resource()).status).toMatchObject({ internalTls: { mode: 'Disabled' } });
    const verdict = await cluster.underLoad('to-tls', async (load) => {
      const seen = await go('Enabled', 3);
      // Through each phase with all of them.
      for (const step of [1, 2, 3])
        expect(seen.map((each) => each.join())).toContain([step, step, step].join());
      await load.progress();
    });
    expect(verdict).toMatchObject(UNHARMED);
    const { status } = await cluster.resource();
    expect(status).toMatchObject({ internalTls: { mode: 'Enabled' } });
    for (const id of [0, 1, 2])
      expect(await kube.kubectl('logs', cluster.podName(id), '--tail=-1')).not.toContain(
        'internal-listener-open',
      );
  }, 1_000_000);

  it('does not go back then, and says so', async () => {
    const { cluster } = scene();
    const pods = await cluster.podUids();
    await cluster.change({ internalTls: { mode: 'Disabled' } });
    await cluster.waitStatus('the refusal', ({ conditions = [] }) =>
      conditions.some(({ type, reason }) => type === 'Ready' && reason === 'InternalTlsFixed'),
    );
    await cluster.change({ internalTls: { mode: null } });
    await cluster.waitReady();
    expect(await cluster.podUids()).toEqual(pods);
  });
});

describe('another one', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start({ internalTls: { mode: 'Disabled' } });
    return { kube, cluster };
  });

  it('that is taken back on its way ends in plaintext, and no append fails', async () => {
    const { kube, cluster } = scene();
    const steps = async (): Promise<number[]> =>
      ((await cluster.pods()) as BrokerPod[]).map(stepOf);
    const verdict = await cluster.underLoad('back', async (load) => {
      await cluster.change({ internalTls: { mode: 'Enabled' } });
      await kube.wait(
        'a broker to dial TLS',
        async (note) => {
          const now = await steps();
          note(now);
          return now.includes(2) ? now : undefined;
        },
        600_000,
      );
      await cluster.change({ internalTls: { mode: null } });
      await kube.wait(
        'plaintext again',
        async (note) => {
          const now = await steps();
          note(now);
          return now.length === 3 && now.every((step) => step === 0) ? now : undefined;
        },
        600_000,
      );
      await cluster.waitReady();
      await load.progress();
    });
    expect(verdict).toMatchObject(UNHARMED);
  }, 1_300_000);
});
