import { describe, expect, test } from 'vitest';
import type { TlsPhase } from '../../../../operator/api/types.ts';
import { validateLogCluster } from '../../../../operator/api/validate.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import { plannedPhase } from '../../../../operator/decide/to-tls.ts';
import type { Action, Observation } from '../../../../operator/decide/types.ts';
import type { TlsView } from '../../../../operator/decide/tls-views.ts';
import {
  CLUSTER_ID,
  NOW_MS,
  observation,
  OLD_HASH,
  pod,
} from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const DAY_MS = 86_400_000;
const PHASES: readonly TlsPhase[] = ['Plaintext', 'Allow', 'Prefer', 'Require'];
const ENABLED = { internalTls: { mode: 'Enabled' } };
const DISABLED = { internalTls: { mode: 'Disabled' } };
const ISSUED = { clientTls: { mode: 'Enabled' } };

const LIFE = { notBeforeMs: NOW_MS - DAY_MS, notAfterMs: NOW_MS + 89 * DAY_MS };
const TLS: TlsView = {
  fault: null,
  authority: {
    resourceVersion: '20',
    current: { id: 'ca', notBeforeMs: NOW_MS - DAY_MS, notAfterMs: NOW_MS + 1_800 * DAY_MS },
    next: null,
    previous: [],
  },
  certificates: {
    resourceVersion: '30',
    trusted: ['ca'],
    changedAtMs: NOW_MS - DAY_MS,
    leaves: [0, 1, 2, null].map((brokerId) => ({ brokerId, signer: 'ca', ...LIFE })),
  },
  trust: null,
  issued: null,
};

interface Seen {
  readonly spec?: Record<string, unknown>;
  /** Of the status. */
  readonly phase?: TlsPhase;
  readonly planned?: TlsPhase;
  readonly change?: (seen: Observation) => Partial<Observation>;
  readonly isRolling?: boolean;
}

/** A cluster of three in this phase, as its brokers say too. */
function at(given: TlsPhase, seen: Seen = {}): Observation {
  const { spec = ENABLED, phase, planned = given, change, isRolling = false } = seen;
  const mode = given === 'Require' ? 'Enabled' : 'Disabled';
  const disruption = {
    kind: 'Roll',
    brokerIds: [1],
    podUids: ['pod-1'],
    brokerEpochs: [11],
    templateHash: OLD_HASH,
    startedAt: '2026-11-23T11:59:00Z',
    phase: 'stop',
  } as const;
  return observation({
    spec,
    status: {
      clusterId: CLUSTER_ID,
      minInSyncReplicas: 2,
      internalTls: { mode, ...(phase === undefined ? {} : { phase }), authority: 'ca' },
      ...(isRolling ? { disruption } : {}),
    },
    change: (healthy) => {
      const { pods, answers } = healthy;
      const base = {
        tls: TLS,
        tlsPhases: { given, planned },
        pods: pods.map((each) => ({ ...each, tlsPhase: given })),
        answers: answers.map((each) => ({ ...each, tlsPhase: given })),
      };
      return { ...base, ...change?.({ ...healthy, ...base }) };
    },
  });
}

const phaseAfter = (seen: Observation): TlsPhase => decide(seen, NOW_MS).outcome.tlsPhase;

function refusalOf(seen: Observation): string {
  const [refusal] = decide(seen, NOW_MS).outcome.refusals;
  return refusal === undefined ? '' : `${refusal.gate}: ${refusal.message}`;
}

const statusOf = (seen: Observation) => decide(seen, NOW_MS).status?.internalTls;

