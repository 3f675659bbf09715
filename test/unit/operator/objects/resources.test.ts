import { describe, expect, it } from 'vitest';
import type { Resources } from '../../../../operator/api/types.ts';
import {
  planTemplate,
  type PlannedTemplate,
  resourcesOf,
} from '../../../../operator/objects/workload.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const BOUND = { requests: { cpu: '250m', memory: '1Gi' }, limits: { memory: '1Gi' } };

const planOf = (
  spec: Readonly<Record<string, unknown>>,
  before: PlannedTemplate | null,
  resources?: Resources,
): PlannedTemplate =>
  planTemplate(logCluster(spec), before, 'tidemark:1', 'id', { ...(resources && { resources }) });

describe('the user of brokers', () => {
  const userOf = (before: PlannedTemplate | null, user?: 'image' | 'platform'): PlannedTemplate =>
    planTemplate(logCluster(), before, 'tidemark:1', 'id', { ...(user && { user }) });
  const secured = ({ template }: PlannedTemplate): unknown => template.spec['securityContext'];

  it('is that of the image, or nobody where the platform chooses', () => {
    const shared = {
      runAsNonRoot: true,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const image = { runAsUser: 1_000, runAsGroup: 1_000, fsGroup: 1_000 };
    expect(secured(userOf(null))).toEqual({ ...shared, ...image });
    expect(secured(userOf(null, 'platform'))).toEqual(shared);
  });

  it('stays as it is where the operator is given another', () => {
    const before = userOf(null);
    expect(userOf(before, 'platform').template).toEqual(before.template);
  });
});

describe('resources of brokers', () => {
  it('bound the memory of a cluster that is made now', () => {
    expect(resourcesOf(planOf({}, null).template)).toEqual(BOUND);
  });

  it('stay away from brokers that were made without, whatever else restarts them', () => {
    const before = planOf({ resources: {} }, null);
    expect(planOf({}, before).template).toEqual(before.template);
    const after = planOf({ config: { heartbeatMs: 300 } }, before);
    expect(resourcesOf(after.template)).toEqual({});
  });

  it('stay those of the operator that made the cluster', () => {
    const text = JSON.stringify(planOf({}, null)).replaceAll('1Gi', '3Gi');
    const before = JSON.parse(text) as PlannedTemplate;
    expect(planOf({}, before).template).toEqual(before.template);
    const after = planOf({ image: 'tidemark:2' }, before);
    expect(resourcesOf(after.template)).toMatchObject({ limits: { memory: '3Gi' } });
  });

  it('are those that brokers have where the record is lost', () => {
    expect(resourcesOf(planOf({}, null, {}).template)).toEqual({});
  });

  it('are those of the spec where it has any', () => {
    const before = planOf({}, null);
    const given = { limits: { memory: '4Gi' } };
    expect(resourcesOf(planOf({ resources: given }, before).template)).toEqual(given);
    expect(planOf({ resources: BOUND }, before).template).toEqual(before.template);
  });
});
