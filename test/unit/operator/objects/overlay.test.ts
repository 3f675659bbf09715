import { describe, expect, it } from 'vitest';
import { logClusterSpecSchema } from '../../../../operator/api/log-cluster.ts';
import { toOpenApi } from '../../../../operator/api/schema.ts';
import { readLogClusterSpec } from '../../../../operator/api/validate.ts';
import { buildPodTemplate } from '../../../../operator/objects/pod.ts';
import { imageOf } from '../../../../operator/objects/workload.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const OVERLAY = {
  serviceAccountName: 'brokers',
  securityContext: { runAsUser: 2_000, supplementalGroups: [7], seLinuxOptions: { level: 's0' } },
  env: [{ name: 'NODE_OPTIONS', value: '--enable-source-maps' }],
  volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '1Gi' } }],
  volumeMounts: [{ name: 'scratch', mountPath: '/scratch', mountPropagation: 'None' }],
  containers: [
    { name: 'logs', image: 'shipper:1', volumeMounts: [{ name: 'data', readOnly: true }] },
  ],
  initContainers: [{ name: 'wait', image: 'wait:1', command: ['wait'] }],
  terminationGracePeriodSeconds: 600,
  runtimeClassName: 'sandboxed',
  dnsPolicy: 'None',
  dnsConfig: { nameservers: ['10.96.0.10'], options: [{ name: 'timeout', value: '2' }] },
};

interface Container {
  readonly name: string;
  readonly env: readonly { readonly name: string }[];
  readonly volumeMounts: readonly object[];
}

const podOf = (podTemplate: object) => {
  const { spec, faults } = readLogClusterSpec({ podTemplate });
  expect(faults).toEqual([]);
  return buildPodTemplate({ ...logCluster(), spec }, 'tidemark:1', 'id', 'Require');
};

describe('what a LogCluster adds to its pods', () => {
  it('is there beside all that the operator puts in', () => {
    const plain = podOf({});
    const template = podOf(OVERLAY);
    const [broker, sidecar] = template.spec['containers'] as readonly Container[];
    const [own] = plain.spec['containers'] as readonly Container[];
    expect(template.spec).toMatchObject({
      serviceAccountName: 'brokers',
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 2_000,
        fsGroup: 1_000,
        supplementalGroups: [7],
        seLinuxOptions: { level: 's0' },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      initContainers: OVERLAY.initContainers,
      terminationGracePeriodSeconds: 600,
      runtimeClassName: 'sandboxed',
      dnsPolicy: 'None',
      dnsConfig: OVERLAY.dnsConfig,
    });
    expect(template.spec).not.toHaveProperty('env');
    expect(template.spec).not.toHaveProperty('volumeMounts');
    expect(template.spec['volumes']).toEqual([
      ...(plain.spec['volumes'] as object[]),
      ...OVERLAY.volumes,
    ]);
    expect(broker).toEqual({
      ...own,
      env: [...own!.env, ...OVERLAY.env],
      volumeMounts: [...own!.volumeMounts, ...OVERLAY.volumeMounts],
    });
    expect(sidecar).toEqual(OVERLAY.containers[0]);
    expect(imageOf(template)).toBe('tidemark:1');
  });

  it('needs no more time to stop than the operator gives by itself', () => {
    const { terminationGracePeriodSeconds: least } = podOf({}).spec;
    expect(podOf({ terminationGracePeriodSeconds: least }).spec).toEqual(podOf({}).spec);
    const longer = {
      config: { stopTimeoutMs: 60_000 },
      podTemplate: { terminationGracePeriodSeconds: 130 },
    };
    expect(readLogClusterSpec(longer).faults).toMatchObject([
      {
        message:
          'podTemplate.terminationGracePeriodSeconds is 130, must be at least 160: an orderly stop takes as long',
      },
    ]);
  });

  it('keeps what Kubernetes alone knows, in the definition too', () => {
    const schema = JSON.stringify(toOpenApi(logClusterSpecSchema));
    expect(schema.match(/x-kubernetes-preserve-unknown-fields/g)).toHaveLength(8);
  });
});