describe('from plaintext to TLS', () => {
  test.each([
    ['Plaintext', 'Allow'],
    ['Allow', 'Prefer'],
    ['Prefer', 'Require'],
  ] as const)('a cluster all of whose brokers are in %s is to have %s next', (given, next) => {
    const plan = decide(at(given), NOW_MS);
    expect(plan.outcome.tlsPhase).toBe(next);
    expect(plan.status?.internalTls).toEqual({ mode: 'Disabled', phase: next, authority: 'ca' });
    // It is written down first, and nothing else is done.
    const kinds = actionsOf(plan).map(({ kind }) => kind);
    expect(kinds).not.toContain('apply-workload');
    expect(kinds).not.toContain('delete-pod');
    const [ready, , progressing] = plan.status?.conditions ?? [];
    expect(ready?.status).toBe('False');
    expect(progressing?.message).toContain(`phase ${next} after ${given}`);
  });

  test('the template follows once that is written down, and brokers roll', () => {
    const begun = at('Plaintext', {
      phase: 'Allow',
      planned: 'Allow',
      change: ({ workload, pods }) => ({
        workload: { ...workload!, templateHash: OLD_HASH },
        pods: pods.map((each) => ({ ...each, templateHash: OLD_HASH })),
      }),
    });
    const actions = actionsOf(decide(begun, NOW_MS));
    const applied = actions.find(({ kind }) => kind === 'apply-workload');
    expect(applied).toMatchObject({ hasNewTemplate: true });
    expect(phaseAfter(begun)).toBe('Allow');
  });

  test('ends in a status that speaks of no way any more', () => {
    expect(statusOf(at('Require', { phase: 'Require' }))).toEqual({
      mode: 'Enabled',
      authority: 'ca',
    });
    const last = at('Require', {
      phase: 'Require',
      change: () => ({ pods: [0, 1, 2].map((id) => pod(id, { tlsPhase: 'Prefer' })) }),
    });
    expect(decide(last, NOW_MS).outcome.tlsPhase).toBe('Require');
  });

  test.each<[string, TlsPhase, Seen['change'], string]>([
    [
      'a broker is out of service',
      'Allow',
      ({ answers }) => ({
        answers: answers.map((each) =>
          each.brokerId === 1 ? { ...each, fault: 'no connection', tlsPhase: null } : each,
        ),
      }),
      'InternalTlsPrefer: waiting for broker 1 to be in service',
    ],
    [
      'a broker says another phase than its pod',
      'Prefer',
      ({ answers }) => ({
        answers: answers.map((each) =>
          each.brokerId === 2 ? { ...each, tlsPhase: 'Allow' as const } : each,
        ),
      }),
      'InternalTlsRequire: waiting for broker 2 to be in phase Prefer: it says Allow',
    ],
    [
      'a build knows no phases',
      'Plaintext',
      ({ answers }) => ({ answers: answers.map((each) => ({ ...each, tlsPhase: null })) }),
      'InternalTlsAllow: broker 0 runs version 0.1.0, which does not know internal-tls-mode',
    ],
    [
      'a replica is behind',
      'Allow',
      ({ metadata }) => ({
        metadata: {
          ...metadata!,
          topics: metadata!.topics.map((topic) => ({
            ...topic,
            partitions: topic.partitions.map((each) => ({ ...each, syncSet: [0, 1] })),
          })),
        },
      }),
      'InternalTlsPrefer: waiting for broker 2 to rejoin 1 sync set',
    ],
    [
      'a voter hears another controller',
      'Prefer',
      ({ answers }) => ({
        answers: answers.map((each) => (each.brokerId === 1 ? { ...each, controller: 2 } : each)),
      }),
      'InternalTlsRequire: waiting for broker 1 to hear broker 0',
    ],
  ])('waits while %s', (_, given, change, message) => {
    const seen = at(given, change === undefined ? {} : { change });
    expect(phaseAfter(seen)).toBe(given);
    expect(
      decide(seen, NOW_MS).outcome.refusals.map(({ gate, message: why }) => `${gate}: ${why}`),
    ).toContainEqual(expect.stringContaining(message));
  });

  test('waits until it is not paused', () => {
    const seen = at('Allow', { spec: { ...ENABLED, paused: 'Disruptions' } });
    expect(phaseAfter(seen)).toBe('Allow');
    expect(refusalOf(seen)).toContain('InternalTlsPrefer: spec.paused is Disruptions');
    const all = at('Plaintext', {
      spec: { ...ENABLED, paused: 'All' },
      change: () => ({ tls: { ...TLS, authority: null, certificates: null } }),
    });
    expect(phaseAfter(all)).toBe('Plaintext');
    expect(actionsOf(decide(all, NOW_MS)).map(({ kind }) => kind)).not.toContain('apply-authority');
  });

  test('waits for certificates of all brokers and of the operator, which it has issued', () => {
    const none = at('Plaintext', {
      change: () => ({ tls: { ...TLS, authority: null, certificates: null } }),
    });
    const make: Partial<Action> = { kind: 'apply-authority', change: 'make' };
    expect(actionsOf(decide(none, NOW_MS))).toContainEqual(expect.objectContaining(make));
    expect(refusalOf(none)).toContain('InternalTlsAllow: waiting for a certificate of broker 0');
    const leaves = TLS.certificates!.leaves.filter(({ brokerId }) => brokerId !== null);
    const few = at('Plaintext', {
      change: () => ({ tls: { ...TLS, certificates: { ...TLS.certificates!, leaves } } }),
    });
    expect(refusalOf(few)).toContain('waiting for a certificate of the operator');
    expect(phaseAfter(few)).toBe('Plaintext');
  });

  test('makes an authority anew that is lost while nobody has a certificate of it', () => {
    const lost = at('Plaintext', { change: () => ({ tls: { ...TLS, authority: null } }) });
    const make: Partial<Action> = { kind: 'apply-authority', change: 'make' };
    expect(actionsOf(decide(lost, NOW_MS))).toContainEqual(expect.objectContaining(make));
    const inUse = at('Allow', { change: () => ({ tls: { ...TLS, authority: null } }) });
    expect(refusalOf(inUse)).toContain('CertificateAuthorityLost');
    const inOne = at('Plaintext', {
      change: ({ pods }) => ({
        tls: { ...TLS, authority: null },
        pods: pods.map((each) => (each.brokerId === 2 ? { ...each, tlsPhase: 'Allow' } : each)),
      }),
    });
    expect(refusalOf(inOne)).toContain('CertificateAuthorityLost');
  });

  test.each<[string, Partial<Seen>, string]>([
    ['a broker is being restarted', { isRolling: true }, 'waiting for the end of Roll of 1'],
    [
      'a pod is of another template',
      { change: ({ pods }) => ({ pods: pods.with(1, pod(1, { templateHash: OLD_HASH })) }) },
      'waiting for pod tm-1 to be of the present template',
    ],
    [
      'a pod is of the phase before',
      { change: ({ pods }) => ({ pods: pods.with(1, pod(1, { tlsPhase: 'Plaintext' })) }) },
      'waiting for pod tm-1',
    ],
    [
      'the StatefulSet is not seen',
      { change: ({ workload }) => ({ workload: { ...workload!, isObserved: false } }) },
      'waiting for the StatefulSet',
    ],
  ])('goes no step while %s', (_, seen) => {
    expect(phaseAfter(at('Allow', seen))).toBe('Allow');
  });
});

