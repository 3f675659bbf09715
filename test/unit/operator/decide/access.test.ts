import { describe, expect, it } from 'vitest';
import { Random } from '../../../../base/random.ts';
import type { LogAccessStatus } from '../../../../operator/api/types.ts';
import {
  type AccessObservation,
  CHANGES_PER_PASS_MAX,
  LOG_ACCESSES_PER_NAMESPACE_MAX,
  planAccess,
  STATUSES_PER_PASS_MAX,
} from '../../../../operator/decide/access.ts';
import type { LogAccessView } from '../../../../operator/decide/types.ts';
import { logAccess, RuleBook } from '../../../fixtures/operator/access.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

const NOW_MS = Date.UTC(2026, 10, 23, 12);
const CONSENT = {
  namespaces: ['shop'],
  topics: ['shop-*', 'orders'],
  operations: ['append', 'read'],
};
const API = 'system:serviceaccount:shop:api';
const ASKS = {
  clientTls: { mode: 'Enabled' },
  auth: { methods: ['oidc'], oidc: { issuer: 'https://i' } },
};

function paused(access: readonly object[]): AccessObservation['cluster'] {
  const metadata = { name: 'logs', namespace: 'infra' };
  return logCluster({ ...ASKS, access, paused: 'All' }, metadata);
}

/** A LogCluster, its brokers and its LogAccess resources, whose statuses are kept. */
class World {
  readonly book: RuleBook;
  resources: LogAccessView[] = [];
  cluster: AccessObservation['cluster'];
  isReached = true;
  faults: string[] = [];
  refused = new Map<string, string>();
  readonly events: string[] = [];

  constructor(consents: readonly object[] = [CONSENT], spec: object = ASKS, featureLevel = 10) {
    this.book = new RuleBook(featureLevel);
    this.cluster = logCluster({ ...spec, access: consents }, { name: 'logs', namespace: 'infra' });
  }

  consent(...consents: object[]): void {
    this.cluster = logCluster({ ...ASKS, access: consents }, { name: 'logs', namespace: 'infra' });
  }

  get observation(): AccessObservation {
    const { featureLevel } = this.book.image;
    return {
      cluster: this.cluster,
      clusterName: 'infra/logs',
      faults: this.faults,
      known: this.isReached ? { featureLevel, rules: this.book.rules } : null,
      resources: this.resources,
    };
  }

  /** One pass; returns what it changed. */
  pass(): string[] {
    const { changes } = planAccess(this.observation, NOW_MS);
    for (const change of changes) this.book.carryOut(change);
    const { statuses } = planAccess(this.observation, NOW_MS, this.refused);
    this.resources = this.resources.map((view) => {
      const report = statuses.find(({ resource }) => resource === view.resource);
      if (report === undefined) return view;
      this.events.push(...report.events.map(({ reason, note }) => `${reason}: ${note}`));
      return { ...view, resource: { ...view.resource, status: report.status } };
    });
    return changes.map(
      ({ kind, rule }) =>
        `${kind} ${rule.principal} ${rule.operations.join()} ${rule.kind}:${rule.name}`,
    );
  }

  settle(): void {
    for (let pass = 0; pass < 20; pass += 1) if (this.pass().length === 0) return;
    throw new Error('it does not come to an end');
  }

