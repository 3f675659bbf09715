/** Pods that show the token of their account, in a namespace that denies by default. */
import { describe, expect, it } from 'vitest';
import { type KubeObject, useKube } from './harness.ts';
import { clientPod, programPod } from './objects.ts';
import { OperatedCluster } from './operated.ts';

/** A producer that is given no id asks again until its records' time is up. */
const append = (topic: string): string[] => ['append', topic, '--timeout', '5s'];
const ACCOUNTS = ['root', 'writer', 'other'];

interface Policy extends KubeObject {
  readonly spec: {
    readonly podSelector: object;
    readonly ingress?: readonly {
      readonly from?: readonly object[];
      readonly ports?: readonly { readonly port?: number | string }[];
    }[];
  };
}

describe('a LogCluster that asks who comes in', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await kube.apply(
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'default-deny' },
        spec: { podSelector: {}, policyTypes: ['Ingress'] },
      },
      ...ACCOUNTS.map((name) => ({
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name },
      })),
    );
    await cluster.start({
      clientTls: { mode: 'Enabled' },
      auth: {
        methods: ['oidc'],
        oidc: { issuer: 'https://kubernetes.default.svc' },
        administrators: [`system:serviceaccount:${kube.namespace}:root`],
      },
    });
    const { metadata } = await cluster.resource();
    for (const account of [...ACCOUNTS, 'stranger']) {
      // The last one has a token that is not meant for this cluster.
      const name = account === 'stranger' ? 'writer' : account;
      const audience = account === 'stranger' ? 'another' : metadata.uid;
      const pod = programPod(account, kube.image, ['sleep', 'infinity']);
      await kube.apply(clientPod(pod, cluster.name, { name, audience }));
    }
    for (const account of [...ACCOUNTS, 'stranger']) await kube.waitPodReady(account);
    return { kube, cluster };
  });

  const run = (pod: string, args: readonly string[], input = ''): Promise<string> =>
    scene().kube.exec(pod, ['tidemark', ...args], input);
  const refused = (pod: string, args: readonly string[], input = ''): Promise<string> =>
    scene().kube.refused(['exec', '--stdin', pod, '--', 'tidemark', ...args], input);

  it('lets a pod append where its account may, by the token that it has anyway', async () => {
    const { kube } = scene();
    const writer = `system:serviceaccount:${kube.namespace}:writer`;
    await run('root', ['topic', 'create', 'orders', '--partitions', '3']);
    await run('root', ['topic', 'create', 'wages', '--partitions', '3']);
    await run('root', ['access', 'grant', writer, 'append,read', 'topic:orders']);
    await run('writer', ['append', 'orders'], 'one\ntwo\n');
    const read = await run('writer', ['read', 'orders', '--format', 'raw']);
    expect(read.trim().split('\n').sort()).toEqual(['one', 'two']);
  });

  it('refuses it elsewhere, and everybody else', async () => {
    const { kube } = scene();
    const name = (account: string): string => `system:serviceaccount:${kube.namespace}:${account}`;
    // They see the topics, so that it is the append which is refused.
    await run('root', ['access', 'grant', name('writer'), 'describe', 'topic:wages']);
    await run('root', ['access', 'grant', name('other'), 'describe', 'topic:orders']);
    expect(await refused('writer', append('wages'), 'one\n')).toMatch(/:writer may not append/);
    expect(await refused('writer', ['access', 'list'])).toMatch(/:writer may not administer/);
    expect(await refused('other', append('orders'), 'one\n')).toMatch(/:other may not append/);
    expect(await refused('other', ['read', 'orders'])).toMatch(/:other may not read/);
    expect(await refused('stranger', append('orders'), 'one\n')).toMatch(/Not authenticated/);
    expect(await refused('writer', ['access', 'list', '--token', 'x'])).toMatch(
      /Not authenticated/,
    );
    expect((await run('root', ['read', 'wages', '--format', 'raw'])).trim()).toBe('');
    const read = await run('root', ['read', 'orders', '--format', 'raw']);
    expect(read.trim().split('\n')).toHaveLength(2);
  });

  it('lets the self-test in that may use topics of its own, and do nothing else', async () => {
    const { kube } = scene();
    const other = `system:serviceaccount:${kube.namespace}:other`;
    const topics = 'topic:tidemark-self-test-*';
    await run('root', ['access', 'grant', other, 'create,append,read,delete', topics]);
    expect(await run('other', ['self-test'])).toMatch(/^ok: /m);
  });

  it('refuses it from the moment on that its rule is gone', async () => {
    const { kube } = scene();
    const writer = `system:serviceaccount:${kube.namespace}:writer`;
    await run('root', ['access', 'revoke', writer, 'all', 'topic:orders']);
    await kube.wait('the append to be refused', async (note) => {
      const said = await refused('writer', append('orders'), 'three\n').catch(String);
      note(said);
      return said.includes(':writer may not') ? said : undefined;
    });
  });

  // The launcher's network has nothing that carries policies out: what is looked at is that they
  // are there, beside one that denies everything, and let in whom brokers need.
  it('has a policy of its own beside one that denies by default', async () => {
    const { kube, cluster } = scene();
    const policies = await kube.list<Policy>('networkpolicy');
    expect(policies.map(({ metadata }) => metadata.name).sort()).toEqual([
      'default-deny',
      cluster.name,
      'tidemark-operator',
    ]);
    const own = policies.find(({ metadata }) => metadata.name === cluster.name);
    const rules = (own?.spec.ingress ?? []).flatMap(({ from, ports = [] }) =>
      ports.map(({ port }) => ({ port, isForAll: from === undefined, peers: from?.length ?? 0 })),
    );
    expect(rules).toContainEqual({ port: 9_643, isForAll: false, peers: 2 });
    expect(rules).toContainEqual({ port: 9_641, isForAll: true, peers: 0 });
    expect(rules).toContainEqual({ port: 9_642, isForAll: true, peers: 0 });
    const pods = await kube.list('pod', 'app.kubernetes.io/component=broker');
    expect(own?.spec.podSelector).toMatchObject({
      matchLabels: { 'app.kubernetes.io/instance': cluster.name },
    });
    expect(pods).toHaveLength(3);
  });
});
