import { describe, expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Action, Observation } from '../../../../operator/decide/types.ts';
import type {
  AuthorityView,
  CertificatesView,
  LeafView,
  SignerView,
  TlsView,
} from '../../../../operator/decide/tls-views.ts';
import {
  CLUSTER_ID,
  NOW_MS,
  observation as observationOf,
  OLD_HASH,
  pod,
  type Situation,
} from '../../../fixtures/operator/observations.ts';
import { actionsOf, eventsOf } from '../../../fixtures/operator/plans.ts';

const DAY_MS = 86_400_000;
const ASKED = { 'tidemark.dev/new-certificate-authority': 'old' };
const STATUS = { clusterId: CLUSTER_ID, minInSyncReplicas: 2 };

const signer = (id: string, change: Partial<SignerView> = {}): SignerView => ({
  id,
  notBeforeMs: NOW_MS - DAY_MS,
  notAfterMs: NOW_MS + 1_824 * DAY_MS,
  ...change,
});
const leaf = (brokerId: number | null, change: Partial<LeafView> = {}): LeafView => ({
  brokerId,
  signer: 'old',
  notBeforeMs: NOW_MS - DAY_MS,
  notAfterMs: NOW_MS + 89 * DAY_MS,
  ...change,
});
const authority = (change: Partial<AuthorityView> = {}): AuthorityView => ({
  resourceVersion: '20',
  current: signer('old'),
  next: null,
  previous: [],
  ...change,
});
const certificates = (change: Partial<CertificatesView> = {}): CertificatesView => ({
  resourceVersion: '30',
  trusted: ['old'],
  changedAtMs: NOW_MS - 30 * DAY_MS,
  leaves: [leaf(0), leaf(1), leaf(2), leaf(null)],
  ...change,
});

interface Seen extends Omit<Situation, 'change'> {
  readonly tls?: Partial<TlsView>;
  readonly change?: Partial<Observation>;
}

/** A cluster of three whose certificates are as they should be. */
function seen({ tls = {}, change = {}, ...situation }: Seen = {}): Observation {
  const view = {
    fault: null,
    authority: authority(),
    certificates: certificates(),
    trust: null,
    issued: null,
    ...tls,
  };
  const status = { ...STATUS, internalTls: { mode: 'Enabled', authority: 'old' } } as const;
  return observationOf({
    status,
    ...situation,
    change: ({ pods }) => ({
      tls: view,
      tlsPhases: { given: 'Require', planned: 'Require' },
      pods: pods.map((each) => ({ ...each, tlsPhase: 'Require' as const })),
      ...change,
    }),
  });
}

function changes(observation: Observation, nowMs = NOW_MS): Action[] {
  return actionsOf(decide(observation, nowMs)).filter(({ kind }) =>
    ['apply-authority', 'apply-certificates', 'apply-trust'].includes(kind),
  );
}

function refusalOf(observation: Observation): string {
  const [refusal] = decide(observation, NOW_MS).outcome.refusals;
  return refusal === undefined ? '' : `${refusal.gate}: ${refusal.message}`;
}

/** Before anything was made. */
const NEW: Seen = {
  status: {},
  tls: { authority: null, certificates: null },
  change: { workload: null, pods: [], answers: [], metadata: null, claims: [] },
};

const issues = (change: Partial<Extract<Action, { kind: 'apply-certificates' }>>): Action => ({
  kind: 'apply-certificates',
  clusterId: CLUSTER_ID,
  issue: [],
  keep: [0, 1, 2, null],
  atMs: NOW_MS,
  resourceVersion: '30',
  ...change,
});