  ready(name: string, type = 'Ready'): string {
    const status: LogAccessStatus =
      this.resources.find(({ resource }) => resource.metadata.name === name)?.resource.status ?? {};
    const found = status.conditions?.find((each) => each.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  }
}

describe('planAccess()', () => {
  it('grants what is wanted and consented to, tells once, and then does nothing', () => {
    const world = new World();
    world.resources = [logAccess('a', ['append,read topic:orders'])];
    expect(world.pass()).toEqual([`grant-access ${API} append,read topic:orders`]);
    expect(world.book.lines).toEqual([`${API} [append],[read] topic:orders`]);
    expect(world.ready('a')).toBe('True Granted: 1 rule granted');
    expect(world.ready('a', 'Enforced')).toBe(
      'True ClientsAreAsked: what no rule allows is denied',
    );
    expect(world.resources[0]?.resource.status?.rules).toBe(1);
    expect(world.pass()).toEqual([]);
    expect(planAccess(world.observation, NOW_MS).statuses).toEqual([]);
    expect(world.events).toEqual(['AccessGranted: 1 rule granted']);
  });

  it('tells a namespace without consent nothing of a LogCluster, not even whether it is there', () => {
    const world = new World([{ ...CONSENT, namespaces: ['shop-2', 'sho'] }]);
    world.resources = [logAccess('a', ['read topic:orders'])];
    expect(world.pass()).toEqual([]);
    const said = world.ready('a');
    expect(said).toBe(
      'False NotConsented: LogCluster infra/logs is not there, or its spec.access does not name namespace shop',
    );
    expect(world.ready('a', 'Enforced')).toBe('Unknown NothingGranted: nothing is granted');
    for (const spec of [{ ...ASKS, paused: 'All' }, {}, undefined]) {
      const other = new World([], spec ?? {});
      if (spec === undefined) other.cluster = null;
      other.isReached = false;
      other.resources = [logAccess('a', ['read topic:orders'])];
      other.pass();
      expect(other.resources[0]?.resource.status).toEqual(world.resources[0]?.resource.status);
    }
  });

  it('grants each right that is consented to, and names the others', () => {
    const world = new World();
    world.resources = [logAccess('a', ['read,delete topic:orders', 'read topic:secret'])];
    world.settle();
    expect(world.book.lines).toEqual([`${API} [read] topic:orders`]);
    expect(world.ready('a')).toBe(
      `False NotConsented: LogCluster infra/logs does not consent to delete of topic:orders for ${API}, read of topic:secret for ${API}`,
    );
    expect(world.events).toHaveLength(1);
  });

  it.each([
    {
      pattern: 'shop-*',
      names: ['shop-*', 'shop-a', 'shop-a*'],
      not: ['shop', 'sho*', '*', 'shop*', 'Shop-a'],
    },
    { pattern: 'shop', names: ['shop'], not: ['shop*', 'shop-a', 'sho', '*'] },
    { pattern: '*', names: ['*', 'x', 'x*'], not: [] },
  ])('lets $pattern stand for no more than it says', ({ pattern, names, not }) => {
    for (const name of [...names, ...not]) {
      const world = new World([{ ...CONSENT, topics: [pattern] }]);
      world.resources = [logAccess('a', [`read topic:${name}`])];
      world.settle();
      expect(`${name} ${world.book.lines.length}`).toBe(`${name} ${names.includes(name) ? 1 : 0}`);
    }
  });

  it('lets one consent not lend its topics to the operations or principals of another', () => {
    const world = new World([
      { namespaces: ['shop'], topics: ['orders'], operations: ['read'], principals: ['cert:CN=a'] },
      { namespaces: ['shop'], topics: ['logs'], operations: ['append'] },
      { namespaces: ['*'], groups: ['orders'], operations: ['group'] },
    ]);
    world.resources = [
      logAccess('a', ['append,read topic:orders', 'append topic:logs', 'group group:orders'], {
        spec: { principals: ['cert:CN=a', 'cert:CN=ab'] },
      }),
    ];
    world.settle();
    expect(world.book.lines).toEqual([
      'cert:CN=a [read] topic:orders',
      `${API} [append] topic:logs`,
      `${API} [group] group:orders`,
      `${API} [read] topic:orders`,
    ]);
  });

  it.each([
    { serviceAccounts: ['other:admin'] },
    { serviceAccounts: ['*:admin'] },
    { serviceAccounts: ['a*b'] },
    { serviceAccounts: ['api\n'] },
    { serviceAccounts: ['аpi'] },
    { serviceAccounts: [''] },
    { serviceAccounts: ['../other'] },
    { principals: ['system:serviceaccount:other:admin'] },
    { principals: ['system:serviceaccount:*'] },
    { principals: ['*'] },
    { principals: ['anonymous'] },
    { principals: ['cert:*a'] },
    { principals: ['cert:a\u0000b'] },
    { rules: [{ resource: 'cluster', name: '', operations: ['administer'] }] },
    { rules: [{ resource: 'topic', name: 'a b', operations: ['read'] }] },
    { rules: [{ resource: 'topic', name: 'а', operations: ['read'] }] },
    { rules: [{ resource: 'topic', name: '**', operations: ['read'] }] },
    { rules: [{ resource: 'topic', name: 'a', operations: ['group'] }] },
    { rules: [{ resource: 'topic', name: 'a', operations: ['administer'] }] },
    { rules: [] },
    {
      rules: Array.from({ length: 17 }, () => ({
        resource: 'topic',
        name: 'a',
        operations: ['read'],
      })),
    },
  ])('gives nothing to %j', (spec) => {
    const world = new World([
      {
        namespaces: ['*'],
        topics: ['*'],
        groups: ['*'],
        producers: ['*'],
        operations: ['append', 'read', 'describe', 'group', 'create', 'alter', 'delete'],
        principals: ['cert:*', 'token:*', 'oidc:*'],
      },
    ]);
    world.resources = [logAccess('a', ['read topic:a'], { spec })];
    expect(world.pass()).toEqual([]);
    expect(world.ready('a')).toMatch(/^False InvalidSpec: /);
  });

  it('keeps the accounts of team-ab apart from those of team-a', () => {
    const world = new World([{ ...CONSENT, namespaces: ['team-a', 'team-ab'] }]);
    world.resources = [
      logAccess('a', ['read topic:orders'], {
        namespace: 'team-a',
        spec: { serviceAccounts: ['*'] },
      }),
    ];
    world.settle();
    expect(world.book.lines).toEqual(['system:serviceaccount:team-a:* [read] topic:orders']);
  });

  it('never touches what a person granted, nor claims it', () => {
    const world = new World();
    world.book.byHand(API, 'read topic:orders');
    world.book.byHand(API, 'delete topic:x');
    world.resources = [logAccess('a', ['append,read topic:orders'])];
    world.settle();
    expect(world.book.lines).toEqual([
      `${API} [append],read topic:orders`,
      `${API} delete topic:x`,
    ]);
    expect(world.ready('a')).toBe('True Granted: 1 rule granted');
    world.resources = [];
    world.settle();
    expect(world.book.lines).toEqual([`${API} delete topic:x`, `${API} read topic:orders`]);
  });

  it('keeps what another LogAccess wants too', () => {
    const world = new World();
    world.resources = [
      logAccess('a', ['append,read topic:orders']),
      logAccess('b', ['read topic:orders']),
    ];
    world.settle();
    world.resources = world.resources.slice(1);
    expect(world.pass()).toEqual([`revoke-access ${API} append topic:orders`]);
    expect(world.ready('b')).toBe('True Granted: 1 rule granted');
    world.resources = [];
    world.settle();
    expect(world.book.lines).toEqual([]);
  });

  it('takes back what is not consented to any more, before it grants', () => {
    const world = new World();
    world.resources = [logAccess('a', ['append,read topic:orders', 'read topic:shop-a'])];
    world.settle();
    world.consent({ ...CONSENT, topics: ['orders', 'new'], operations: ['read'] });
    world.resources.push(logAccess('b', ['read topic:new']));
    expect(world.pass()).toEqual([
      `revoke-access ${API} append topic:orders`,
      `revoke-access ${API} read topic:shop-a`,
      `grant-access ${API} read topic:new`,
    ]);
    world.consent();
    world.settle();
    expect(world.book.lines).toEqual([]);
  });

  it('grants again what somebody revoked by hand', () => {
    const world = new World();
    world.resources = [logAccess('a', ['read topic:orders'])];
    world.settle();
    world.book.revoke({ principal: API, kind: 'topic', name: 'orders', operations: [] });
    world.settle();
    expect(world.book.lines).toEqual([`${API} [read] topic:orders`]);
  });

  it('believes no status: it is overwritten, and nothing follows from it', () => {
    const world = new World();
    world.book.byHand('token:root', 'administer cluster');
    world.book.byHand(API, 'read topic:secret');
    const forged = {
      observedGeneration: 1,
      rules: 9,
      granted: [{ principal: 'token:root', kind: 'cluster', name: '', operations: ['administer'] }],
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          observedGeneration: 1,
          lastTransitionTime: '2020-01-01T00:00:00Z',
          reason: 'Granted',
          message: '1 rule granted',
        },
      ],
    } as unknown as LogAccessStatus;
    world.resources = [logAccess('a', ['read topic:secret'], { status: forged })];
    expect(world.pass()).toEqual([]);
    expect(world.book.lines).toEqual([
      `${API} read topic:secret`,
      'token:root administer cluster:',
    ]);
    expect(world.ready('a')).toMatch(/^False NotConsented/);
    expect(Object.keys(world.resources[0]?.resource.status ?? {})).toEqual([
      'observedGeneration',
      'conditions',
      'rules',
    ]);
  });

