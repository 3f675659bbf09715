/**
 * Clusters of every released schema, as the API server keeps them: none of their pods may move
 * because the operator is another one. The files stay in the tree for ever; a release adds one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { LogCluster } from '../../../../operator/api/types.ts';
import { readLogClusterSpec } from '../../../../operator/api/validate.ts';
import { planTemplate, resourcesOf } from '../../../../operator/objects/workload.ts';
import { canonicalJson, type RecordedTemplate } from '../../../../operator/objects/template.ts';

interface Released {
  readonly resource: LogCluster;
  readonly recorded: RecordedTemplate;
}

const FOLDER = new URL('../../../fixtures/operator/released/', import.meta.url);

describe.each(readdirSync(FOLDER))('%s', (file) => {
  const clusters = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Released[];
  const planOf = ({ resource, recorded }: Released, spec: object) => {
    const { spec: known, faults } = readLogClusterSpec(spec);
    expect(faults).toEqual([]);
    return planTemplate({ ...resource, spec: known }, recorded, 'tidemark:later');
  };

  test('moves no pod under this schema', () => {
    for (const cluster of clusters)
      expect(planOf(cluster, cluster.resource.spec).template).toEqual(cluster.recorded.template);
  });

  test('keeps the resources of every pod that another change makes anew', () => {
    for (const cluster of clusters) {
      const { resources: _, ...unstated } = cluster.resource.spec;
      for (const spec of [cluster.resource.spec, unstated]) {
        const { template } = planOf(cluster, { ...spec, image: 'tidemark:2' });
        expect(resourcesOf(template)).toEqual(resourcesOf(cluster.recorded.template));
      }
    }
  });

  test('moves no pod where a manifest that states no resources replaces it', () => {
    for (const cluster of clusters) {
      const { resources: _, ...unstated } = cluster.resource.spec;
      expect(planOf(cluster, unstated).template).toEqual(cluster.recorded.template);
    }
  });

  test('moves no pod under a later schema, whose API server fills in more', () => {
    for (const cluster of clusters) {
      const { rack, podTemplate, ...spec } = cluster.resource.spec;
      const later = {
        ...spec,
        later: 'x',
        rack: { ...rack, later: { depth: 1 } },
        podTemplate: { ...podTemplate, later: [] },
      };
      expect(planOf(cluster, later).template).toEqual(cluster.recorded.template);
    }
  });

  test('moves no pod where it was recorded before fields had their defaults', () => {
    for (const { resource, recorded } of clusters) {
      const inputs = JSON.parse(recorded.inputs) as Record<string, Record<string, unknown>>;
      const { spread: _, ...rack } = inputs['rack']!;
      const older = { ...recorded, inputs: canonicalJson({ ...inputs, rack }) };
      const { spread } = resource.spec.rack;
      const planned = planOf({ resource, recorded: older }, resource.spec);
      if (spread === 'Preferred') expect(planned.template).toEqual(recorded.template);
    }
  });
});