describe('certificates of a new cluster', () => {
  test('begin with an authority, before there is a pod', () => {
    const plan = decide(seen(NEW), NOW_MS);
    expect(actionsOf(plan).filter(({ kind }) => kind !== 'write-status')).toEqual([
      { kind: 'apply-authority', change: 'make', atMs: NOW_MS, resourceVersion: null },
    ]);
    expect(plan.status?.internalTls).toBeUndefined();
  });

  test('are issued to every broker that is to come and to the operator, before the pods', () => {
    const made = seen({ ...NEW, tls: { authority: authority(), certificates: null } });
    const [first] = changes(made);
    expect(first).toEqual(issues({ issue: [0, 1, 2, null], keep: [], resourceVersion: null }));
    expect(actionsOf(decide(made, NOW_MS)).map(({ kind }) => kind)).not.toContain('apply-workload');
    const issued = seen({ ...NEW, tls: {} });
    expect(changes(issued)).toEqual([]);
    expect(actionsOf(decide(issued, NOW_MS)).map(({ kind }) => kind)).toContain('apply-workload');
  });

  test('are made anew from an authority whose Secret was made and not filled', () => {
    const empty = authority({ current: null });
    expect(changes(seen({ ...NEW, tls: { authority: empty, certificates: null } }))).toEqual([
      { kind: 'apply-authority', change: 'make', atMs: NOW_MS, resourceVersion: '20' },
    ]);
  });

  test('are not begun where the spec is at fault or paused', () => {
    const faulty = { ...NEW.change, faults: ['x'] };
    expect(changes(seen({ ...NEW, change: faulty }))).toEqual([]);
    expect(changes(seen({ ...NEW, spec: { paused: 'All' } }))).toEqual([]);
  });

  test('are none where brokers speak plaintext', () => {
    expect(changes(observationOf())).toEqual([]);
    expect(decide(observationOf(), NOW_MS).status?.internalTls).toEqual({ mode: 'Disabled' });
  });
});

