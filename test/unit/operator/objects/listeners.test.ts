import { describe, expect, it } from 'vitest';
import { issuesForClients } from '../../../../operator/api/listeners.ts';
import type { LogCluster } from '../../../../operator/api/types.ts';
import { buildCertificate } from '../../../../operator/objects/issued.ts';
import { listenerHosts } from '../../../../operator/objects/listener-hosts.ts';
import {
  buildAddresses,
  buildListenerServices,
  listenerAddresses,
  listenerStatuses,
  type ServiceJson,
} from '../../../../operator/objects/listeners.ts';
import { leafHosts } from '../../../../operator/objects/secret-files.ts';
import { buildNetworkPolicy } from '../../../../operator/objects/services.ts';
import { planTemplate } from '../../../../operator/objects/workload.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const INSIDE = { name: 'inside', port: 9_650, type: 'ClusterIP', auth: {} };
const BALANCED = {
  ...{ name: 'outside', port: 9_651, type: 'LoadBalancer', tls: { mode: 'Enabled' } },
  auth: { methods: ['token'], tokensSecretName: 'tokens' },
  annotations: { 'cloud.example/kind': 'network' },
  loadBalancerSourceRanges: ['192.0.2.0/24'],
};
const AT_NODES = {
  ...{ name: 'nodes', port: 9_652, type: 'NodePort', auth: {}, nodePort: 30_100 },
  ...{ advertisedHost: 'n{id}.example.org', bootstrapHost: 'all.example.org' },
  brokers: [{ broker: 1, host: '192.0.2.7', port: 1_234, nodePort: 30_101 }],
};
const EDGE = {
  ...{ name: 'edge', port: 9_653, type: 'Gateway', auth: {} },
  advertisedHost: 'b{id}.edge.example.org',
};
const ALL = [INSIDE, BALANCED, AT_NODES, EDGE];

const cluster = logCluster({ listeners: ALL });

const SERVICES: Readonly<Record<string, ServiceJson>> = {
  'logs-outside': { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } } },
  'logs-outside-0': { status: { loadBalancer: { ingress: [{ hostname: 'lb0.example.net' }] } } },
  'logs-outside-1': { status: { loadBalancer: {} } },
  'logs-nodes': { spec: { ports: [{ nodePort: 30_100 }] } },
  'logs-nodes-0': { spec: { ports: [{ nodePort: 31_000 }] } },
};

const addressesOf = (of: LogCluster) => listenerAddresses(of, 2, (name) => SERVICES[name]);

const withStatus = (): LogCluster => ({
  ...cluster,
  status: { listeners: listenerStatuses(addressesOf(cluster), () => false) },
});

describe('Services of listeners', () => {
  const services = buildListenerServices(cluster, 2);
  const spec = (name: string) =>
    services.find(({ metadata }) => metadata.name === name)?.spec as
      | { type: string; selector: Record<string, string>; ports: Record<string, unknown>[] }
      | undefined;

  it('are one to begin at, and one of each broker where pods have no names for clients', () => {
    expect(services.map(({ metadata }) => metadata.name)).toEqual([
      'logs-inside',
      ...['logs-outside', 'logs-outside-0', 'logs-outside-1'],
      ...['logs-nodes', 'logs-nodes-0', 'logs-nodes-1'],
      ...['logs-edge', 'logs-edge-0', 'logs-edge-1'],
    ]);
  });

  it('have the type, the ports and the annotations of the spec, and lead to one pod', () => {
    expect(spec('logs-outside-1')).toMatchObject({
      type: 'LoadBalancer',
      selector: { 'statefulset.kubernetes.io/pod-name': 'logs-1' },
      loadBalancerSourceRanges: ['192.0.2.0/24'],
      ports: [{ port: 9_651, targetPort: 'on-outside' }],
    });
    expect(spec('logs-nodes')?.ports[0]).toMatchObject({ nodePort: 30_100 });
    expect(spec('logs-nodes-0')?.ports[0]).not.toHaveProperty('nodePort');
    expect(spec('logs-nodes-1')?.ports[0]).toMatchObject({ nodePort: 30_101 });
    expect(spec('logs-edge-0')?.type).toBe('ClusterIP');
    expect(spec('logs-edge')?.selector).not.toHaveProperty('statefulset.kubernetes.io/pod-name');
    const [first] = services.slice(1);
    expect(first?.metadata).toMatchObject({
      annotations: BALANCED.annotations,
      labels: { 'tidemark.dev/listener': 'outside' },
    });
  });

  it('speak of HTTP/2 in plaintext only where there is no TLS', () => {
    expect(spec('logs-outside')?.ports[0]).not.toHaveProperty('appProtocol');
    expect(spec('logs-edge')?.ports[0]).toMatchObject({ appProtocol: 'kubernetes.io/h2c' });
  });
});

