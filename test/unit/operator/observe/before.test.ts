import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../../operator/api/kinds.ts';
import type { LogClusterStatus, TlsPhase } from '../../../../operator/api/types.ts';
import {
  clientTlsFault,
  resourcesBefore,
  tlsPhaseBefore,
} from '../../../../operator/observe/before.ts';
import { planTemplate } from '../../../../operator/objects/workload.ts';
import { cluster } from '../../../fixtures/operator/observations.ts';

const CLUSTER_ID = '11111111-2222-4333-8444-555555555555';
const PHASES = ['Plaintext', 'Allow', 'Prefer', 'Require'] as const;

describe('how far brokers are to TLS', () => {
  const of = (status: LogClusterStatus, pods: readonly TlsPhase[] = [], spec = {}): TlsPhase =>
    tlsPhaseBefore(cluster({ status, spec }), null, pods);

  test.each(PHASES)('is what the record says, whatever else says: %s', (phase) => {
    const recorded = planTemplate(cluster({}), null, 'tidemark:1', CLUSTER_ID, {}, phase);
    const status = { internalTls: { mode: 'Enabled', phase: 'Prefer' } } as const;
    expect(tlsPhaseBefore(cluster({ status }), recorded, ['Allow'])).toBe(phase);
  });

  test('is the first of those among pods where no record is left', () => {
    const status = { internalTls: { mode: 'Enabled' } } as const;
    expect(of(status, ['Prefer', 'Require'])).toBe('Prefer');
    expect(of(status, ['Allow', 'Plaintext'])).toBe('Plaintext');
    expect(of({}, ['Require'])).toBe('Require');
  });

  test('is that of the status where there are no pods either', () => {
    expect(of({ internalTls: { mode: 'Enabled' } })).toBe('Require');
    expect(of({ internalTls: { mode: 'Disabled' } })).toBe('Plaintext');
    expect(of({ internalTls: { mode: 'Disabled', phase: 'Allow' } })).toBe('Allow');
  });

  test('is TLS alone of what is made now, and plaintext of what was formed before it was told', () => {
    expect(of({})).toBe('Require');
    expect(of({}, [], { internalTls: { mode: 'Disabled' } })).toBe('Plaintext');
    expect(of({ clusterId: CLUSTER_ID })).toBe('Plaintext');
    expect(of({ clusterId: CLUSTER_ID }, [], { internalTls: { mode: 'Enabled' } })).toBe(
      'Plaintext',
    );
  });
});

test('brokers keep the resources that they have, of the StatefulSet before those of pods', () => {
  const pod = (resources?: object) => ({
    spec: { containers: [{ name: 'mesh' }, { name: 'broker', resources }] },
  });
  const object = (kind: string, rest: object): KubeObject => ({
    apiVersion: 'v1',
    kind,
    metadata: { name: 'tm' },
    ...rest,
  });
  const set = object('StatefulSet', { spec: { template: pod() } });
  const pods = [{ pod: object('Pod', pod({ limits: { memory: '2Gi' } })) }];
  expect(resourcesBefore(set, pods)).toEqual({ resources: {} });
  expect(resourcesBefore(undefined, pods)).toEqual({ resources: { limits: { memory: '2Gi' } } });
  expect(resourcesBefore(undefined, [])).toEqual({});
});

test('clients are shown certificates of the operator by brokers that have them', () => {
  const issued = cluster({ spec: { clientTls: { mode: 'Enabled' } } });
  const named = cluster({ spec: { clientTls: { mode: 'Enabled', secretName: 'own' } } });
  expect(clientTlsFault(issued, 'Plaintext')).toContain('clientTls.secretName is missing');
  for (const phase of ['Allow', 'Prefer', 'Require'] as const)
    expect(clientTlsFault(issued, phase)).toBeNull();
  expect(clientTlsFault(named, 'Plaintext')).toBeNull();
});
