import { describe, expect, it } from 'vitest';
import { TEMPLATE_ANNOTATION, TEMPLATE_HASH_LABEL } from '../../../../operator/api/names.ts';
import { tlsPhaseOf, type PodTemplateSpec } from '../../../../operator/objects/pod.ts';
import {
  buildStatefulSet,
  imageOf,
  planTemplate,
  readRecord,
} from '../../../../operator/objects/workload.ts';
import type { Manifest } from '../../../../operator/objects/workload.ts';
import { canonicalJson, type RecordedTemplate } from '../../../../operator/objects/template.ts';
import type { LogCluster } from '../../../../operator/api/types.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';
import { restrictedBreaches } from '../../../fixtures/operator/restricted.ts';

const made = (cluster: LogCluster, image = 'tidemark:1'): Manifest =>
  buildStatefulSet(cluster, cluster.spec.replicas, planTemplate(cluster, null, image), null);

/** As the API server gives it back. */
const existing = (manifest: Manifest): Parameters<typeof readRecord>[0] =>
  JSON.parse(JSON.stringify(manifest)) as Parameters<typeof readRecord>[0];

const labelsOf = ({ spec }: Manifest): Readonly<Record<string, string>> =>
  (spec['template'] as PodTemplateSpec).metadata.labels;

const PHASES = ['Plaintext', 'Allow', 'Prefer', 'Require'] as const;

describe('planTemplate()', () => {
  const cluster = logCluster();
  const older = planTemplate(cluster, null, 'tidemark:1');
  // What an older operator made: one variable fewer, from the same spec.
  const recorded = {
    inputs: older.inputs,
    template: { ...older.template, spec: { ...older.template.spec, enableServiceLinks: true } },
  };

  it('keeps what an older operator made, while the spec asks for nothing else', () => {
    const planned = planTemplate(cluster, recorded, 'tidemark:2');
    expect(planned.template).toEqual(recorded.template);
    expect(planned.hash).not.toBe(older.hash);
    expect(planned.image).toBe('tidemark:1');
  });

  it('keeps it when only the number of brokers changes', () => {
    const planned = planTemplate(logCluster({ replicas: 5 }), recorded, 'tidemark:2');
    expect(planned.template).toEqual(recorded.template);
  });

  it('makes another for other options, and keeps the image', () => {
    const changed = logCluster({ config: { heartbeatMs: 500 } });
    const planned = planTemplate(changed, recorded, 'tidemark:2');
    expect(planned.template.spec).toMatchObject({ enableServiceLinks: false });
    expect(planned.image).toBe('tidemark:1');
  });

  it('leaves TLS between brokers as it is recorded, whatever else changes', () => {
    for (const phase of PHASES) {
      const before = planTemplate(cluster, null, 'tidemark:1', undefined, {}, phase);
      const changed = logCluster({ config: { heartbeatMs: 500 } });
      expect(tlsPhaseOf(planTemplate(changed, before, 'tidemark:2').template)).toBe(phase);
      for (const mode of ['Enabled', 'Disabled']) {
        const asked = logCluster({ internalTls: { mode } });
        expect(planTemplate(asked, before, 'tidemark:2').template).toEqual(before.template);
      }
    }
  });

  it('changes nothing but TLS between brokers where that is asked for', () => {
    for (const [index, phase] of PHASES.entries()) {
      const next = PHASES[index + 1] ?? 'Prefer';
      const before = planTemplate(cluster, null, 'tidemark:1', undefined, {}, phase);
      const after = planTemplate(cluster, before, 'tidemark:2', undefined, {}, next);
      expect(tlsPhaseOf(after.template)).toBe(next);
      expect(after.image).toBe('tidemark:1');
      expect(after.inputs).toBe(before.inputs);
      const back = planTemplate(cluster, after, 'tidemark:2', undefined, {}, phase);
      expect(back.hash).toBe(before.hash);
    }
  });

  it('makes another where clients are to speak TLS, also of a record without a word on it', () => {
    const inputs = JSON.parse(older.inputs) as Record<string, unknown>;
    const { clientTls: _, auth: __, ...before } = inputs;
    const record = { template: older.template, inputs: canonicalJson(before) };
    expect(planTemplate(cluster, record, 'tidemark:2').template).toEqual(older.template);
    const asked = logCluster({ clientTls: { mode: 'Enabled' } });
    expect(planTemplate(asked, record, 'tidemark:2').template).not.toEqual(older.template);
    const named = logCluster({
      clientTls: { mode: 'Enabled' },
      auth: { methods: ['oidc'], oidc: { issuer: 'https://x' } },
    });
    const planned = planTemplate(asked, record, 'tidemark:2');
    expect(planTemplate(named, planned, 'tidemark:2').template).not.toEqual(planned.template);
  });

  it('takes the image that the spec names', () => {
    const planned = planTemplate(logCluster({ image: 'tidemark:3' }), recorded, 'tidemark:2');
    expect(planned.image).toBe('tidemark:3');
  });

  it('takes the default image for a cluster that is new', () => {
    expect(imageOf(planTemplate(cluster, null, 'tidemark:2').template)).toBe('tidemark:2');
  });
});