describe('back to plaintext', () => {
  test.each([
    ['Prefer', 'Allow'],
    ['Allow', 'Plaintext'],
  ] as const)('%s gives way to %s, whether that is said or nothing', (given, next) => {
    for (const spec of [DISABLED, {}]) expect(phaseAfter(at(given, { spec }))).toBe(next);
  });

  test('needs no broker in service, but none that would not be understood', () => {
    const change: Seen['change'] = ({ pods, answers }) => ({
      pods: pods.with(1, pod(1, { tlsPhase: 'Plaintext', templateHash: OLD_HASH })),
      answers: answers.map((each) => ({ ...each, fault: 'no connection' })),
      metadata: null,
    });
    expect(phaseAfter(at('Allow', { spec: DISABLED, change }))).toBe('Plaintext');
    const far = at('Allow', {
      spec: DISABLED,
      change: ({ pods }) => ({ pods: pods.with(1, pod(1, { tlsPhase: 'Prefer' })) }),
    });
    expect(phaseAfter(far)).toBe('Allow');
    expect(refusalOf(far)).toBe('');
    expect(decide(far, NOW_MS).outcome.doing).toContain('phase Plaintext after Allow');
  });

  test('keeps certificates that clients are shown', () => {
    const seen = at('Allow', { spec: ISSUED });
    expect(phaseAfter(seen)).toBe('Allow');
    expect(refusalOf(seen)).toContain('InternalTlsPlaintext: clientTls.secretName is missing');
    expect(phaseAfter(at('Prefer', { spec: ISSUED }))).toBe('Allow');
  });

  test('is refused once TLS alone is taken', () => {
    const seen = at('Require', { spec: DISABLED });
    expect(phaseAfter(seen)).toBe('Require');
    expect(refusalOf(seen)).toContain(
      'InternalTlsFixed: spec.internalTls.mode is Disabled, must be Enabled or absent',
    );
    expect(refusalOf(at('Require', { spec: {} }))).toBe('');
  });

  test('is where a cluster stays that was made there', () => {
    for (const spec of [DISABLED, {}]) {
      expect(phaseAfter(at('Plaintext', { spec }))).toBe('Plaintext');
      expect(refusalOf(at('Plaintext', { spec }))).toBe('');
    }
  });
});

describe('plannedPhase()', () => {
  const specOf = (spec: object) => validateLogCluster({ replicas: 3, ...spec }).spec;
  const status = (phase: TlsPhase) => ({ mode: 'Disabled', phase }) as const;

  const cases = PHASES.flatMap((given) =>
    PHASES.flatMap((said) => PHASES.map((one) => ({ given, said, one }))),
  );

  test.each([
    { asked: 'TLS', spec: ENABLED, way: 1 },
    { asked: 'plaintext', spec: DISABLED, way: -1 },
    { asked: 'nothing', spec: {}, way: -1 },
    { asked: 'certificates for clients', spec: ISSUED, way: -1 },
  ])('believes the status of the next step alone where $asked is asked', ({ spec, way }) => {
    const begun = cases.filter(
      ({ given, said, one }) =>
        plannedPhase(given, [given, one], specOf(spec), status(said)) !== given,
    );
    expect(begun.length).toBeGreaterThan(0);
    for (const { given, said, one } of begun) {
      const to = PHASES.indexOf(said);
      expect(plannedPhase(given, [given, one], specOf(spec), status(said))).toBe(said);
      expect(to - PHASES.indexOf(given)).toBe(way);
      // Every pod understands it.
      expect(Math.abs(to - PHASES.indexOf(one))).toBeLessThanOrEqual(1);
      expect(given).not.toBe('Require');
      if (spec === ISSUED) expect(said).not.toBe('Plaintext');
    }
  });

  test('is the given one where nothing is said, or the spec has changed its mind', () => {
    expect(plannedPhase('Allow', [], specOf(ENABLED), undefined)).toBe('Allow');
    expect(plannedPhase('Allow', [], specOf(ENABLED), status('Prefer'))).toBe('Prefer');
    expect(plannedPhase('Allow', [], specOf(DISABLED), status('Prefer'))).toBe('Allow');
    expect(plannedPhase('Allow', [], specOf(DISABLED), status('Plaintext'))).toBe('Plaintext');
  });
});
