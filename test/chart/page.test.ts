/** The page of the chart: who may reach it, and that it runs what the command knows. */
import { beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../../client/cli/program.ts';
import { restrictedBreaches } from '../fixtures/operator/restricted.ts';
import { CHART, helm, missing, render, template } from './render.ts';
import type { Rendered, Values } from './render.ts';

const EVERYTHING = {
  enabled: true,
  cluster: 'events',
  allow: ['append'],
  caSecret: 'events-brokers-ca-cert',
  certificateSecret: 'page-tls',
  tokenAudience: 'tidemark',
  hosts: ['tidemark.example'],
  from: [{ namespaceSelector: {} }],
};
const VARIANTS = [
  { name: 'the page', page: { enabled: true } },
  { name: 'everything of the page', page: EVERYTHING },
  {
    name: 'a page that asks for tokens',
    page: { enabled: true, askToken: true, caSecret: 'ca', conditions: false },
  },
];

interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value: string }[];
    readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  readonly volumes?: readonly { readonly name: string }[];
}

function objects(page: Values, more: Values = {}): Rendered[] {
  return render({ ...more, page }).filter(
    ({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'page',
  );
}

function one(all: readonly Rendered[], kind: string): Rendered {
  const found = all.filter((object) => object.kind === kind);
  expect(found).toHaveLength(1);
  return found[0]!;
}

function podOf(page: Values): PodSpec {
  const { spec } = one(objects(page), 'Deployment');
  return (spec?.['template'] as { readonly spec: PodSpec }).spec;
}

describe('the page of the chart', () => {
  beforeEach(({ skip }) => {
    skip(missing !== undefined, missing);
  });

  it('is not there unless it is asked for', () => {
    expect(objects({})).toEqual([]);
    expect(template()).not.toMatch(/\bpage\b/);
  });

  it.each(VARIANTS)('passes helm lint --strict: $name', ({ page }) => {
    expect(helm(['lint', '--strict', CHART], { page })).toMatchObject({ code: 0 });
  });

  it.each(VARIANTS)('is a restricted pod in the namespace of the release: $name', ({ page }) => {
    expect(restrictedBreaches(podOf(page))).toEqual([]);
    for (const { metadata } of objects(page)) expect(metadata.namespace).toBe('shop');
  });

  it.each(VARIANTS)('is started with options that the command takes: $name', async ({ page }) => {
    const [program, name, ...args] = podOf(page).containers[0]?.args ?? [];
    expect([program, name]).toEqual(['tidemark', 'page']);
    let taken: unknown;
    const tidemark = buildProgram({} as never, () => undefined);
    const command = tidemark.commands.find((each) => each.name() === 'page');
    await command
      ?.exitOverride()
      .action((options: unknown) => {
        taken = options;
      })
      .parseAsync(args, { from: 'user' });
    expect(taken).toMatchObject({ port: 9640, listen: '*' });
  });

  it('shows the LogCluster of the notes, and its conditions by the right to get it alone', () => {
    const all = objects({ enabled: true });
    expect(one(all, 'Role').rules).toEqual([
      {
        apiGroups: ['tidemark.dev'],
        resources: ['logclusters'],
        resourceNames: ['orders'],
        verbs: ['get'],
      },
    ]);
    const { containers, automountServiceAccountToken } = podOf({ enabled: true });
    expect(automountServiceAccountToken).toBe(true);
    expect(containers[0]?.args).toContain('--log-cluster=shop/orders');
    expect(containers[0]?.env).toEqual([
      { name: 'TIDEMARK_SERVER', value: 'orders.shop.svc:9641' },
    ]);
    expect(containers[0]?.args.join()).not.toContain('--allow');
  });

  it('has no right and no token of Kubernetes where it shows no conditions', () => {
    const page = { enabled: true, conditions: false };
    expect(objects(page).filter(({ kind }) => kind.startsWith('Role'))).toEqual([]);
    expect(podOf(page).automountServiceAccountToken).toBe(false);
  });

  it('lets in port-forwarding alone, unless it is told whom', () => {
    const ingress = (page: Values): unknown =>
      one(objects(page), 'NetworkPolicy').spec?.['ingress'];
    expect(ingress({ enabled: true })).toEqual([]);
    expect(ingress(EVERYTHING)).toEqual([
      { from: [{ namespaceSelector: {} }], ports: [{ protocol: 'TCP', port: 'http' }] },
    ]);
    const none = { networkPolicy: { enabled: false } };
    expect(objects({ enabled: true }, none).map(({ kind }) => kind)).not.toContain('NetworkPolicy');
  });

  it('mounts what it shows to brokers, and every mount has its volume', () => {
    const { containers, volumes } = podOf(EVERYTHING);
    const mounts = containers[0]?.volumeMounts ?? [];
    expect(mounts.map(({ mountPath }) => mountPath)).toEqual([
      '/etc/tidemark/ca',
      '/etc/tidemark/certificate',
      '/var/run/secrets/tokens',
    ]);
    expect(volumes?.map(({ name }) => name)).toEqual(mounts.map(({ name }) => name));
    expect(podOf({ enabled: true }).volumes).toBeUndefined();
  });

  it.each([
    { page: { askToken: true }, reason: 'needs page.caSecret' },
    { page: { askToken: true, caSecret: 'a', tokenAudience: 'b' }, reason: 'must be empty' },
    { page: { allow: ['delete'] }, reason: 'allow' },
    { page: { cluster: 'Orders' }, reason: 'cluster' },
  ])('refuses $page', ({ page, reason }) => {
    const { code, output } = helm(['template', 'tidemark', CHART], {
      page: { enabled: true, ...page },
    });
    expect(code).not.toBe(0);
    expect(output).toContain(reason);
  });
});
