import { describe, expect, it } from 'vitest';
import { READY_PAGE_OF_PODS } from '../../../../base/ready-page.ts';
import { STOP_PAGE, STOP_VETO_MS_MAX } from '../../../../base/stop-veto.ts';
import { readConfig } from '../../../../broker/config.ts';
import { CONFIG_VARIABLES } from '../../../../operator/api/broker-config.ts';
import { buildPodTemplate, tlsPhaseOf } from '../../../../operator/objects/pod.ts';
import type { LogCluster } from '../../../../operator/api/types.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';
import { restrictedBreaches } from '../../../fixtures/operator/restricted.ts';

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly topologySpreadConstraints: readonly Readonly<Record<string, unknown>>[];
  readonly containers: readonly {
    readonly image: string;
    readonly imagePullPolicy?: string;
    readonly env: readonly Variable[];
    readonly lifecycle: { readonly preStop: { readonly httpGet: unknown } };
    readonly readinessProbe: unknown;
    readonly startupProbe: {
      readonly initialDelaySeconds: number;
      readonly periodSeconds: number;
      readonly failureThreshold: number;
    };
  }[];
}

const CLUSTER_ID = '00000000-0000-4000-8000-000000000001';

const podOf = (cluster: LogCluster): Pod =>
  buildPodTemplate(cluster, 'tidemark:1', CLUSTER_ID, 'Require').spec as unknown as Pod;

/**
 * The environment that the kubelet makes of a pod: fields of the pod, then variables that come
 * earlier.
 */
function environmentOf(
  cluster: LogCluster,
  pod: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = { HOSTNAME: pod['metadata.name'] ?? '' };
  for (const { name, value, valueFrom } of podOf(cluster).containers[0]!.env) {
    const given = valueFrom === undefined ? value : pod[valueFrom.fieldRef.fieldPath];
    environment[name] = (given ?? '').replaceAll(
      /\$\((\w+)\)/g,
      (whole, variable: string) => environment[variable] ?? whole,
    );
  }
  return environment;
}