  it.each<[string, (world: World) => void, string]>([
    ['the LogCluster is paused', (world) => (world.cluster = paused([CONSENT])), 'Unknown Paused'],
    [
      'the LogCluster is paused, whatever it consents to',
      (world) => (world.cluster = paused([])),
      'False NotConsented',
    ],
    ['no broker answers', (world) => (world.isReached = false), 'Unknown ClusterUnreachable'],
    ['its spec is at fault', (world) => (world.faults = ['x']), 'Unknown ClusterInvalid'],
  ])('changes nothing while %s', (_, change, ready) => {
    const world = new World();
    world.resources = [logAccess('a', ['read topic:orders'])];
    world.settle();
    change(world);
    expect(world.pass()).toEqual([]);
    expect(world.ready('a')).toContain(ready);
    world.resources = [];
    expect(world.pass()).toEqual([]);
    expect(world.book.lines).toHaveLength(1);
  });

  it('waits for brokers that note what it gave', () => {
    const world = new World([CONSENT], ASKS, 9);
    world.resources = [logAccess('a', ['read topic:orders'])];
    expect(world.pass()).toEqual([]);
    expect(world.ready('a')).toBe(
      'False BrokersTooOld: LogCluster infra/logs is at feature level 9, must be at 10 or above: roll its brokers to a newer image',
    );
  });

