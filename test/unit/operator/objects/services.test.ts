import { describe, expect, it } from 'vitest';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
  buildNetworkPolicy,
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
    { name: 'network-policy', manifest: buildNetworkPolicy(cluster, 'tidemark-system') },
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

  it('lets in whom the spec names, besides brokers and operator, and nobody to the internal port', () => {
    const analytics = { namespaceSelector: { matchLabels: { team: 'analytics' } } };
    const prometheus = { podSelector: { matchLabels: { app: 'prometheus' } } };
    const { spec } = buildNetworkPolicy(
      logCluster({ networkPolicy: { clients: [analytics], scrapers: [prometheus] } }),
      'tidemark-system',
    );
    const open = buildNetworkPolicy(cluster, 'tidemark-system').spec;
    const [internal, clients, scrapers] = spec['ingress'] as { from?: object[] }[];
    const [internalBefore, clientsBefore, scrapersBefore] = open['ingress'] as {
      from?: object[];
    }[];
    expect(internal).toEqual(internalBefore);
    expect(clients?.from).toEqual([...(internal?.from ?? []), analytics]);
    expect(scrapers?.from).toEqual([prometheus]);
    expect([clientsBefore?.from, scrapersBefore?.from]).toEqual([undefined, undefined]);
  });

  it('is no part of the pods: who may reach them restarts nobody', () => {
    const changed = logCluster({
      networkPolicy: { clients: [{ podSelector: { matchLabels: { app: 'shop' } } }] },
    });
    const before = planTemplate(cluster, null, 'tidemark:1');
    expect(planTemplate(changed, null, 'tidemark:1').hash).toBe(before.hash);
    expect(planTemplate(changed, before, 'tidemark:1').hash).toBe(before.hash);
  });
});
