/** LogAccess of a tenant's namespace, and a LogCluster that consents to some of it. */
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { type Kube, useKube } from './harness.ts';
import { OperatedCluster, type Resource } from './operated.ts';

const RULES = [
  { resource: 'topic', name: 'orders', operations: ['append', 'read'] },
  { resource: 'topic', name: 'shop-*', operations: ['read'] },
];

interface Listed {
  readonly rules: readonly {
    readonly principal: string;
    readonly operations: readonly string[];
    readonly resource: string;
    readonly given?: readonly string[];
  }[];
}

describe('LogAccess', () => {
  const scene = useKube(async (kube) => {
    const tenant = `${kube.namespace}-shop`;
    await kube.kubectl('create', 'namespace', tenant);
    const cluster = new OperatedCluster(kube);
    const access = consentTo(tenant, ['append', 'read']);
    await cluster.start({ access }, `watchNamespaces={${kube.namespace},${tenant}}`);
    return { kube, cluster, tenant };
  });

  function consentTo(tenant: string, operations: readonly string[]): readonly object[] {
    return [{ namespaces: [tenant], topics: ['orders', 'shop-*'], operations }];
  }

  async function put(name: string, spec: object): Promise<void> {
    const { kube, cluster, tenant } = scene();
    const manifest = {
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogAccess',
      metadata: { name },
      spec: { clusterName: cluster.name, clusterNamespace: kube.namespace, ...spec },
    };
    await kube.create(JSON.stringify(manifest), tenant);
  }

  /** What LogAccess gave, as brokers list it. */
  async function given(kube: Kube, server: string): Promise<string[]> {
    const text = await kube.tidemark(server, ['access', 'list', '--output', 'json']);
    const { rules } = JSON.parse(text) as Listed;
    return rules
      .filter((rule) => (rule.given ?? []).length > 0)
      .map((rule) => `${rule.principal} ${(rule.given ?? []).join()} ${rule.resource}`)
      .sort();
  }

  async function waitGiven(what: string, wanted: readonly string[]): Promise<void> {
    const { kube, cluster } = scene();
    await kube.wait(what, async (note) => {
      const now = await given(kube, cluster.server);
      note(now);
      return when(JSON.stringify(now) === JSON.stringify([...wanted].sort()));
    });
  }

  function waitReady(name: string, text: string): Promise<string> {
    const { kube, tenant } = scene();
    return kube.wait(`LogAccess ${name} to say ${text}`, async (note) => {
      const found = await kube.kubectl(
        'get',
        'logaccess',
        name,
        `--namespace=${tenant}`,
        '-o',
        'json',
      );
      const { status } = JSON.parse(found) as Resource;
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      const said = `${ready?.status} ${ready?.reason}`;
      note(said);
      return said === text ? said : undefined;
    });
  }

  it('gives accounts of its namespace what the LogCluster consents to', async () => {
    const { kube, tenant } = scene();
    await put('checkout', { serviceAccounts: ['checkout', 'job-*'], rules: RULES });
    await waitReady('checkout', 'True Granted');
    const accounts = ['checkout', 'job-*'].map((name) => `system:serviceaccount:${tenant}:${name}`);
    await waitGiven(
      'brokers to have the rules',
      accounts.flatMap((account) => [
        `${account} append,read topic:orders`,
        `${account} read topic:shop-*`,
      ]),
    );
    const shown = await kube.kubectl('get', 'logaccess', `--namespace=${tenant}`);
    expect(shown).toMatch(/^NAME +CLUSTER +READY +RULES +ENFORCED +AGE +MESSAGE/);
    expect(shown).toMatch(/checkout +log +True +4 +False/);
  });

  it('says what is not consented to, and grants the rest', async () => {
    const { tenant } = scene();
    const rules = [{ resource: 'topic', name: 'secret', operations: ['read'] }];
    await put('nosy', { serviceAccounts: ['*'], rules });
    await waitReady('nosy', 'False NotConsented');
    expect(
      await scene().kube.kubectl('delete', 'logaccess', 'nosy', `--namespace=${tenant}`),
    ).toContain('deleted');
  });

  it('takes back what is consented to no more', async () => {
    const { cluster, tenant } = scene();
    await cluster.change({ access: consentTo(tenant, ['read']) });
    await waitReady('checkout', 'False NotConsented');
    const accounts = ['checkout', 'job-*'].map((name) => `system:serviceaccount:${tenant}:${name}`);
    await waitGiven(
      'appends to be revoked',
      accounts.flatMap((account) => [
        `${account} read topic:orders`,
        `${account} read topic:shop-*`,
      ]),
    );
  });

  it('holds no namespace: what it had given goes with it', async () => {
    const { kube, tenant } = scene();
    await kube.kubectl('delete', 'namespace', tenant, '--wait', '--timeout=90s');
    await waitGiven('all of it to be revoked', []);
  });
});
