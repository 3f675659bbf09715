import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  logClusterNameFaults,
  validateLogCluster,
  validateLogAccess,
  validateLogTopic,
} from '../../../../operator/api/validate.ts';
import { BAD_LOG_CLUSTERS } from '../../../fixtures/operator/bad-log-clusters.ts';
import { BAD_LOG_ACCESSES } from '../../../fixtures/operator/bad-log-accesses.ts';
import { BAD_LOG_TOPICS } from '../../../fixtures/operator/bad-log-topics.ts';

const lines = (faults: readonly { path: string; message: string }[]): string[] =>
  faults.map(({ path, message }) => `${path}: ${message}`);

describe('validateLogCluster()', () => {
  it.each(BAD_LOG_CLUSTERS)('refuses $title', ({ spec, before, faults }) => {
    const previous = before === undefined ? undefined : validateLogCluster(before).spec;
    expect(lines(validateLogCluster(spec, previous).faults)).toEqual(faults);
  });

  it('fills in every default', () => {
    expect(validateLogCluster({})).toEqual({
      faults: [],
      spec: {
        replicas: 3,
        replicationFactor: 3,
        minInSyncReplicas: 2,
        commitMode: 'InSync',
        acceptWriteStops: false,
        storage: { size: '10Gi', whenDeleted: 'Retain', whenScaled: 'Retain' },
        rack: { topologyKey: 'topology.kubernetes.io/zone', spread: 'Preferred' },
        config: {},
        rollout: { policy: 'Automatic', maxUnavailable: 1 },
        internalTls: {},
        clientTls: { mode: 'Disabled' },
        auth: {},
        podTemplate: {},
        networkPolicy: {},
      },
    });
  });

  it.each([
    {
      name: 'one broker with one copy',
      spec: { replicas: 1, replicationFactor: 1, minInSyncReplicas: 1 },
    },
    {
      name: 'min equal to the copies, accepted',
      spec: { minInSyncReplicas: 3, acceptWriteStops: true },
    },
    { name: 'quorum mode', spec: { commitMode: 'Quorum' } },
    { name: 'whole processors', spec: { resources: { requests: { cpu: 1 }, limits: { cpu: 2 } } } },
    {
      name: 'a window',
      spec: { rollout: { policy: 'Window', window: { start: '23:30', durationMinutes: 90 } } },
    },
    { name: 'five voters', spec: { config: { votersMax: 5, logLevel: 'debug' } } },
    {
      name: 'affinity',
      spec: {
        podTemplate: {
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [
                  { matchExpressions: [{ key: 'disk', operator: 'In', values: ['fast'] }] },
                ],
              },
            },
          },
        },
      },
    },
  ])('accepts $name', ({ spec }) => {
    expect(lines(validateLogCluster(spec).faults)).toEqual([]);
  });

  it('accepts a volume that grows, in other units too', () => {
    const { spec } = validateLogCluster({ storage: { size: '1024Mi' } });
    expect(lines(validateLogCluster({ storage: { size: '1Gi' } }, spec).faults)).toEqual([]);
    expect(lines(validateLogCluster({ storage: { size: '1.5Gi' } }, spec).faults)).toEqual([]);
  });

  it('reports every fault at once', () => {
    const { faults } = validateLogCluster({ replicas: 0, paused: 'Yes', config: { votersMax: 9 } });
    expect(lines(faults)).toEqual([
      'spec.replicas: replicas is 0, must be a whole number from 1 to 100',
      "spec.paused: paused is 'Yes', must be one of All, Disruptions",
      'spec.config.votersMax: votersMax is 9, must be a whole number from 1 to 5',
    ]);
  });

  it('fills in nothing more the second time', () => {
    const spec = fc.record(
      {
        replicas: fc.integer({ min: 3, max: 100 }),
        storage: fc.record({ size: fc.constantFrom('1Gi', '2Ti') }, { requiredKeys: [] }),
        config: fc.record(
          { heartbeatMs: fc.integer({ min: 20, max: 1_000 }) },
          { requiredKeys: [] },
        ),
        rollout: fc.constantFrom({}, { policy: 'Manual' }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(spec, (given) => {
        const once = validateLogCluster(given);
        expect(once.faults).toEqual([]);
        expect(validateLogCluster(once.spec, once.spec)).toEqual(once);
        expect(once.spec).toMatchObject(given);
      }),
    );
  });

  it('takes what is no object for a fault', () => {
    expect(lines(validateLogCluster(null).faults)).toEqual([
      'spec: spec is null, must be an object',
    ]);
  });
});

describe('logClusterNameFaults()', () => {
  it.each([
    { name: 'logs', faults: [] },
    { name: 'a'.repeat(45), faults: [] },
    {
      name: 'a'.repeat(46),
      faults: ['metadata.name: metadata.name has 46 characters, must have at most 45'],
    },
    ...['3logs', 'my.logs', 'logs-brokers'].map((name) => ({
      name,
      faults: [
        `metadata.name: metadata.name is ${name}, must begin with a letter, have no dot and not end in -brokers: Services take their names from it`,
      ],
    })),
  ])('of $name', ({ name, faults }) => {
    expect(lines(logClusterNameFaults(name))).toEqual(faults);
  });
});

describe('validateLogTopic()', () => {
  it.each(BAD_LOG_TOPICS)('refuses $title', ({ spec, before, faults }) => {
    const previous = before === undefined ? undefined : validateLogTopic(before).spec;
    expect(lines(validateLogTopic(spec, previous).faults)).toEqual(faults);
  });

  it("leaves to the LogCluster what is the LogCluster's", () => {
    expect(validateLogTopic({ clusterName: 'logs' })).toEqual({
      faults: [],
      spec: {
        clusterName: 'logs',
        acceptWriteStops: false,
        config: {},
        deletionPolicy: 'Retain',
      },
    });
  });
});

describe('validateLogAccess()', () => {
  it.each(BAD_LOG_ACCESSES)('refuses $title', ({ kind, spec, before, faults }) => {
    const check = kind === 'LogCluster' ? validateLogCluster : validateLogAccess;
    const previous = before === undefined ? undefined : check(before).spec;
    expect(lines(check(spec, previous as never).faults)).toEqual(faults);
  });

  it('takes a rule for several accounts', () => {
    const rule = { resource: 'producer', name: 'billing-*', operations: ['append'] };
    const spec = { clusterName: 'logs', serviceAccounts: ['api', 'job-*'], rules: [rule] };
    expect(validateLogAccess(spec)).toEqual({ faults: [], spec });
  });
});
