/**
 * The chart, rendered by the real helm: what comes out, what is refused, and that it agrees with
 * the code.
 */
import { readdirSync, readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR_LABELS } from '../../operator/api/names.ts';
import { validateLogAccess, validateLogCluster } from '../../operator/api/validate.ts';
import { readOperatorConfig } from '../../operator/config.ts';
import { describedValues } from '../../scripts/chart-readme.mjs';
import { restrictedBreaches } from '../fixtures/operator/restricted.ts';
import { exportedSeries } from './exported.ts';
import { CHART, helm, missing, parse, render, ROOT, template } from './render.ts';
import type { Rendered, Rule, Values } from './render.ts';

const EVERYTHING = {
  clusterWide: true,
  rbac: { nodes: true, userRoles: true },
  metrics: {
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true, runbook: 'https://example.com/operations' },
    dashboard: { enabled: true },
  },
};
const VARIANTS = [
  { name: 'defaults', values: {} },
  { name: 'everything', values: EVERYTHING },
  {
    name: 'no definitions, no rights',
    values: { crds: { install: false }, rbac: { create: false } },
  },
];

const text = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

function one(objects: readonly Rendered[], kind: string): Rendered {
  const found = objects.filter((object) => object.kind === kind);
  expect(found.map(({ metadata }) => metadata.name)).toHaveLength(1);
  return found[0]!;
}

function roles(
  objects: readonly Rendered[],
): { name: string; kind: string; rules: readonly Rule[] }[] {
  return objects.flatMap(({ kind, metadata, rules = [] }) =>
    kind === 'Role' || kind === 'ClusterRole' ? [{ name: metadata.name, kind, rules }] : [],
  );
}

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook_url: string; readonly summary: string };
}

function alerts(): readonly Alert[] {
  const { spec } = one(render(EVERYTHING), 'PrometheusRule');
  return (spec?.['groups'] as readonly { rules: readonly Alert[] }[]).flatMap(({ rules }) => rules);
}

async function unknownMetrics(expressions: readonly string[]): Promise<string[]> {
  const exported = await exportedSeries();
  const used = expressions.flatMap((expression) => expression.match(/\btidemark_\w+/g) ?? []);
  expect(used.length).toBeGreaterThan(0);
  return used.filter((name) => !exported.has(name));
}

const DASHBOARDS = ['dashboard.json', 'dashboard-quorum.json'];

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

function dashboard(file: string): Dashboard {
  return JSON.parse(text('charts', 'tidemark', 'files', file)) as Dashboard;
}

describe('charts/tidemark', () => {
  it('has the version of the project', () => {
    const { version } = JSON.parse(text('package.json')) as { version: string };
    expect(parse(text('charts', 'tidemark', 'Chart.yaml'))).toMatchObject({
      version,
      appVersion: version,
    });
  });

  it('describes every value, and has it in the schema', () => {
    const values = parse(text('charts', 'tidemark', 'values.yaml')) as Record<string, unknown>;
    const schema = JSON.parse(text('charts', 'tidemark', 'values.schema.json')) as Schema;
    const rows = describedValues(text('charts', 'tidemark', 'values.yaml')).map(({ path }) => path);
    expect(leaves(values, schema).sort()).toEqual([...rows].sort());
    expect(rows.filter((path) => schemaAt(schema, path) === undefined)).toEqual([]);
  });

  it('has copies of crds/, which are its own definitions', () => {
    const names = readdirSync(join(ROOT, 'crds'));
    expect(names).toHaveLength(3);
    expect(readdirSync(join(CHART, 'files', 'crds'))).toEqual(names);
    for (const name of names)
      expect(text('charts', 'tidemark', 'files', 'crds', name)).toBe(text('crds', name));
  });

  it('has a section of docs/operations.md for every alert', () => {
    const sections = new Set(
      [...text('docs', 'operations.md').matchAll(/^### (?<title>\w+)$/gm)].map(({ groups }) =>
        (groups?.['title'] ?? '').toLowerCase(),
      ),
    );
    const linked = [
      ...text('charts', 'tidemark', 'templates', 'prometheusrule.yaml').matchAll(
        /%s#(?<section>\w+)/g,
      ),
    ].map(({ groups }) => groups?.['section'] ?? '');
    expect(linked.length).toBeGreaterThan(5);
    expect(new Set(linked)).toEqual(sections);
  });

  it.each(DASHBOARDS)('draws only metrics that exist: %s', async (file) => {
    const expressions = dashboard(file).panels.flatMap(({ targets }) =>
      targets.map(({ expr }) => expr),
    );
    expect(await unknownMetrics(expressions)).toEqual([]);
  });

  it.each(DASHBOARDS)('draws rates over what is scraped, however often that is: %s', (file) => {
    const windows = dashboard(file)
      .panels.flatMap(({ targets }) =>
        targets.flatMap(({ expr }) => expr.match(/\[[^\]]+\]/g) ?? []),
      )
      .filter((window) => window !== '[$__rate_interval]');
    expect(windows).toEqual([]);
  });

  it('has dashboards that Grafana tells apart, and panels too', () => {
    const all = DASHBOARDS.map(dashboard);
    expect(new Set(all.map(({ uid }) => uid)).size).toBe(all.length);
    for (const { panels } of all)
      expect(panels.map(({ id }) => id)).toEqual(panels.map((_, index) => index + 1));
  });
});

