import { beforeEach, describe, expect, test } from 'vitest';
import { Actor, type Api, type Basis } from '../../../../operator/act/act.ts';
import type { Admin } from '../../../../operator/act/calls.ts';
import { stopAtAction } from '../../../../operator/act/stop-at-action.ts';
import type { KubeObject } from '../../../../operator/api/kinds.ts';
import { planTemplate } from '../../../../operator/objects/workload.ts';
import type { Action } from '../../../../operator/decide/types.ts';
import { observation } from '../../../fixtures/operator/observations.ts';

const calls: unknown[][] = [];
let live: KubeObject | undefined;
let answers: Record<string, unknown> = {};
let isLeading = true;

function logged(name: string): (...args: unknown[]) => Promise<never> {
  return (...args) => {
    calls.push([name, ...args]);
    return Promise.resolve((args[1] ?? {}) as never);
  };
}

const api: Api = {
  get: () => Promise.resolve(live),
  apply: logged('apply'),
  create: logged('create'),
  applyStatus: logged('applyStatus'),
  mergePatch: logged('mergePatch'),
  delete: logged('delete'),
};
const admin: Admin = {
  call: (address, { path }, request) => {
    calls.push([path.split('/').at(-1), address, request]);
    return Promise.resolve((answers[path.split('/').at(-1) ?? ''] ?? {}) as never);
  },
};
const seen = observation();
const basis: Basis = {
  observation: seen,
  template: planTemplate(seen.cluster, null, 'tidemark:1'),
  record: null,
  secrets: {},
  addresses: new Map([[0, '10.0.0.1:9641']]),
  controllerAddress: '10.0.0.9:9641',
};
const pod = (change: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'tm-1', namespace: 'default', uid: 'pod-1', resourceVersion: '88', ...change },
});
const deletion: Action = { kind: 'delete-pod', brokerId: 1, name: 'tm-1', uid: 'pod-1' };

function perform(action: Action, with_: Basis = basis): Promise<void> {
  const nothing = (): void => undefined;
  const actor = new Actor({
    api,
    admin,
    namespace: 'tidemark-system',
    isLeading: () => isLeading,
    beforeAction: nothing,
    onWritten: nothing,
    onApplied: nothing,
    onDeleted: (...deleted) => calls.push(['deleted', ...deleted]),
  });
  return actor.perform(action, with_, new AbortController().signal);
}

beforeEach(() => {
  calls.length = 0;
  live = undefined;
  answers = {};
  isLeading = true;
});