  it('says where no rule counts', () => {
    const enforced = (spec: object, own: Readonly<Record<string, unknown>> = {}): string => {
      const world = new World([{ ...CONSENT, principals: ['token:a'] }], spec);
      world.resources = [logAccess('a', ['read topic:orders'], { spec: own })];
      world.settle();
      return world.ready('a', 'Enforced').split(':')[0] ?? '';
    };
    const TOKENS = {
      clientTls: { mode: 'Enabled' },
      auth: { methods: ['token'], tokensSecretName: 'x' },
    };
    expect(enforced({})).toBe('False NobodyIsAsked');
    expect(enforced(TOKENS)).toBe('False AccountsUnknown');
    expect(enforced(TOKENS, { serviceAccounts: undefined, principals: ['token:a'] })).toBe(
      'True ClientsAreAsked',
    );
  });

  it('says what brokers refuse', () => {
    const world = new World();
    world.resources = [
      logAccess('a', ['read topic:orders']),
      logAccess('b', ['read topic:shop-b']),
    ];
    world.refused.set(JSON.stringify([API, 'topic', 'orders']), 'there are 10000 rules already');
    world.isReached = true;
    const { statuses } = planAccess(world.observation, NOW_MS, world.refused);
    expect(statuses.map(({ status }) => status.conditions?.[0]?.message)).toEqual([
      'there are 10000 rules already',
      'granting 1 rule',
    ]);
  });

  it('holds what a namespace has whose LogAccess cannot be read, as far as it is consented to', () => {
    const world = new World([CONSENT, { ...CONSENT, namespaces: ['team'] }]);
    world.resources = [
      logAccess('a', ['append,read topic:orders']),
      logAccess('t', ['read topic:orders'], { namespace: 'team' }),
    ];
    world.settle();
    world.resources = [logAccess('a', ['append,read,mirror topic:orders'])];
    expect(world.pass()).toEqual([
      'revoke-access system:serviceaccount:team:api read topic:orders',
    ]);
    expect(world.ready('a')).toMatch(/^False InvalidSpec: /);
    world.consent({ ...CONSENT, operations: ['read'] });
    expect(world.pass()).toEqual([`revoke-access ${API} append topic:orders`]);
    world.consent();
    world.settle();
    expect(world.book.lines).toEqual([]);
  });
});

describe('bounds of planAccess()', () => {
  const many = (count: number, first = 0) =>
    Array.from({ length: count }, (_, index) => `read topic:shop-${first + index}`);

  it('are of a namespace: the oldest keep their rules, and others have room of their own', () => {
    const world = new World([
      { ...CONSENT, namespaces: ['shop', 'team'], rulesMax: 3 },
      { ...CONSENT, namespaces: ['shop'], rulesMax: 2 },
    ]);
    const at = (minute: number) => ({
      metadata: { creationTimestamp: `2026-11-23T12:0${minute}:00Z` },
    });
    world.resources = [
      logAccess('late', many(2, 10), at(2)),
      logAccess('early', many(2), at(1)),
      logAccess('same', many(2), at(3)),
      logAccess('other', many(3, 20), { namespace: 'team' }),
    ];
    world.settle();
    expect(world.book.rules).toHaveLength(6);
    expect(world.ready('early')).toMatch(/^True/);
    expect(world.ready('same')).toMatch(/^True/);
    expect(world.ready('other')).toMatch(/^True/);
    expect(world.ready('late')).toBe(
      'False TooManyRules: 1 rule too many: LogCluster infra/logs lets LogAccess of namespace shop take 3',
    );
  });

  it('let a hundred LogAccess of a namespace count, and tell the others', () => {
    const world = new World([{ ...CONSENT, rulesMax: 10_000 }]);
    world.resources = Array.from({ length: LOG_ACCESSES_PER_NAMESPACE_MAX + 1 }, (_, index) =>
      logAccess(`a${String(index).padStart(3, '0')}`, [`read topic:shop-${index}`]),
    );
    world.settle();
    world.pass();
    expect(world.book.rules).toHaveLength(LOG_ACCESSES_PER_NAMESPACE_MAX);
    expect(world.ready('a100')).toMatch(/^False TooManyRules: namespace shop has more than 100/);
  });

  it('are of a pass: what is left is done in the next', () => {
    const world = new World([{ ...CONSENT, rulesMax: 10_000 }]);
    const spec = { serviceAccounts: Array.from({ length: 16 }, (_, index) => `s${index}`) };
    world.resources = [logAccess('a', many(16), { spec })];
    const { changes, isCut } = planAccess(world.observation, NOW_MS);
    expect([changes.length, isCut]).toEqual([CHANGES_PER_PASS_MAX, true]);
    world.settle();
    expect(world.book.rules).toHaveLength(256);
    world.resources = Array.from({ length: STATUSES_PER_PASS_MAX + 1 }, (_, index) =>
      logAccess(`n${index}`, ['read topic:no'], { namespace: `n${index}` }),
    );
    expect(planAccess(world.observation, NOW_MS).statuses).toHaveLength(STATUSES_PER_PASS_MAX);
  });
});