describe('certificates of a cluster that runs', () => {
  test('stay as they are while they are good, and the status names their authority', () => {
    expect(changes(seen())).toEqual([]);
    const status = decide(seen({ status: STATUS }), NOW_MS).status?.internalTls;
    expect(status).toEqual({ mode: 'Enabled', authority: 'old' });
  });

  test.each<[string, Partial<LeafView>]>([
    [
      'when two thirds are over',
      { notBeforeMs: NOW_MS - 60 * DAY_MS, notAfterMs: NOW_MS + 30 * DAY_MS },
    ],
    ['when they are over', { notBeforeMs: NOW_MS - 90 * DAY_MS, notAfterMs: NOW_MS - 1 }],
    ['where another authority signed', { signer: 'other' }],
    ['where nobody knows who signed', { signer: null }],
  ])('are renewed %s, and only those', (_, change) => {
    const leaves = [leaf(0), leaf(1, change), leaf(2), leaf(null)];
    expect(changes(seen({ tls: { certificates: certificates({ leaves }) } }))).toEqual([
      issues({ issue: [1], keep: [0, 2, null] }),
    ]);
  });

  test('stay as they are for a clock that is behind', () => {
    const life = { notBeforeMs: NOW_MS + 1 };
    const tls = {
      authority: authority({ current: signer('old', life) }),
      certificates: certificates({
        changedAtMs: NOW_MS + 1,
        leaves: [leaf(0, life), leaf(1, life), leaf(2, life), leaf(null, life)],
      }),
    };
    expect(changes(seen({ tls }))).toEqual([]);
  });

  test('count since the LogCluster was made: that is no part of their time', () => {
    const notBeforeMs = NOW_MS - 3_000 * DAY_MS;
    const current = signer('old', { notBeforeMs, notAfterMs: NOW_MS + 609 * DAY_MS });
    const leaves = [0, 1, 2, null].map((id) =>
      leaf(id, { notBeforeMs, notAfterMs: NOW_MS + 31 * DAY_MS }),
    );
    const tls = { authority: authority({ current }), certificates: certificates({ leaves }) };
    expect(changes(seen({ tls }))).toEqual([]);
    expect(changes(seen({ tls }), NOW_MS + DAY_MS).map(({ kind }) => kind)).toEqual([
      'apply-certificates',
    ]);
  });

  test('stay until two thirds are over', () => {
    const change = { notBeforeMs: NOW_MS - 60 * DAY_MS + 1, notAfterMs: NOW_MS + 30 * DAY_MS + 1 };
    const leaves = [leaf(0), leaf(1, change), leaf(2), leaf(null)];
    expect(changes(seen({ tls: { certificates: certificates({ leaves }) } }))).toEqual([]);
  });

  test.each([
    ['a spec at fault', {}, { faults: ['x'] }],
    ['a pause', { spec: { paused: 'All' } }, {}],
  ])('are renewed under %s as well: nobody could connect without', (_, situation, change) => {
    const leaves = [leaf(0), leaf(1), leaf(2)];
    const tls = { certificates: certificates({ leaves }) };
    expect(changes(seen({ ...situation, tls, change }))).toEqual([
      issues({ issue: [null], keep: [0, 1, 2] }),
    ]);
  });

  test('are all issued anew where their Secret is gone', () => {
    expect(changes(seen({ tls: { certificates: null } }))).toEqual([
      issues({ issue: [0, 1, 2, null], keep: [], resourceVersion: null }),
    ]);
  });

  test('come before the brokers of a scale-up', () => {
    const grown = seen({ spec: { replicas: 5 } });
    expect(changes(grown)).toEqual([issues({ issue: [3, 4] })]);
    expect(actionsOf(decide(grown, NOW_MS)).map(({ kind }) => kind)).not.toContain(
      'apply-workload',
    );
    const leaves = [0, 1, 2, 3, 4, null].map((id) => leaf(id));
    const issued = seen({
      spec: { replicas: 5 },
      tls: { certificates: certificates({ leaves }) },
    });
    expect(actionsOf(decide(issued, NOW_MS))).toContainEqual(
      expect.objectContaining({ kind: 'apply-workload', replicas: 5 }),
    );
  });

  test('go with a broker that is gone, and not while its pod stands', () => {
    const leaves = [0, 1, 2, 3, null].map((id) => leaf(id));
    const tls = { certificates: certificates({ leaves }) };
    const pods = [0, 1, 2, 3].map((id) => pod(id));
    expect(changes(seen({ tls, change: { pods } }))).toEqual([]);
    expect(changes(seen({ tls }))).toEqual([issues({})]);
  });

  test('leave Secrets of others alone, and say so', () => {
    const foreign = [{ kind: 'Secret', name: 'tm-brokers-ca', isLeaving: false }];
    const taken = seen({ ...NEW, change: { ...NEW.change, foreign } });
    expect(actionsOf(decide(taken, NOW_MS)).map(({ kind }) => kind)).toEqual(['write-status']);
    expect(refusalOf(taken)).toMatch(/^NameTaken: Secret tm-brokers-ca /);
  });

  test('are told where they cannot be read, and nothing is made', () => {
    const unread = seen({
      tls: { fault: 'secrets is forbidden', authority: null, certificates: null },
    });
    expect(changes(unread)).toEqual([]);
    expect(refusalOf(unread)).toBe(
      'CertificatesUnreadable: the Secrets of certificates cannot be read: secrets is forbidden',
    );
  });

  test('are said to be why the operator knows nothing, where that is so', () => {
    const tls = { fault: 'secrets is forbidden', authority: null, certificates: null };
    const { status } = decide(seen({ tls, change: { metadata: null, answers: [] } }), NOW_MS);
    for (const type of ['Ready', 'Available'])
      expect(status?.conditions).toContainEqual(
        expect.objectContaining({
          type,
          reason: 'CertificatesUnreadable',
          message: expect.stringContaining('secrets is forbidden') as string,
        }),
      );
  });

  test('hold up a restart whose broker would not find one', () => {
    const gates = (leaves: readonly LeafView[]): string[] =>
      decide(
        seen({
          tls: { authority: null, certificates: certificates({ leaves }) },
          change: { pods: [pod(0), pod(1, { templateHash: OLD_HASH }), pod(2)] },
        }),
        NOW_MS,
      ).outcome.refusals.map(({ gate }) => gate);
    expect(gates([leaf(0), leaf(2), leaf(null)])).toContain('CertificateMissing');
    const ended = leaf(1, { notAfterMs: NOW_MS });
    expect(gates([leaf(0), ended, leaf(2), leaf(null)])).toContain('CertificateMissing');
    expect(gates([leaf(0), leaf(1), leaf(2), leaf(null)])).toEqual(['CertificateAuthorityLost']);
  });
});