describe('Actor', () => {
  test('does nothing once leadership is lost', async () => {
    isLeading = false;
    await expect(perform(deletion)).rejects.toThrow('leadership is lost');
    expect(calls).toEqual([]);
  });

  test('deletes the pod that was looked at, by uid and the newest version', async () => {
    live = pod();
    await perform(deletion);
    expect(calls.map(([name]) => name)).toEqual(['delete', 'deleted']);
    expect(calls[0]?.slice(2, 4)).toEqual([
      { namespace: 'default', name: 'tm-1' },
      { uid: 'pod-1', resourceVersion: '88' },
    ]);
  });

  test.each([
    ['is gone', undefined],
    ['is another', pod({ uid: 'pod-2' })],
  ])('deletes nothing where the pod %s', async (_, object) => {
    live = object;
    await expect(perform(deletion)).rejects.toThrow('Pod tm-1 is not the one that was looked at');
    expect(calls).toEqual([]);
  });

  test('gives the claim that was looked at what the spec adds, and makes none', async () => {
    const labels = { backup: 'daily' };
    const spec = { ...seen.cluster.spec, objects: { claims: { labels } } };
    const observed = { ...seen, cluster: { ...seen.cluster, spec } };
    const action: Action = { kind: 'label-claim', name: 'data-tm-1', uid: 'claim-1' };
    await perform(action, { ...basis, observation: observed });
    expect(calls.map(([name]) => name)).toEqual(['apply']);
    expect(calls[0]?.[2]).toEqual({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data-tm-1', namespace: 'default', uid: 'claim-1', labels },
    });
  });

  test('does not delete twice', async () => {
    live = pod({ deletionTimestamp: '2026-11-23T12:00:00Z' });
    await perform(deletion);
    expect(calls).toEqual([]);
  });

  test('applies the StatefulSet over the version that was looked at only', async () => {
    await perform({ kind: 'apply-workload', replicas: 4, resourceVersion: '7' });
    expect(calls[0]?.[2]).toMatchObject({
      metadata: { name: 'tm', resourceVersion: '7' },
      spec: { replicas: 4 },
    });
    live = pod();
    await expect(
      perform({ kind: 'apply-workload', replicas: 3, resourceVersion: null }),
    ).rejects.toThrow('StatefulSet default/tm exists, which the cache does not show');
  });

  describe('a Secret of certificates', () => {
    const action: Action = {
      kind: 'apply-authority',
      change: 'make',
      atMs: 0,
      resourceVersion: null,
    };
    const secret = (change: object = {}): KubeObject => {
      const { uid } = seen.cluster.metadata;
      const ownerReferences = [{ uid, controller: true }];
      const metadata = {
        name: 'tm-brokers-ca',
        namespace: 'default',
        uid: 's',
        resourceVersion: '9',
      };
      return {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...metadata, ownerReferences, ...change },
      };
    };

    test('is made empty, and filled only while it is that', async () => {
      await perform(action);
      expect(calls.map(([name]) => name)).toEqual(['create', 'apply']);
      const [empty, filled] = calls.map(([, , object]) => object as KubeObject);
      expect(empty).not.toHaveProperty('data');
      // As the answer of the fixture has it: what was created.
      expect(filled?.['data']).toHaveProperty(['ca.key']);
    });

    test('is changed at the version that was looked at, and at no other', async () => {
      live = secret();
      await perform({ ...action, change: 'retire', resourceVersion: '9' });
      expect(calls.map(([name]) => name)).toEqual(['apply']);
      expect(calls[0]?.[2]).toMatchObject({ metadata: { uid: 's', resourceVersion: '9' } });
      for (const resourceVersion of ['8', null])
        await expect(perform({ ...action, resourceVersion })).rejects.toThrow(
          'Secret default/tm-brokers-ca is not as it was looked at',
        );
      live = undefined;
      await expect(perform({ ...action, resourceVersion: '9' })).rejects.toThrow('looked at');
      expect(calls).toHaveLength(1);
    });

    test('of others is not touched', async () => {
      live = secret({ ownerReferences: [] });
      await expect(perform({ ...action, resourceVersion: '9' })).rejects.toThrow(
        'Secret default/tm-brokers-ca is not of this LogCluster',
      );
      expect(calls).toEqual([]);
    });
  });

  test('writes a status to this LogCluster as it was seen, and no other of its name', async () => {
    await perform({ kind: 'write-status', status: { replicas: 3 } });
    expect(calls[0]?.[2]).toEqual({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: {
        name: 'tm',
        namespace: 'default',
        uid: seen.cluster.metadata.uid,
        resourceVersion: seen.cluster.metadata.resourceVersion,
      },
      status: { replicas: 3 },
    });
  });

  test('ends the pass where a stop is not safe any more', async () => {
    const verdicts = [
      { topic: 'orders', partition: 0, stopsWrites: true, takesLastCopy: false, reason: '1 left' },
    ];
    answers = { CheckDisruption: { safe: false, takesQuorum: false, reason: '', verdicts } };
    await expect(perform({ kind: 'check-safe', brokerIds: [1] })).rejects.toThrow(
      'stopping brokers 1 is not safe any more: 1 partition would suffer: orders/0 (1 left)',
    );
  });

  test('ends the pass where a broker is not empty any more', async () => {
    answers = { Decommission: { replicasLeft: 2 } };
    await expect(perform({ kind: 'confirm-empty', brokerId: 4 })).rejects.toThrow(
      'broker 4 holds 2 replicas again',
    );
  });

  test('asks the controller, and the broker itself only to form the cluster', async () => {
    await perform({ kind: 'bootstrap', brokerId: 0, clusterId: 'id' });
    await perform({ kind: 'prepare-stop', brokerId: 0, brokerEpoch: 7 });
    await perform({ kind: 'limit-moves', moveBytesPerSecond: 1_000_000 });
    await perform({ kind: 'cancel-stop', brokerId: 1 });
    const topicDefaults = { replicationFactor: 3, commitMode: 'Quorum' } as const;
    const brokerOptions = { 'log-level': 'debug', 'flush-bytes': '' };
    await perform({ kind: 'set-settings', change: { brokerOptions, topicDefaults } });
    expect(calls).toEqual([
      ['Bootstrap', '10.0.0.1:9641', { clusterId: 'id' }],
      ['PrepareStop', '10.0.0.9:9641', { brokerId: 0, brokerEpoch: 7 }],
      [
        'SetClusterSettings',
        '10.0.0.9:9641',
        {
          settings: {
            moveBytesPerSecond: 1_000_000,
            brokerOptions: {},
            topicDefaults: undefined,
          },
        },
      ],
      ['CancelStop', '10.0.0.9:9641', { brokerId: 1 }],
      [
        'SetClusterSettings',
        '10.0.0.9:9641',
        { settings: { brokerOptions, topicDefaults: { replicationFactor: 3, commitMode: 2 } } },
      ],
    ]);
    await expect(
      perform(
        { kind: 'prepare-stop', brokerId: 0, brokerEpoch: 7 },
        { ...basis, controllerAddress: null },
      ),
    ).rejects.toThrow('no broker answers as controller');
  });
});

test('stopAtAction exits before the action after the given number', () => {
  const exits: number[] = [];
  const exit = (): never => {
    exits.push(1);
    throw new Error('exit');
  };
  const before = stopAtAction(2, exit);
  before();
  before();
  expect(exits).toEqual([]);
  expect(before).toThrow('exit');
  const never = stopAtAction(null, exit);
  for (let count = 0; count < 100; count += 1) never();
  expect(exits).toHaveLength(1);
});
