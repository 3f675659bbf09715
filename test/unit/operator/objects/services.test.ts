import { describe, expect, it } from 'vitest';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
} from '../../../../operator/objects/services.ts';
import { planTemplate, buildStatefulSet } from '../../../../operator/objects/workload.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const cluster = logCluster();
const workload = buildStatefulSet(cluster, 3, planTemplate(cluster, null, 'tidemark:1'), null);

describe('services of a LogCluster', () => {
  it.each([
    { name: 'brokers-service', manifest: buildBrokersService(cluster) },
    { name: 'client-service', manifest: buildClientService(cluster) },
    { name: 'disruption-budget', manifest: buildDisruptionBudget(cluster, 1) },
  ])('are what the golden files have: $name', async ({ name, manifest }) => {
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(`../../../fixtures/operator/golden/${name}.json`);
  });

  it('belong to the LogCluster, as the StatefulSet does', () => {
    const owner = {
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      name: 'logs',
      uid: cluster.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    };
    for (const { metadata } of [
      buildBrokersService(cluster),
      buildDisruptionBudget(cluster, 0),
      workload,
    ])
      expect(metadata.ownerReferences).toEqual([owner]);
  });

  it('select the pods of the StatefulSet, which is governed by the headless one', () => {
    const { selector, serviceName } = workload.spec as {
      selector: { matchLabels: unknown };
      serviceName: string;
    };
    expect(buildClientService(cluster).spec['selector']).toEqual(selector.matchLabels);
    expect(buildDisruptionBudget(cluster, 0).spec['selector']).toEqual(selector);
    expect(buildBrokersService(cluster).metadata.name).toBe(serviceName);
  });

  it.each([0, 1, 2])('admit %d evictions', (maxUnavailable) => {
    expect(buildDisruptionBudget(cluster, maxUnavailable).spec['maxUnavailable']).toBe(
      maxUnavailable,
    );
  });
});