describe('an authority that is lost', () => {
  const lost: [string, Partial<TlsView>][] = [
    ['whose Secret is gone', { authority: null }],
    ['whose key is not its own', { authority: authority({ current: null }) }],
    [
      'in whose place somebody has put another',
      { authority: authority({ current: signer('other') }) },
    ],
  ];
  test.each(lost)('%s is told, and no other is made', (_, tls) => {
    expect(changes(seen({ tls }))).toEqual([]);
    const refusal = refusalOf(seen({ tls }));
    expect(refusal).toMatch(/^CertificateAuthorityLost: Secret default\/tm-brokers-ca /);
    expect(refusal).toContain('annotation tidemark.dev/new-certificate-authority: old');
    expect(refusal).toContain('end 2027-02-20T12:00:00Z');
    const { status } = decide(seen({ tls, status: STATUS }), NOW_MS);
    expect(status?.conditions?.[0]).toMatchObject({
      status: 'False',
      reason: 'CertificateAuthorityLost',
    });
  });

  test.each(lost)('%s stays in the status', (_, tls) => {
    const status = decide(seen({ tls }), NOW_MS).status?.internalTls;
    expect(status).toEqual({ mode: 'Enabled', authority: 'old' });
  });

  test.each([
    ['its status', { change: { workload: null, pods: [] } }],
    ['certificates', { status: STATUS, tls: { authority: null } }],
    ['a StatefulSet', { status: STATUS, change: { pods: [] } }],
    ['a pod', { status: STATUS, change: { workload: null } }],
  ])('is known by %s alone', (_, given: Seen) => {
    const tls = { authority: null, certificates: null, ...given.tls };
    expect(changes(seen({ ...given, tls }))).toEqual([]);
    expect(refusalOf(seen({ ...given, tls }))).toMatch(/^CertificateAuthorityLost/);
  });

  test.each(lost)(
    '%s gives way to another where a person asks, which all trust first',
    (_, tls) => {
      expect(changes(seen({ tls, annotations: ASKED }))).toEqual([
        {
          kind: 'apply-authority',
          change: 'replace',
          atMs: NOW_MS,
          resourceVersion: tls.authority == null ? null : '20',
        },
      ]);
      const replaced = authority({ current: null, next: signer('new'), previous: ['old'] });
      const next = { authority: replaced };
      expect(changes(seen({ tls: next, annotations: ASKED }))).toEqual([issues({})]);
    },
  );

  test('gives way at once where no certificate is left to part anybody from', () => {
    const both = { authority: null, certificates: null };
    expect(changes(seen({ tls: both, annotations: ASKED }))).toEqual([
      { kind: 'apply-authority', change: 'make', atMs: NOW_MS, resourceVersion: null },
    ]);
    const made = { authority: authority({ current: signer('new') }), certificates: null };
    expect(changes(seen({ tls: made, annotations: ASKED }))).toEqual([
      issues({ issue: [0, 1, 2, null], keep: [], resourceVersion: null }),
    ]);
  });

  test('gives way to none where the annotation names another', () => {
    const annotations = { 'tidemark.dev/new-certificate-authority': 'older' };
    expect(changes(seen({ tls: { authority: null }, annotations }))).toEqual([]);
  });
});