describe('buildStatefulSet()', () => {
  it.each([
    { name: 'minimal', cluster: logCluster() },
    {
      name: 'everything',
      cluster: logCluster({
        replicas: 5,
        image: 'registry.example/tidemark@sha256:00',
        clusterId: '00000000-0000-4000-8000-000000000001',
        storage: { size: '1Ti', storageClassName: 'fast', whenDeleted: 'Delete' },
        resources: { requests: { cpu: 2, memory: '4Gi' }, limits: { memory: '8Gi' } },
        rack: { spread: 'Required' },
        config: { sessionTimeoutMs: 6_000, stopTimeoutMs: 30_000, logLevel: 'warn' },
        podTemplate: {
          labels: { team: 'shop' },
          annotations: { note: 'x' },
          tolerations: [{ key: 'dedicated', operator: 'Exists' }],
          imagePullSecrets: [{ name: 'pull' }],
          priorityClassName: 'high',
        },
      }),
    },
  ])('makes of a LogCluster, $name, what the golden file has', async ({ name, cluster }) => {
    const text = `${JSON.stringify(made(cluster), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(
      `../../../fixtures/operator/golden/stateful-set-${name}.json`,
    );
  });

  it('marks pods with the hash of their template, which has no such label itself', () => {
    const planned = planTemplate(logCluster(), null, 'tidemark:1');
    expect(labelsOf(made(logCluster()))[TEMPLATE_HASH_LABEL]).toBe(planned.hash);
    expect(planned.template.metadata.labels).not.toHaveProperty(TEMPLATE_HASH_LABEL);
  });

  it('comes out the same from what it recorded', () => {
    const first = made(logCluster());
    const record = readRecord(existing(first), logCluster());
    const planned = planTemplate(logCluster(), record.template, 'tidemark:9');
    expect(buildStatefulSet(logCluster(), 3, planned, record)).toEqual(first);
  });

  it('leaves the size in the claim template, which nobody may change, as it was made', () => {
    const grown = logCluster({ storage: { size: '20Gi' } });
    const record = readRecord(existing(made(logCluster())), grown);
    const again = buildStatefulSet(grown, 3, planTemplate(grown, null, 'tidemark:1'), record);
    expect(again.spec['volumeClaimTemplates']).toMatchObject([
      { spec: { resources: { requests: { storage: '10Gi' } } } },
    ]);
  });

  describe("with an image that is pulled like the operator's", () => {
    const pull = { imagePullPolicy: 'Always', imagePullSecrets: [{ name: 'key' }] } as const;
    const pulled = (cluster: LogCluster, recorded: RecordedTemplate | null = null) => {
      const { hash, template, inputs } = planTemplate(cluster, recorded, 'tidemark:1', 'c', pull);
      const { imagePullSecrets, containers } = template.spec as unknown as {
        imagePullSecrets?: unknown;
        containers: { imagePullPolicy?: string }[];
      };
      return { hash, template, inputs, imagePullSecrets, policy: containers[0]?.imagePullPolicy };
    };

    it('says so where the spec does not', () => {
      expect(pulled(logCluster())).toMatchObject({
        policy: 'Always',
        imagePullSecrets: [{ name: 'key' }],
      });
      const podTemplate = { imagePullPolicy: 'Never', imagePullSecrets: [] } as const;
      expect(pulled(logCluster({ podTemplate }))).toMatchObject({
        policy: 'Never',
        imagePullSecrets: [],
      });
    });

    it('moves no pod that was made before', () => {
      const before = planTemplate(logCluster(), null, 'tidemark:1', 'c');
      expect(pulled(logCluster(), before).hash).toBe(before.hash);
      // Recorded under a schema without a field that has a default now.
      const older = { ...before, inputs: before.inputs.replace('"spread":"Preferred",', '') };
      expect(older.inputs).not.toBe(before.inputs);
      expect(pulled(logCluster(), older).hash).toBe(before.hash);
    });
  });

  it('has as many pods as it is told, whatever the spec wants', () => {
    const planned = planTemplate(logCluster(), null, 'tidemark:1');
    expect(buildStatefulSet(logCluster(), 5, planned, null).spec['replicas']).toBe(5);
  });

  it('keeps to the restricted pod security standard', () => {
    const { template } = made(logCluster()).spec as { template: PodTemplateSpec };
    expect(restrictedBreaches(template.spec)).toEqual([]);
  });
});

describe('readRecord()', () => {
  it.each([
    { name: 'gone', text: undefined },
    { name: 'no JSON', text: '{' },
    { name: 'no object', text: 'null' },
    { name: 'no template', text: '{"metadata":{}}' },
  ])('finds no template where the annotation is $name', ({ text }) => {
    const manifest = made(logCluster());
    const { [TEMPLATE_ANNOTATION]: _, ...others } = manifest.metadata.annotations ?? {};
    const annotations = text === undefined ? others : { ...others, [TEMPLATE_ANNOTATION]: text };
    const found = existing({ ...manifest, metadata: { ...manifest.metadata, annotations } });
    expect(readRecord(found, logCluster())).toEqual({ template: null, claimSize: '10Gi' });
  });
});