describe('charts/tidemark, rendered', () => {
  beforeEach(({ skip }) => {
    skip(missing !== undefined, missing);
  });

  it.each(VARIANTS)('passes helm lint --strict with $name', ({ values }) => {
    const { code, output } = helm(['lint', '--strict', CHART], values);
    expect({ code, output }).toMatchObject({ code: 0 });
  });

  it.each(VARIANTS)('renders the same every time with $name', ({ values }) => {
    expect(template(values)).toBe(template(values));
  });

  it.each(VARIANTS)('runs only restricted pods with $name', ({ values }) => {
    const pods = render(values).flatMap(({ kind, spec }) => {
      if (kind === 'Pod') return [spec];
      return kind === 'Deployment' ? [(spec?.['template'] as { spec: unknown }).spec] : [];
    });
    expect(pods).toHaveLength(2);
    expect(pods.flatMap(restrictedBreaches)).toEqual([]);
  });

  it.each(VARIANTS)(
    'puts everything that has a namespace into that of the release with $name',
    ({ values }) => {
      const clusterScoped = ['ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition'];
      for (const { kind, metadata } of render(values))
        expect([kind, metadata.namespace]).toEqual([
          kind,
          clusterScoped.includes(kind) ? undefined : 'shop',
        ]);
    },
  );

  it('installs the definitions as crds/ has them, kept at uninstall', () => {
    const rendered = render().filter(({ kind }) => kind === 'CustomResourceDefinition');
    const committed = readdirSync(join(ROOT, 'crds')).map(
      (name) => parse(text('crds', name)) as Rendered,
    );
    const kept = committed.map((crd) => ({
      ...crd,
      metadata: { ...crd.metadata, annotations: { 'helm.sh/resource-policy': 'keep' } },
    }));
    expect(rendered).toEqual(kept);
  });

  it.each([
    { name: 'without keep', crds: { keep: false }, annotations: [undefined, undefined, undefined] },
    { name: 'not at all', crds: { install: false }, annotations: [] },
  ])('installs the definitions $name', ({ crds, annotations }) => {
    const rendered = render({ crds }).filter(({ kind }) => kind === 'CustomResourceDefinition');
    expect(rendered.map(({ metadata }) => metadata.annotations)).toEqual(annotations);
  });

  it('needs no right outside its namespace by default', () => {
    expect(roles(render()).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'Role tidemark',
      'Role tidemark-lease',
    ]);
  });

  it('asks for cluster-wide rights by name, one flag each', () => {
    expect(
      roles(render(EVERYTHING))
        .map(({ kind, name }) => `${kind} ${name}`)
        .sort(),
    ).toEqual([
      'ClusterRole shop-tidemark',
      'ClusterRole shop-tidemark-edit',
      'ClusterRole shop-tidemark-nodes',
      'ClusterRole shop-tidemark-view',
      'Role tidemark-lease',
    ]);
  });

  it('has the test trust the authority of a Secret, and of none where none is named', () => {
    const podOf = (values: Readonly<Record<string, unknown>>): string =>
      JSON.stringify(render(values).find(({ kind }) => kind === 'Pod'));
    const trusting = podOf({ test: { caSecret: 'orders-brokers-ca-cert' } });
    expect(trusting).toContain('{"name":"TIDEMARK_TLS_CA","value":"/etc/tidemark/ca/ca.crt"}');
    expect(trusting).toContain('"mountPath":"/etc/tidemark/ca"');
    expect(trusting).toContain('"secretName":"orders-brokers-ca-cert"');
    expect(podOf({})).not.toMatch(/TLS|volume/);
  });

  it('reads Secrets by name alone, and none where it is told so', () => {
    const rights = (secrets: boolean): string[][] =>
      roles(render({ ...EVERYTHING, rbac: { ...EVERYTHING.rbac, secrets } }))
        .flatMap((role) => role.rules)
        .filter(({ resources }) => resources.includes('secrets'))
        .map(({ verbs }) => [...verbs]);
    expect(rights(true)).toEqual([['get', 'create', 'patch']]);
    expect(rights(false)).toEqual([]);
  });

  it('asks cert-manager for Certificates by name, and for nothing where it is told so', () => {
    const rights = (certManager: boolean): string[][] =>
      roles(render({ ...EVERYTHING, rbac: { ...EVERYTHING.rbac, certManager } }))
        .flatMap((role) => role.rules)
        .filter(({ apiGroups }) => apiGroups.includes('cert-manager.io'))
        .map(({ resources, verbs }) => [...resources, ...verbs]);
    expect(rights(true)).toEqual([['certificates', 'get', 'create', 'patch']]);
    expect(rights(false)).toEqual([]);
  });

  it('asks for no wildcard, and for the rights on escalation of nobody', () => {
    const rules = roles(render(EVERYTHING)).flatMap((role) => role.rules);
    const asked = rules.flatMap(({ apiGroups, resources, verbs }) => [
      ...apiGroups,
      ...resources,
      ...verbs,
    ]);
    for (const forbidden of ['*', 'escalate', 'bind', 'impersonate', 'roles', 'pods/exec'])
      expect(asked).not.toContain(forbidden);
  });

  it('gives a reason for every verb', () => {
    const rules = text('charts', 'tidemark', 'templates', 'rbac.yaml')
      .split(/^ {2}- apiGroups:/m)
      .slice(1);
    const unexplained = rules.filter((rule) => {
      const verbs = /verbs: \[(?<verbs>.*)\]/.exec(rule)?.groups?.['verbs']?.split(', ') ?? [''];
      const reasons = [...rule.matchAll(/# (?<reason>.*)/g)].map(([line]) => line).join(' ');
      return !verbs.every((verb) => new RegExp(`\\b${verb}\\b[^.]*:`).test(reasons));
    });
    expect(unexplained).toEqual([]);
  });

  it('has a Role and a binding in each namespace that is watched, and no ClusterRole', () => {
    const objects = render({ watchNamespaces: ['shop', 'bank'] });
    const found = objects
      .filter(({ apiVersion }) => apiVersion.startsWith('rbac'))
      .map(({ kind, metadata: { name, namespace } }) => `${kind} ${namespace}/${name}`);
    expect(found.sort()).toEqual([
      'Role bank/shop-tidemark',
      'Role shop/tidemark',
      'Role shop/tidemark-lease',
      'RoleBinding bank/shop-tidemark',
      'RoleBinding shop/tidemark',
      'RoleBinding shop/tidemark-lease',
    ]);
    const [bank, shop] = ['shop-tidemark', 'tidemark'].map(
      (role) => roles(objects).find(({ name }) => name === role)?.rules,
    );
    expect(bank).toEqual(shop);
    expect(shop).toEqual(roles(render()).find(({ name }) => name === 'tidemark')?.rules);
  });

  it('has no Lease: the operator makes it, and may read its Deployment, which owns it', () => {
    const objects = render();
    expect(objects.filter(({ kind }) => kind === 'Lease')).toEqual([]);
    const { name } = one(objects, 'Deployment').metadata;
    const rules = roles(objects).find(({ name: role }) => role === 'tidemark-lease')?.rules;
    expect(rules).toContainEqual({
      apiGroups: ['apps'],
      resources: ['deployments'],
      resourceNames: [name],
      verbs: ['get'],
    });
    expect(environmentOf(one(objects, 'Deployment').spec)).toContainEqual({
      name: 'TIDEMARK_DEPLOYMENT',
      value: name,
    });
  });

  it('scrapes brokers where they are watched', () => {
    const selectorOf = (values: Values): unknown =>
      render({ ...values, metrics: { serviceMonitor: { enabled: true } } }).find(
        ({ kind, metadata }) => kind === 'ServiceMonitor' && metadata.name.endsWith('-brokers'),
      )?.spec?.['namespaceSelector'];
    expect(selectorOf({})).toEqual({ matchNames: ['shop'] });
    expect(selectorOf({ watchNamespaces: ['a', 'b'] })).toEqual({ matchNames: ['a', 'b'] });
    expect(selectorOf({ clusterWide: true })).toEqual({ any: true });
  });

  it('does not watch all namespaces and some', () => {
    const values = { clusterWide: true, watchNamespaces: ['bank'] };
    expect(helm(['template', 'tidemark', CHART], values).output).toContain(
      'watchNamespaces must be empty where clusterWide is true',
    );
  });

  it.each([
    { clusterWide: false, watchNamespaces: [], namespaces: 'shop' },
    { clusterWide: false, watchNamespaces: ['bank', 'shop'], namespaces: 'bank,shop' },
    { clusterWide: true, watchNamespaces: [], namespaces: '' },
  ])(
    'tells the operator what to watch: clusterWide $clusterWide, $watchNamespaces',
    ({ clusterWide, watchNamespaces, namespaces }) => {
      const { spec } = one(render({ clusterWide, watchNamespaces }), 'Deployment');
      expect(environmentOf(spec)).toContainEqual({
        name: 'TIDEMARK_NAMESPACES',
        value: namespaces,
      });
    },
  );

  it('sets only variables that the operator reads', () => {
    const { spec } = one(render(), 'Deployment');
    const environment = Object.fromEntries(
      environmentOf(spec).map(({ name, value = 'from the pod' }) => [name, value]),
    );
    expect(readOperatorConfig(environment)).toMatchObject({
      namespaces: ['shop'],
      selector: '',
      leaseName: 'tidemark',
      deploymentName: 'tidemark',
      brokerImage: 'tidemark:0.1.0',
      canReadNodes: false,
      makesPolicies: true,
      httpPort: 8080,
      logLevel: 'info',
    });
    const known = text('operator', 'config.ts');
    expect(Object.keys(environment).filter((name) => !known.includes(`'${name}'`))).toEqual([]);
  });

  it.each([
    { image: {}, brokerImage: '', expected: ['tidemark:0.1.0', 'tidemark:0.1.0'] },
    { image: { tag: 'dev' }, brokerImage: 'b:1', expected: ['tidemark:dev', 'b:1'] },
    {
      image: { digest: `sha256:${'0'.repeat(64)}` },
      brokerImage: '',
      expected: [`tidemark@sha256:${'0'.repeat(64)}`, `tidemark@sha256:${'0'.repeat(64)}`],
    },
  ])('names images $expected', ({ image, brokerImage, expected }) => {
    const { spec } = one(render({ image, brokerImage }), 'Deployment');
    const { containers } = (spec?.['template'] as { spec: { containers: { image: string }[] } })
      .spec;
    const broker = environmentOf(spec).find(({ name }) => name === 'TIDEMARK_BROKER_IMAGE')?.value;
    expect([containers[0]?.image, broker]).toEqual(expected);
  });

  it('has brokers pull their image as the operator does', () => {
    const image = { pullPolicy: 'Always', pullSecrets: ['one', 'two'] };
    const { spec } = one(render({ image }), 'Deployment');
    const environment = Object.fromEntries(
      environmentOf(spec).map(({ name, value = 'from the pod' }) => [name, value]),
    );
    expect(readOperatorConfig(environment).brokerPull).toEqual({
      imagePullPolicy: 'Always',
      imagePullSecrets: [{ name: 'one' }, { name: 'two' }],
    });
  });

  it('links every alert to its section, and asks only for metrics that exist', async () => {
    const all = alerts();
    expect(all.map(({ annotations }) => annotations.runbook_url)).toEqual(
      all.map(({ alert }) => `https://example.com/operations#${alert.toLowerCase()}`),
    );
    expect(await unknownMetrics(all.map(({ expr }) => expr))).toEqual([]);
    expect(
      all.filter(({ annotations }) => !/\{\{ \$(value|labels)/.test(annotations.summary)),
    ).toEqual([]);
  });

  it('runs two copies of the operator, on different nodes, of which one may be evicted', () => {
    const objects = render();
    const deployment = one(objects, 'Deployment').spec as unknown as Deployment;
    const { spec, metadata } = deployment.template;
    expect(deployment.replicas).toBe(2);
    expect(spec.topologySpreadConstraints).toEqual([
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'DoNotSchedule',
        nodeTaintsPolicy: 'Honor',
        matchLabelKeys: ['pod-template-hash'],
        labelSelector: deployment.selector,
      },
    ]);
    const budget = one(objects, 'PodDisruptionBudget').spec;
    expect(budget).toEqual({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: deployment.selector,
    });
    expect(metadata.labels).toMatchObject(deployment.selector.matchLabels);
  });

  it('keeps everybody from the operator but probes and scrapers, and gives it the right to the same for brokers', () => {
    const objects = render();
    const { selector } = one(objects, 'Deployment').spec as unknown as Deployment;
    expect(one(objects, 'NetworkPolicy').spec).toEqual({
      podSelector: selector,
      policyTypes: ['Ingress'],
      ingress: [{ ports: [{ protocol: 'TCP', port: 8080 }] }],
    });
    // By these labels the policies of brokers let the operator in.
    expect(selector.matchLabels).toMatchObject(OPERATOR_LABELS);
    const verbs = (rendered: readonly Rendered[]): unknown[] =>
      roles(rendered)
        .flatMap(({ rules }) => rules)
        .filter(({ resources }) => resources.includes('networkpolicies'))
        .map((rule) => rule.verbs);
    expect(verbs(objects)).toEqual([['get', 'list', 'watch', 'create', 'patch']]);
    const without = render({ networkPolicy: { enabled: false } });
    expect(without.filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([]);
    expect(verbs(without)).toEqual([]);
    expect(environmentOf(one(without, 'Deployment').spec)).toContainEqual({
      name: 'TIDEMARK_NETWORK_POLICIES',
      value: 'false',
    });
  });

  it('lets a node with the only copy of the operator be drained', () => {
    const budgets = render({ replicas: 1 }).filter(({ kind }) => kind === 'PodDisruptionBudget');
    expect(budgets).toEqual([]);
  });

  it('has the dashboards as they are', () => {
    const { data } = one(render(EVERYTHING), 'ConfigMap');
    const rendered = ['tidemark.json', 'tidemark-quorum.json'].map((key) => data?.[key]?.trimEnd());
    expect(rendered).toEqual(
      DASHBOARDS.map((file) => text('charts', 'tidemark', 'files', file).trimEnd()),
    );
  });

  it('makes nothing that needs the Prometheus operator unless it is told to', () => {
    expect(render().filter(({ apiVersion }) => apiVersion.startsWith('monitoring'))).toEqual([]);
  });

  it.each([
    { values: { replicas: -1 }, at: "'/replicas'" },
    { values: { image: { tag: 'a b' } }, at: "'/image/tag'" },
    { values: { image: { digest: 'latest' } }, at: "'/image/digest'" },
    { values: { logLevel: 'loud' }, at: "'/logLevel'" },
    { values: { metrics: { port: 80 } }, at: "'/metrics/port'" },
    { values: { watchNamespaces: ['Bank'] }, at: "'/watchNamespaces/0'" },
    { values: { test: { cluster: 'My_Logs' } }, at: "'/test/cluster'" },
    { values: { test: { caSecret: 'My_CA' } }, at: "'/test/caSecret'" },
    { values: { clusterwide: true }, at: "'clusterwide'" },
    { values: { rbac: { create: 'yes' } }, at: "'/rbac/create'" },
  ])('refuses $values', ({ values, at }) => {
    const { code, output } = helm(['template', 'tidemark', CHART], values);
    expect(code).not.toBe(0);
    expect(output).toContain(at);
  });

  it('tries the LogCluster that README and notes make', () => {
    const made = /kind: LogCluster\n\s+metadata: \{name: (?<name>\w+)\}/.exec(text('README.md'));
    const { env } = (
      one(render(), 'Pod').spec?.['containers'] as { env: { value: string }[] }[]
    )[0]!;
    expect(env[0]?.value).toBe(`${made?.groups?.['name']}.shop.svc:9641`);
  });

  it.each([
    { values: {}, namespace: 'shop', labels: undefined, server: 'orders.shop.svc:9641' },
    {
      values: { watchNamespaces: ['bank', 'till'], test: { cluster: 'coins' } },
      namespace: 'bank',
      labels: undefined,
      server: 'coins.bank.svc:9641',
    },
    {
      values: { watchNamespaces: ['bank', 'shop'], selector: 'team=blue, on==1' },
      namespace: 'shop',
      labels: { team: 'blue', on: '1' },
      server: 'orders.shop.svc:9641',
    },
  ])(
    'gives three commands that are for this very release: $values',
    ({ values, namespace, labels, server }) => {
      const notes = notesOf(values);
      expect(commandsIn(notes)).toEqual([
        `kubectl apply --namespace ${namespace} -f - <<END`,
        `kubectl wait --namespace ${namespace} --for=condition=Ready --timeout=5m lc/${server.split('.')[0]}`,
        'helm test --namespace shop tidemark --logs',
      ]);
      const [made] = manifestsIn(notes);
      assert(made);
      expect(made.metadata).toEqual({
        name: server.split('.')[0],
        ...(labels === undefined ? {} : { labels }),
      });
      expect(validateLogCluster(made.spec).faults).toEqual([]);
      const pod = one(render(values), 'Pod').spec as { containers: { env: unknown[] }[] };
      expect(pod.containers[0]?.env).toEqual([{ name: 'TIDEMARK_SERVER', value: server }]);
    },
  );
});

describe('helm test of brokers that ask who comes in', () => {
  const CA = { caSecret: 'orders-brokers-ca-cert' };

  it('shows the token of an account of its own, which the notes let in', () => {
    const values = { test: { ...CA, tokenAudience: 'orders' } };
    const rendered = render(values);
    const account = rendered.find(
      ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name.endsWith('-test'),
    );
    const pod = one(rendered, 'Pod').spec as unknown as TestPod;
    expect(pod.serviceAccountName).toBe(account?.metadata.name);
    expect(pod.containers[0]?.env).toContainEqual({
      name: 'TIDEMARK_TOKEN_FILE',
      value: '/var/run/secrets/tokens/tidemark',
    });
    expect(pod.volumes?.[1]).toEqual({
      name: 'token',
      projected: { sources: [{ serviceAccountToken: { path: 'tidemark', audience: 'orders' } }] },
    });

    const notes = notesOf(values);
    const [cluster, access] = manifestsIn(notes);
    expect(validateLogCluster(cluster?.spec)).toMatchObject({
      faults: [],
      spec: { clientTls: { mode: 'Enabled' }, auth: { methods: ['oidc'] } },
    });
    expect(validateLogAccess(access?.spec).faults).toEqual([]);
    expect(access?.spec).toMatchObject({
      clusterName: 'orders',
      serviceAccounts: [account?.metadata.name],
      rules: [{ resource: 'topic', operations: ['create', 'append', 'read', 'delete'] }],
    });
    expect(commandsIn(notes)).toHaveLength(5);
  });

  it('lets an administrator grant what a LogAccess of another namespace cannot', () => {
    const test = { ...CA, tokenAudience: 'coins', cluster: 'coins' };
    const notes = notesOf({ watchNamespaces: ['bank'], test });
    expect(manifestsIn(notes)).toHaveLength(1);
    expect(notes).toContain(
      "\ntidemark access grant system:serviceaccount:shop:tidemark-test create,append,read,delete 'topic:tidemark-self-test-*'\n",
    );
    expect(notes).toContain('--namespace shop orders-brokers-ca-cert --from-file=ca.crt');
  });

  it.each([
    { test: { ...CA, tokenSecret: 'token-of-test' }, name: 'token', secret: 'token-of-test' },
    { test: { ...CA, certificateSecret: 'pair' }, name: 'certificate', secret: 'pair' },
  ])('shows what Secret $secret holds', ({ test, name, secret }) => {
    const rendered = render({ test });
    const { volumes, containers } = one(rendered, 'Pod').spec as unknown as TestPod;
    expect(volumes).toContainEqual({
      name,
      secret: expect.objectContaining({ secretName: secret }) as object,
    });
    expect(containers[0]?.volumeMounts.map((mount) => mount.name)).toEqual(['ca', name]);
    expect(
      rendered.some(
        ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name.endsWith('-test'),
      ),
    ).toBe(false);
  });

  it.each([
    { test: { tokenAudience: 'a' }, reason: 'tokens travel to brokers with TLS alone' },
    { test: { certificateSecret: 'a' }, reason: 'test.certificateSecret needs test.caSecret' },
    { test: { ...CA, tokenAudience: 'a', tokenSecret: 'b' }, reason: 'two tokens' },
  ])('refuses $test', ({ test, reason }) => {
    const { code, output } = helm(['template', 'tidemark', CHART], { test });
    expect(code).not.toBe(0);
    expect(output).toContain(reason);
  });
});

interface TestPod {
  readonly serviceAccountName?: string;
  readonly volumes?: readonly object[];
  readonly containers: readonly {
    readonly env: readonly object[];
    readonly volumeMounts: readonly { readonly name: string }[];
  }[];
}

/** Commands of the notes. Each begins a line: an indented here-document would never end. */
function commandsIn(notes: string): string[] | undefined {
  return notes.match(/^(kubectl|helm) .*/gm)?.map((line) => line.trim());
}

/** What the notes have applied, as a shell reads it. */
function manifestsIn(notes: string): Rendered[] {
  return [...notes.matchAll(/<<END\n(?<manifest>[^]*?)\nEND\n/g)].map(
    ({ groups }) =>
      parse((groups?.['manifest'] ?? '').replaceAll(/\$\(.*\)/g, 'shown')) as Rendered,
  );
}

function notesOf(values: Values): string {
  const install = ['install', 'tidemark', CHART, '--namespace', 'shop', '--dry-run=client'];
  const { output } = helm(install, values);
  return output.slice(output.indexOf('NOTES:'));
}

interface Deployment {
  readonly replicas: number;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: { readonly topologySpreadConstraints: unknown };
  };
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
}

function schemaAt(schema: Schema, path: string): Schema | undefined {
  return path.split('.').reduce<Schema | undefined>((node, key) => node?.properties?.[key], schema);
}

/** Paths of values without parts of their own, or whose parts are the user's or Kubernetes' own. */
function leaves(values: Record<string, unknown>, schema: Schema, prefix = ''): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const path = `${prefix}${key}`;
    const isOurs = schema.properties?.[key]?.properties !== undefined && path !== 'resources';
    return isOurs
      ? leaves(value as Record<string, unknown>, schema.properties[key]!, `${path}.`)
      : [path];
  });
}

function environmentOf(spec: Rendered['spec']): { name: string; value?: string }[] {
  const { containers } = (spec?.['template'] as { spec: { containers: { env: [] }[] } }).spec;
  return containers[0]?.env ?? [];
}