describe('from one authority to the next', () => {
  const aged = signer('old', {
    notBeforeMs: NOW_MS - 1_220 * DAY_MS,
    notAfterMs: NOW_MS + 605 * DAY_MS,
  });
  const change = (observation: Observation): string =>
    changes(observation)
      .map((action) => (action.kind === 'apply-authority' ? action.change : 'certificates'))
      .join();

  test('another is made beside one that is old, or that a person names', () => {
    expect(change(seen({ tls: { authority: authority({ current: aged }) } }))).toBe('succeed');
    expect(change(seen({ annotations: ASKED }))).toBe('succeed');
    expect(change(seen())).toBe('');
  });

  const waiting = (current: SignerView, changedAtMs: number | null): Partial<TlsView> => ({
    authority: authority({ current, next: signer('new') }),
    certificates: certificates({ trusted: ['new', 'old'], changedAtMs }),
  });

  test('all are told to trust it, and keep their certificates', () => {
    const tls = { authority: authority({ current: aged, next: signer('new') }) };
    expect(changes(seen({ tls }))).toEqual([issues({})]);
  });

  test.each([
    ['a week', 7 * DAY_MS, {}],
    ['ten minutes where a person asks', 600_000, ASKED],
  ])('it signs after %s, once every broker is there', (_, waitMs, annotations) => {
    const early = seen({ tls: waiting(aged, NOW_MS - waitMs + 1), annotations });
    expect(change(early)).toBe('');
    const tls = waiting(aged, NOW_MS - waitMs);
    const due = seen({ tls, annotations });
    expect(change(due)).toBe('promote');
    expect(eventsOf(decide(due, NOW_MS))).toContainEqual({
      reason: 'CertificateAuthorityChanged',
      note: 'Certificate authority new signs from now on',
    });
    for (const away of [{ isReady: false }, { isTerminating: true }])
      expect(
        change(seen({ tls, annotations, change: { pods: [pod(0), pod(1, away), pod(2)] } })),
      ).toBe('');
  });

  test.each([
    ['not known', null],
    ['that of a clock that was ahead', NOW_MS + 1],
  ])('all have the time to read it anew where since when is %s', (_, changedAtMs) => {
    expect(changes(seen({ tls: waiting(aged, changedAtMs), annotations: ASKED }))).toEqual([
      issues({}),
    ]);
  });

  test('one that is over is left soon', () => {
    const over = signer('old', { notAfterMs: NOW_MS });
    expect(change(seen({ tls: waiting(over, NOW_MS - 600_000) }))).toBe('promote');
  });

  const promoted = (changedAtMs: number, leaves: readonly LeafView[]): Partial<TlsView> => ({
    authority: authority({ current: signer('new'), previous: ['old'] }),
    certificates: certificates({ trusted: ['old', 'new'], changedAtMs, leaves }),
  });
  const anew = [0, 1, 2, null].map((id) => leaf(id, { signer: 'new' }));

  test('all get certificates of it, and trust the one before until these are everywhere', () => {
    const old = promoted(NOW_MS - 8 * DAY_MS, certificates().leaves);
    expect(changes(seen({ tls: old }))).toEqual([issues({ issue: [0, 1, 2, null], keep: [] })]);
    expect(change(seen({ tls: promoted(NOW_MS - 7 * DAY_MS + 1, anew) }))).toBe('');
    expect(change(seen({ tls: promoted(NOW_MS - 7 * DAY_MS, anew) }))).toBe('retire');
    expect(change(seen({ tls: promoted(NOW_MS - 600_000, anew), annotations: ASKED }))).toBe(
      'retire',
    );
  });

  test('one that is trusted no more is taken out', () => {
    const tls = {
      authority: authority({ current: signer('new') }),
      certificates: certificates({ trusted: ['new', 'old'], leaves: anew }),
    };
    expect(changes(seen({ tls }))).toEqual([issues({})]);
  });

  test('one that signed and that a restored Secret does not know is trusted as before', () => {
    const tls = {
      authority: authority(),
      certificates: certificates({ trusted: ['new', 'old'], leaves: anew }),
    };
    expect(changes(seen({ tls }))).toEqual([
      { kind: 'apply-authority', change: 'keep', atMs: NOW_MS, resourceVersion: '20' },
    ]);
    const kept = { ...tls, authority: authority({ previous: ['new'] }) };
    expect(changes(seen({ tls: kept }))).toEqual([issues({ issue: [0, 1, 2, null], keep: [] })]);
    // Nobody shows one of it: nothing is lost with it.
    const unused = { ...tls, certificates: certificates({ trusted: ['new', 'old'] }) };
    expect(changes(seen({ tls: unused }))).toEqual([issues({})]);
  });

  test('an annotation that has done its work asks for nothing', () => {
    const tls = {
      authority: authority({ current: signer('new') }),
      certificates: certificates({ trusted: ['new'], leaves: anew }),
    };
    expect(changes(seen({ tls, annotations: ASKED }))).toEqual([]);
  });
});

describe('whom clients trust', () => {
  const spec = { clientTls: { mode: 'Enabled' } };
  const trust = { resourceVersion: '40', trusted: ['old'] };
  test('is told where the operator issues what they are shown, and changes with it', () => {
    const told = (resourceVersion: string | null): Action => ({
      kind: 'apply-trust',
      resourceVersion,
    });
    expect(changes(seen({ spec }))).toEqual([told(null)]);
    expect(changes(seen({ spec, tls: { trust } }))).toEqual([]);
    const next = authority({ next: signer('new') });
    const both = certificates({ trusted: ['old', 'new'] });
    const tls = { trust, authority: next, certificates: both };
    expect(changes(seen({ spec, tls }))).toEqual([told('40')]);
  });

  test('is not told where somebody else has the name, and renewals go on', () => {
    const foreign = [{ kind: 'Secret', name: 'tm-brokers-ca-cert', isLeaving: false }];
    const old = certificates({ leaves: [leaf(0), leaf(1), leaf(2)] });
    const taken = seen({ spec, tls: { certificates: old }, change: { foreign } });
    expect(changes(taken)).toEqual([issues({ issue: [null], keep: [0, 1, 2] })]);
    expect(changes(seen({ spec, change: { foreign } }))).toEqual([]);
    expect(refusalOf(seen({ spec, change: { foreign } }))).toContain('NameTaken: Secret');
  });

  test('is nothing of the operator where a Secret is named, or clients speak plaintext', () => {
    expect(changes(seen())).toEqual([]);
    const named = { clientTls: { mode: 'Enabled', secretName: 'shown' } };
    expect(changes(seen({ spec: named }))).toEqual([]);
  });
});