describe('buildPodTemplate()', () => {
  it('gives a broker options that the broker accepts', () => {
    const cluster = logCluster({
      replicas: 5,
      config: { sessionTimeoutMs: 5_000, diskReserveBytes: 0, logLevel: 'debug' },
    });
    const environment = environmentOf(cluster, {
      'metadata.name': 'logs-4',
      'metadata.uid': '7a1c',
      "metadata.labels['topology.kubernetes.io/zone']": 'z2',
    });
    expect(readConfig([], environment)).toMatchObject({
      brokerId: 4,
      dataDir: '/var/lib/tidemark',
      listen: { host: '::', port: 9641 },
      advertised: { host: 'logs-4.logs-brokers.shop.svc', port: 9641 },
      internalListen: { host: '::', port: 9643 },
      internalAdvertised: { host: 'logs-4.logs-brokers.shop.svc', port: 9643 },
      rack: 'z2',
      seeds: [0, 1, 2].map((id) => ({ host: `logs-${id}.logs-brokers.shop.svc`, port: 9643 })),
      clusterId: CLUSTER_ID,
      podUid: '7a1c',
      httpPort: 9642,
      sessionTimeoutMs: 5_000,
      internalTls: {
        cert: '/etc/tidemark/tls/logs-4.crt',
        key: '/etc/tidemark/tls/logs-4.key',
        ca: '/etc/tidemark/tls/ca.crt',
      },
      // Live: it reaches brokers as a setting of their cluster, and no pod changes with it.
      reserveBytes: 268_435_456,
      logLevel: 'info',
    });
  });

  it('passes every option that is read at the start on, under the name that the broker reads', () => {
    const config = { heartbeatMs: 200, sessionTimeoutMs: 2_000, stopTimeoutMs: 11 };
    const live = { votersMax: 1, flushBytes: 4_097, logLevel: 'debug' };
    const names = podOf(logCluster({ config: { ...live, ...config } })).containers[0]!.env.map(
      ({ name }) => name,
    );
    expect(names.slice(-4)).toEqual([
      'TIDEMARK_INTERNAL_TLS_CA',
      ...Object.keys(config).map((field) => CONFIG_VARIABLES.get(field)),
    ]);
    expect(Object.keys(live).map((field) => CONFIG_VARIABLES.get(field))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it.each([
    { replicas: 1, seeds: 1 },
    { replicas: 2, seeds: 2 },
    { replicas: 3, seeds: 3 },
    { replicas: 9, seeds: 3 },
  ])('names $seeds seeds of $replicas brokers', ({ replicas, seeds }) => {
    const cluster = logCluster({ replicas, replicationFactor: 1, minInSyncReplicas: 1 });
    expect(environmentOf(cluster, {})['TIDEMARK_SEEDS']?.split(',')).toHaveLength(seeds);
  });

  it('outlasts the orderly stop', () => {
    expect(podOf(logCluster()).terminationGracePeriodSeconds).toBe(120);
    const slow = logCluster({ config: { stopTimeoutMs: 90_500 } });
    expect(podOf(slow).terminationGracePeriodSeconds).toBe(191);
  });

  it('asks the broker before it is stopped, and leaves time for the longest wait', () => {
    const [container] = podOf(logCluster({ config: { stopTimeoutMs: 1_000 } })).containers;
    expect(container?.lifecycle.preStop.httpGet).toEqual({
      path: STOP_PAGE,
      port: 'metrics',
      scheme: 'HTTP',
    });
    const { terminationGracePeriodSeconds } = podOf(logCluster());
    expect(terminationGracePeriodSeconds * 1_000 - STOP_VETO_MS_MAX).toBeGreaterThanOrEqual(60_000);
  });

  it('asks for readiness so that the answer may wait, for less long than the kubelet does', () => {
    const [container] = podOf(logCluster()).containers;
    expect(container?.readinessProbe).toEqual({
      httpGet: { path: READY_PAGE_OF_PODS, port: 'metrics', scheme: 'HTTP' },
      timeoutSeconds: 5,
      periodSeconds: 2,
      failureThreshold: 2,
    });
    expect(container?.startupProbe.initialDelaySeconds).toBe(2);
  });

  it('leaves half an hour for recovery', () => {
    const { periodSeconds, failureThreshold } = podOf(logCluster()).containers[0]!.startupProbe;
    expect(periodSeconds * failureThreshold).toBe(1_800);
  });

  it('keeps to the restricted pod security standard, whatever is added', () => {
    const added = logCluster({ podTemplate: { tolerations: [{ operator: 'Exists' }] } });
    expect(restrictedBreaches(podOf(logCluster()))).toEqual([]);
    expect(restrictedBreaches(podOf(added))).toEqual([]);
  });

  it.each([
    { spread: 'Preferred', whenUnsatisfiable: 'ScheduleAnyway' },
    { spread: 'Required', whenUnsatisfiable: 'DoNotSchedule' },
  ])('spreads over racks and nodes: $spread', ({ spread, whenUnsatisfiable }) => {
    const cluster = logCluster({ rack: { topologyKey: 'example.com/row', spread } });
    expect(podOf(cluster).topologySpreadConstraints).toMatchObject([
      { topologyKey: 'example.com/row', whenUnsatisfiable },
      { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable },
    ]);
  });

  it('mounts certificates as a directory, so that new ones reach a pod that runs', () => {
    const { spec } = buildPodTemplate(logCluster(), 'tidemark:1', CLUSTER_ID, 'Require');
    expect(spec['volumes']).toEqual([
      { name: 'tls', secret: { secretName: 'logs-brokers-tls', defaultMode: 0o440 } },
    ]);
    const [container] = spec['containers'] as { volumeMounts: unknown[] }[];
    expect(container?.volumeMounts).toContainEqual({
      name: 'tls',
      mountPath: '/etc/tidemark/tls',
      readOnly: true,
    });
    expect(tlsPhaseOf({ spec })).toBe('Require');
  });

  it('makes nothing of TLS where brokers speak plaintext', () => {
    const template = buildPodTemplate(logCluster(), 'tidemark:1', CLUSTER_ID, 'Plaintext');
    expect(JSON.stringify(template)).not.toMatch(/tls/i);
    expect(tlsPhaseOf(template)).toBe('Plaintext');
  });

  it.each([
    ['Allow', 'allow'],
    ['Prefer', 'prefer'],
  ] as const)('has its broker take plaintext beside TLS in phase %s', (phase, mode) => {
    const template = buildPodTemplate(logCluster(), 'tidemark:1', CLUSTER_ID, phase);
    const [{ env }] = template.spec['containers'] as [{ env: unknown[] }];
    expect(env).toContainEqual({ name: 'TIDEMARK_INTERNAL_TLS_MODE', value: mode });
    expect(tlsPhaseOf(template)).toBe(phase);
  });

  describe('of a cluster whose clients speak TLS', () => {
    const read = (spec: Readonly<Record<string, unknown>>) =>
      readConfig([], environmentOf(logCluster(spec), { 'metadata.name': 'logs-2' }));
    const mountsOf = (spec: Readonly<Record<string, unknown>>): unknown[] => {
      const pod = podOf(logCluster(spec)) as unknown as {
        volumes: { name: string; secret?: { secretName: string } }[];
        containers: { volumeMounts: { name: string; mountPath: string }[] }[];
      };
      return pod.containers[0]!.volumeMounts.slice(2).map(({ name, mountPath }) => {
        const volume = pod.volumes.find((each) => each.name === name);
        return `${volume?.secret?.secretName ?? name} ${mountPath}`;
      });
    };

    it('shows them the certificate that brokers have among each other', () => {
      const spec = { clientTls: { mode: 'Enabled' } };
      expect(read(spec).tls).toEqual({
        cert: '/etc/tidemark/tls/logs-2.crt',
        key: '/etc/tidemark/tls/logs-2.key',
        ca: null,
      });
      expect(mountsOf(spec)).toEqual([]);
    });

    it('shows them that of a Secret, and asks who they are in every way', () => {
      const spec = {
        clientTls: { mode: 'Enabled', secretName: 'shown', clientCaSecretName: 'clients' },
        auth: {
          methods: ['mtls', 'token', 'oidc'],
          tokensSecretName: 'hashes',
          oidc: { issuer: 'https://issuer', audience: 'logs', alias: 'acme' },
          administrators: ['cert:CN=alice', 'token:bob'],
        },
      };
      const { tls, auth, authAdministrators } = read(spec);
      expect(tls).toEqual({
        cert: '/etc/tidemark/client-tls/tls.crt',
        key: '/etc/tidemark/client-tls/tls.key',
        ca: '/etc/tidemark/client-ca/ca.crt',
      });
      expect(auth).toMatchObject({
        methods: ['mtls', 'token', 'oidc'],
        tokensFile: '/etc/tidemark/auth-tokens/tokens',
        oidc: {
          issuer: 'https://issuer',
          audience: 'logs',
          alias: 'acme',
          keys: 'https://kubernetes.default.svc/openid/v1/jwks',
          caFile: '/var/run/secrets/tidemark-issuer/ca.crt',
          bearerFile: '/var/run/secrets/tidemark-issuer/token',
        },
      });
      expect(authAdministrators).toEqual(['cert:CN=alice', 'token:bob']);
      expect(mountsOf(spec)).toEqual([
        'shown /etc/tidemark/client-tls',
        'clients /etc/tidemark/client-ca',
        'hashes /etc/tidemark/auth-tokens',
        'issuer /var/run/secrets/tidemark-issuer',
      ]);
    });

    it('gives the pod no token where the keys are elsewhere', () => {
      const oidc = { issuer: 'https://issuer', keys: 'https://issuer/keys' };
      const spec = { clientTls: { mode: 'Enabled' }, auth: { methods: ['oidc'], oidc } };
      expect(read(spec).auth?.oidc).toMatchObject({ keys: 'https://issuer/keys', bearerFile: '' });
      expect(mountsOf(spec)).toEqual([]);
    });
  });

  it('adds what podTemplate says, and lets it take no label of the operator', () => {
    const constraint = { maxSkew: 2, topologyKey: 'row', whenUnsatisfiable: 'ScheduleAnyway' };
    const { metadata, spec } = buildPodTemplate(
      logCluster({
        podTemplate: {
          labels: { team: 'shop', 'app.kubernetes.io/part-of': 'shop' },
          annotations: { note: 'x' },
          nodeSelector: { disk: 'fast' },
          priorityClassName: 'high',
          imagePullPolicy: 'Always',
          topologySpreadConstraints: [constraint],
        },
      }),
      'tidemark:1',
      CLUSTER_ID,
      'Plaintext',
    );
    expect(metadata).toEqual({
      labels: {
        team: 'shop',
        'app.kubernetes.io/name': 'tidemark',
        'app.kubernetes.io/instance': 'logs',
        'app.kubernetes.io/component': 'broker',
        'app.kubernetes.io/part-of': 'tidemark',
        'app.kubernetes.io/managed-by': 'tidemark-operator',
      },
      annotations: { note: 'x' },
    });
    expect(spec).toMatchObject({
      nodeSelector: { disk: 'fast' },
      priorityClassName: 'high',
      topologySpreadConstraints: [constraint],
      containers: [{ imagePullPolicy: 'Always' }],
    });
    expect(spec).not.toHaveProperty('imagePullPolicy');
  });
});