function key(principal: string, operation: string, name: string): string {
  return `${principal} ${operation} ${name}`;
}

/** By the words of the documentation, right by right. */
function wantedRights({ resources, cluster }: World): ReadonlySet<string> {
  const fits = (name: string, topic: string): boolean =>
    topic === '*' || (topic === 'x*' ? name.startsWith('x') : topic === name);
  const wishes = resources.flatMap(({ resource: { metadata, spec } }) =>
    spec.rules.flatMap(({ name, operations }) =>
      operations.map((operation) => ({ namespace: metadata.namespace, name, operation })),
    ),
  );
  const allowed = wishes.filter(({ namespace, name, operation }) =>
    (cluster?.spec.access ?? []).some(
      ({ namespaces, topics = [], operations }) =>
        namespaces.includes(namespace) &&
        operations.includes(operation) &&
        topics.some((topic) => fits(name, topic)),
    ),
  );
  return new Set(
    allowed.map(({ namespace, name, operation }) =>
      key(`system:serviceaccount:${namespace}:api`, operation, name),
    ),
  );
}

/** Everybody changes everything: people, tenants and whoever consents. */
describe('planAccess() at random', () => {
  const NAMESPACES = ['a', 'ab'];
  const NAMES = ['x', 'x*', 'xy', '*'];
  const OPERATIONS = ['append', 'read'];

  it.each(Array.from({ length: 60 }, (_, seed) => ({ seed })))(
    'comes to what is wanted and consented to, and leaves to people what is theirs (seed $seed)',
    ({ seed }) => {
      const random = new Random(seed);
      const some = <T>(items: readonly T[]): T[] => {
        const chosen = items.filter(() => random.chance(0.5));
        return chosen.length === 0 ? [random.pick(items)] : chosen;
      };
      const world = new World([]);
      const byHand = new Set<string>();
      for (let step = 0; step < 40; step += 1) {
        const consents = Array.from({ length: random.below(3) }, () => ({
          namespaces: some(NAMESPACES),
          topics: some(NAMES),
          operations: some(OPERATIONS),
        }));
        if (random.chance(0.4)) world.consent(...consents);
        if (random.chance(0.6))
          world.resources = Array.from({ length: random.below(4) }, (_, index) =>
            logAccess(
              `r${index}`,
              some(NAMES).map((name) => `${some(OPERATIONS).join()} topic:${name}`),
              {
                namespace: random.pick(NAMESPACES),
              },
            ),
          );
        if (random.chance(0.4)) {
          const principal = `system:serviceaccount:${random.pick(NAMESPACES)}:api`;
          const [name, operation] = [random.pick(NAMES), random.pick(OPERATIONS)];
          const rule = {
            principal,
            kind: 'topic',
            name,
            operations: [operation as 'read'],
          } as const;
          if (random.chance(0.5)) {
            world.book.grant(rule);
            byHand.add(key(principal, operation, name));
          } else {
            world.book.revoke(rule);
            byHand.delete(key(principal, operation, name));
          }
        }
        world.settle();
        const wanted = wantedRights(world);
        const rights = world.book.rules.flatMap(({ principal, name, operations, given = [] }) =>
          operations.map((each) => ({
            right: key(principal, each, name),
            isGiven: given.includes(each),
          })),
        );
        const all = rights.map(({ right }) => right).toSorted();
        expect(all).toEqual([...new Set([...wanted, ...byHand])].toSorted());
        const given = rights
          .filter(({ isGiven }) => isGiven)
          .map(({ right }) => right)
          .toSorted();
        expect(given).toEqual([...wanted].filter((each) => !byHand.has(each)).toSorted());
      }
    },
  );
});
