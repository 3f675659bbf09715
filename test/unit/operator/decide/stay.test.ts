import { describe, expect, test } from 'vitest';
import type { Disruption } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Observation } from '../../../../operator/decide/types.ts';
import { observation as observationOf } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

/** Broker 1 was told to stop and stands. */
function drained(change: (healthy: Observation) => Partial<Observation>): Observation {
  const healthy = observationOf();
  const { metadata } = healthy;
  if (metadata === null) throw new Error('the fixture has metadata');
  const seen: Observation = {
    ...healthy,
    metadata: {
      ...metadata,
      settings: {
        brokerOptions: {},
        topicDefaults: { replicationFactor: 3, minInSyncReplicas: 2, commitMode: 'InSync' },
      },
      brokers: metadata.brokers.map((broker) => ({
        ...broker,
        isStopping: broker.brokerId === 1,
      })),
    },
  };
  return { ...seen, ...change(seen) };
}

function kinds(observation: Observation): string[] {
  return actionsOf(decide(observation, 0))
    .filter(({ kind }) => ['cancel-stop', 'prepare-stop', 'delete-pod'].includes(kind))
    .map((action) => `${action.kind} ${'brokerId' in action ? action.brokerId : ''}`);
}

const rolling = ({ cluster, pods, template }: Observation): Observation['cluster'] => {
  const disruption: Disruption = {
    kind: 'Roll',
    brokerIds: [1],
    podUids: [pods[1]?.uid ?? ''],
    brokerEpochs: [1],
    templateHash: template.hash,
    startedAt: '2026-01-01T00:00:00Z',
    phase: 'stop',
  };
  return { ...cluster, status: { ...cluster.status, disruption } };
};
const outdated = ({ pods }: Observation): Observation['pods'] =>
  pods.map((pod) => (pod.brokerId === 1 ? { ...pod, templateHash: 'before' } : pod));

describe('a broker that was told to stop and stands', () => {
  test('may lead again where nothing wants it stopped', () => {
    expect(kinds(drained(() => ({})))).toEqual(['cancel-stop 1']);
  });

  test('is restarted where its roll goes on', () => {
    const seen = drained((healthy) => ({ cluster: rolling(healthy), pods: outdated(healthy) }));
    expect(kinds(seen)).toEqual(['prepare-stop 1', 'delete-pod 1']);
  });

  test.each<{ title: string; change: (healthy: Observation) => Partial<Observation> }>([
    {
      title: 'the spec went back',
      change: (healthy) => ({ cluster: rolling(healthy) }),
    },
    {
      title: 'the roll is paused',
      change: (healthy) => {
        const cluster = rolling(healthy);
        return {
          cluster: { ...cluster, spec: { ...cluster.spec, paused: 'Disruptions' as const } },
          pods: outdated(healthy),
        };
      },
    },
  ])('may lead again when $title, and the ledger is empty', ({ change }) => {
    const seen = drained(change);
    expect(kinds(seen)).toEqual(['cancel-stop 1']);
    const status = actionsOf(decide(seen, 0)).find(({ kind }) => kind === 'write-status');
    expect(status).toMatchObject({ kind: 'write-status' });
    expect(status).not.toMatchObject({ status: { disruption: expect.anything() as unknown } });
  });

  test('is restarted, as it had to be, where brokers do not know how to stay', () => {
    const seen = drained(({ metadata }) => ({
      metadata: metadata === null ? null : { ...metadata, settings: null },
    }));
    expect(kinds(seen)).toEqual([]);
    expect(actionsOf(decide(seen, 0)).at(-1)).toMatchObject({
      status: { disruption: { kind: 'Roll', brokerIds: [1] } },
    });
  });
});