describe('addresses of listeners', () => {
  it('are those of the spec, of the pods, of the nodes or of the clouds, as far as known', () => {
    expect(listenerStatuses(addressesOf(cluster), () => true)).toEqual([
      {
        name: 'inside',
        bootstrap: 'logs-inside.shop.svc:9650',
        brokers: [
          { broker: 0, address: 'logs-0.logs-brokers.shop.svc:9650', advertised: true },
          { broker: 1, address: 'logs-1.logs-brokers.shop.svc:9650', advertised: true },
        ],
      },
      {
        name: 'outside',
        bootstrap: '203.0.113.1:9651',
        brokers: [
          { broker: 0, address: 'lb0.example.net:9651', advertised: true },
          { broker: 1, advertised: false },
        ],
      },
      {
        name: 'nodes',
        bootstrap: 'all.example.org:30100',
        brokers: [
          { broker: 0, address: 'n0.example.org:31000', advertised: true },
          { broker: 1, address: '192.0.2.7:1234', advertised: true },
        ],
      },
      {
        name: 'edge',
        brokers: [
          { broker: 0, address: 'b0.edge.example.org:443', advertised: true },
          { broker: 1, address: 'b1.edge.example.org:443', advertised: true },
        ],
      },
    ]);
  });

  it('are files that each broker finds by its name', () => {
    const { kind, metadata, data } = buildAddresses(cluster, addressesOf(cluster));
    expect([kind, metadata.name]).toEqual(['ConfigMap', 'logs-brokers-addresses']);
    expect(data).toMatchObject({
      'outside.logs-0': 'lb0.example.net:9651',
      'nodes.logs-1': '192.0.2.7:1234',
    });
    expect(data).not.toHaveProperty('outside.logs-1');
  });

  it('stand in the certificates that the operator issues, those of clouds once they are known', () => {
    expect(listenerHosts(cluster, 0)).toEqual(['logs-outside.shop.svc']);
    expect(listenerHosts(withStatus(), 0)).toEqual([
      ...['logs-outside.shop.svc', '203.0.113.1', 'lb0.example.net'],
    ]);
    expect(listenerHosts(withStatus(), 1)).toEqual(['logs-outside.shop.svc', '203.0.113.1']);
    expect(leafHosts(withStatus(), 0)).toEqual(expect.arrayContaining(['lb0.example.net']));
    expect(leafHosts(logCluster(), 0)).toEqual(leafHosts(logCluster({ listeners: [INSIDE] }), 0));
    const issuer = { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' };
    const asked = buildCertificate(withStatus(), 'c', 0, issuer).spec;
    expect(asked['ipAddresses']).toEqual(['127.0.0.1', '203.0.113.1']);
    expect(asked['dnsNames']).toContain('lb0.example.net');
    expect([issuesForClients(cluster.spec), issuesForClients(logCluster().spec)]).toEqual([
      true,
      false,
    ]);
  });
});

describe('pods with listeners', () => {
  const template = planTemplate(cluster, null, 'tidemark:1');
  const [container] = template.template.spec['containers'] as readonly {
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  const valueOf = (name: string) => container?.env.find((each) => each.name === name)?.value;

  it('have a port and options of each', () => {
    expect(container?.ports.slice(-4)).toEqual(
      ALL.map(({ name, port }) => ({ name: `on-${name}`, containerPort: port, protocol: 'TCP' })),
    );
    expect(valueOf('TIDEMARK_LISTENERS')).toBe('inside,outside,nodes,edge');
    expect(valueOf('TIDEMARK_LISTENER_OUTSIDE_LISTEN')).toBe('[::]:9651');
    expect(valueOf('TIDEMARK_LISTENER_OUTSIDE_AUTH')).toBe('token');
    expect(valueOf('TIDEMARK_LISTENER_INSIDE_AUTH')).toBe('none');
    expect(valueOf('TIDEMARK_LISTENER_OUTSIDE_TLS_CERT')).toBe('/etc/tidemark/tls/$(POD_NAME).crt');
    expect(valueOf('TIDEMARK_LISTENER_OUTSIDE_ADVERTISE_FILE')).toBe(
      '/etc/tidemark/addresses/outside.$(POD_NAME)',
    );
    const tokens = valueOf('TIDEMARK_LISTENER_OUTSIDE_AUTH_TOKENS_FILE') ?? '';
    expect(container?.volumeMounts.some(({ mountPath }) => tokens.startsWith(mountPath))).toBe(
      true,
    );
  });

  it('know administrators where a listener alone asks who comes in', () => {
    const administrators = ['token:ops', 'token:root'];
    const textOf = (spec: object): string =>
      JSON.stringify(planTemplate(logCluster({ ...spec }), null, 'tidemark:1').template);
    const variable = '{"name":"TIDEMARK_AUTH_ADMINISTRATORS","value":"token:ops;token:root"}';
    const asked = { methods: ['token'], tokensSecretName: 'tokens', administrators };
    const both = { clientTls: { mode: 'Enabled' }, auth: asked, listeners: ALL };
    for (const spec of [{ auth: { administrators }, listeners: ALL }, both])
      expect(textOf(spec).split(variable)).toHaveLength(2);
    expect(textOf({ auth: { administrators } })).not.toContain('ADMINISTRATORS');
  });

  it('stay as they are whatever changes about how listeners are reached', () => {
    const changed = logCluster({
      listeners: [
        { ...INSIDE, advertisedHost: 'x' },
        { ...BALANCED, type: 'ClusterIP', annotations: {}, loadBalancerSourceRanges: undefined },
        { ...AT_NODES, nodePort: 30_200, brokers: [] },
        EDGE,
      ],
    });
    expect(planTemplate(changed, template, 'tidemark:2').hash).toBe(template.hash);
  });

  it.each([
    { name: 'a listener more', listeners: [...ALL, { ...INSIDE, name: 'more', port: 9_660 }] },
    { name: 'a listener fewer', listeners: ALL.slice(1) },
    { name: 'another port', listeners: [{ ...INSIDE, port: 9_660 }, ...ALL.slice(1)] },
    {
      name: 'other authentication',
      listeners: [{ ...INSIDE, tls: { mode: 'Enabled' } }, ...ALL.slice(1)],
    },
  ])('are made anew for $name', ({ listeners }) => {
    expect(planTemplate(logCluster({ listeners }), template, 'tidemark:2').hash).not.toBe(
      template.hash,
    );
  });

  it('are what they were without any, and with a list that is empty', () => {
    const before = planTemplate(logCluster(), null, 'tidemark:1');
    expect(before.inputs).not.toContain('listeners');
    expect(planTemplate(logCluster({ listeners: [] }), before, 'tidemark:2')).toEqual(before);
  });
});

describe('a NetworkPolicy with listeners', () => {
  it('lets their ports in, for everybody or for whom a listener names', () => {
    const partners = { ipBlock: { cidr: '192.0.2.0/24' } };
    const policy = buildNetworkPolicy(
      logCluster({ listeners: [INSIDE, { ...EDGE, clients: [partners] }] }),
      'system',
    );
    const ingress = policy.spec['ingress'] as {
      readonly ports: readonly { readonly port: number }[];
      readonly from?: readonly object[];
    }[];
    const at = (port: number) => ingress.find(({ ports }) => ports[0]?.port === port);
    expect(at(9_650)).toEqual({ ports: [{ protocol: 'TCP', port: 9_650 }] });
    expect(at(9_653)?.from).toContainEqual(partners);
    expect(ingress).toHaveLength(5);
  });
});
