import { describe, expect, it } from 'vitest';
import { buildClaimOverlay } from '../../../../operator/objects/claims.ts';
import { buildListenerServices } from '../../../../operator/objects/listeners.ts';
import {
  buildBrokersService,
  buildClientService,
  buildDisruptionBudget,
} from '../../../../operator/objects/services.ts';
import { planTemplate } from '../../../../operator/objects/workload.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const overlay = (value: string) => ({ labels: { team: value }, annotations: { note: value } });
const LISTENERS = [
  { name: 'outside', port: 9651, type: 'LoadBalancer', auth: {}, ...overlay('outside') },
];
const plain = logCluster();
const cluster = logCluster({
  listeners: LISTENERS,
  objects: {
    clientsService: overlay('clients'),
    brokersService: overlay('brokers'),
    claims: overlay('claims'),
    budget: overlay('budget'),
  },
});

describe('what a LogCluster adds to objects beside its pods', () => {
  it.each([
    { what: 'clients', of: buildClientService },
    { what: 'brokers', of: buildBrokersService },
    { what: 'budget', of: (from: typeof plain) => buildDisruptionBudget(from, 1) },
  ])('stands beside the labels of the operator: $what', ({ what, of }) => {
    const { labels, annotations } = of(cluster).metadata;
    expect(labels).toEqual({ team: what, ...of(plain).metadata.labels });
    expect(annotations).toEqual({ note: what });
  });

  it('is on every Service of a listener', () => {
    const services = buildListenerServices(cluster, 2);
    expect(services).toHaveLength(3);
    for (const { metadata } of services)
      expect(metadata).toMatchObject({
        labels: { team: 'outside', 'tidemark.dev/listener': 'outside' },
        annotations: { note: 'outside' },
      });
  });

  it('is all that is applied to a claim', () => {
    const at = { name: 'data-logs-0', namespace: 'shop' };
    const kind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' };
    expect(buildClaimOverlay(cluster, at.name)).toEqual({
      ...kind,
      metadata: { ...at, ...overlay('claims') },
    });
    expect(buildClaimOverlay(plain, at.name)).toEqual({ ...kind, metadata: at });
  });

  it('restarts nobody', () => {
    const { objects } = cluster.spec;
    const before = planTemplate(plain, null, 'tidemark:1');
    const after = { ...plain, spec: { ...plain.spec, objects: objects! } };
    expect(planTemplate(after, before, 'tidemark:1').hash).toBe(before.hash);
    expect(planTemplate(after, null, 'tidemark:1').hash).toBe(before.hash);
  });
});
