import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../base/errors.ts';
import { ruleToMessage } from '../../../broker/messages/access.ts';
import { AccessPasses, type AccessPassesOptions } from '../../../operator/access-passes.ts';
import { OutdatedError } from '../../../operator/act/outdated.ts';
import {
  LOG_ACCESS,
  LOG_CLUSTER,
  type Kind,
  type KubeObject,
} from '../../../operator/api/kinds.ts';
import type { Action } from '../../../operator/decide/types.ts';
import { keyOf } from '../../../operator/kube/kube-object.ts';
import { logAccess, RuleBook } from '../../fixtures/operator/access.ts';
import { logCluster } from '../../fixtures/operator/log-cluster.ts';

const KEY = 'infra/logs';
const SIGNAL = new AbortController().signal;
const CONSENT = { namespaces: ['shop'], topics: ['*'], operations: ['read'] };

class Bench {
  readonly book = new RuleBook();
  readonly actions: Action[] = [];
  readonly told: string[] = [];
  readonly asked: string[] = [];
  objects: KubeObject[] = [];
  answers = { controller: 0, answeredBy: 0, leader: 0 };
  controller: string | null | undefined = 'c:1';
  refuse: (action: Action) => Error | null = () => null;
  readonly #change: Partial<AccessPassesOptions>;

  constructor(change: Partial<AccessPassesOptions> = {}) {
    this.#change = change;
  }

  with(...objects: readonly object[]): this {
    this.objects = objects as KubeObject[];
    return this;
  }

  pass() {
    const list = ({ kind }: Kind) => this.objects.filter((each) => each.kind === kind);
    const passes = new AccessPasses({
      cache: {
        list,
        get: (kind: Kind, name: object) =>
          list(kind).find(({ metadata }) => keyOf(metadata) === keyOf(name as never)),
      } as never,
      admin: { call: (_: string, { path }: { path: string }) => this.#answer(path) } as never,
      wallMs: () => 0,
      controllerOf: () => this.controller,
      wouldSee: () => true,
      hasPending: () => false,
      forget: () => undefined,
      perform: (_, cluster, action) => this.#perform(cluster === null, action),
      tell: ({ metadata }, events) =>
        void this.told.push(...events.map(({ reason }) => `${metadata.name} ${reason}`)),
      ...this.#change,
    });
    return passes.pass(KEY, SIGNAL);
  }

  get allKeys(): string[] {
    const list = ({ kind }: Kind) => this.objects.filter((each) => each.kind === kind);
    return new AccessPasses({ cache: { list } } as never).allKeys();
  }

  #answer(path: string): Promise<unknown> {
    const method = path.slice(path.lastIndexOf('/') + 1);
    this.asked.push(method);
    const { leader, ...cluster } = this.answers;
    if (method === 'DescribeQuorum') return Promise.resolve({ leader });
    if (method === 'ListAccess')
      return Promise.resolve({ rules: this.book.rules.map(ruleToMessage) });
    return Promise.resolve({ ...cluster, featureLevel: 10 });
  }

  #perform(isOrphan: boolean, action: Action): Promise<void> {
    const error = this.refuse(action);
    if (error !== null) return Promise.reject(error);
    if (isOrphan && action.kind !== 'write-access-status') throw new Error(action.kind);
    this.actions.push(action);
    if (action.kind === 'grant-access' || action.kind === 'revoke-access')
      this.book.carryOut(action);
    return Promise.resolve();
  }

  get said(): string[] {
    return this.actions.flatMap((action) => {
      if (action.kind !== 'write-access-status') return [];
      const ready = action.status.conditions?.[0];
      return [`${action.of.name} ${ready?.status} ${ready?.reason}`];
    });
  }
}

const cluster = (spec: object = {}): object =>
  logCluster({ access: [CONSENT], ...spec }, { name: 'logs', namespace: 'infra' });
const wish = (name: string, rule = 'read topic:orders'): object => logAccess(name, [rule]).resource;

describe('AccessPasses', () => {
  it('grants, tells, and looks again soon, then in a minute', async () => {
    const bench = new Bench().with(cluster(), wish('a'));
    expect(await bench.pass()).toEqual({ requeueAfterMs: 100 });
    expect(bench.actions.map(({ kind }) => kind)).toEqual(['grant-access', 'write-access-status']);
    expect(bench.said).toEqual(['a False Granting']);
    await bench.pass();
    expect(bench.said).toEqual(['a False Granting', 'a True Granted']);
    expect(bench.told).toEqual(['a AccessGranted']);
    const [object, resource] = bench.objects;
    const status = bench.actions.findLast((each) => each.kind === 'write-access-status')?.status;
    bench.with(object!, { ...resource, status });
    expect(await bench.pass()).toEqual({ requeueAfterMs: 60_000 });
  });

  it('takes back what nobody wants, and tells it of the LogCluster', async () => {
    const bench = new Bench().with(cluster(), wish('a'));
    await bench.pass();
    bench.with(cluster());
    await bench.pass();
    expect(bench.book.rules).toEqual([]);
    expect(bench.told).toContain('logs AccessRevoked');
    expect(await bench.pass()).toEqual({});
  });

  it.each([
    {
      what: 'another broker is the controller',
      answers: { controller: 1, answeredBy: 0, leader: 0 },
    },
    { what: 'it only believes to be', answers: { controller: 0, answeredBy: 0, leader: 1 } },
  ])('does nothing by the word of a broker where $what', async ({ answers }) => {
    const bench = new Bench().with(cluster(), wish('a'));
    bench.answers = answers;
    expect(await bench.pass()).toEqual({ requeueAfterMs: 100 });
    expect(bench.said).toEqual(['a Unknown ClusterUnreachable']);
    expect(bench.asked).not.toContain('ListAccess');
    bench.with(cluster());
    expect(await bench.pass()).toEqual({ requeueAfterMs: 5_000 });
  });

  it('waits for the cluster’s own pass, and asks nobody where that found no controller', async () => {
    const bench = new Bench().with(cluster(), wish('a'));
    bench.controller = undefined;
    expect(await bench.pass()).toEqual({});
    bench.controller = null;
    await bench.pass();
    expect(bench.asked).toEqual([]);
    expect(bench.said).toEqual(['a Unknown ClusterUnreachable']);
  });

  it('goes on behind a rule that is refused, says so, and fails', async () => {
    const bench = new Bench().with(cluster(), wish('a'), wish('b', 'read topic:logs'));
    bench.refuse = (action) =>
      action.kind === 'grant-access' && action.rule.name === 'orders'
        ? new BrokerError('REFUSED', 'there are 10000 rules already')
        : null;
    await expect(bench.pass()).rejects.toThrow('grant-access: there are 10000 rules already');
    expect(bench.book.rules.map(({ name }) => name)).toEqual(['logs']);
    expect(bench.said).toEqual(['a False AccessRefused', 'b False Granting']);
  });

  it('ends where it leads no longer, and says nothing', async () => {
    const bench = new Bench().with(cluster(), wish('a'));
    bench.refuse = () => new OutdatedError('leadership is lost');
    await expect(bench.pass()).rejects.toThrow('leadership is lost');
    expect(bench.actions).toEqual([]);
  });

  it('tells a LogAccess whose LogCluster is not there, unless another operator may see it', async () => {
    const alone = new Bench().with(wish('a'));
    expect(await alone.pass()).toEqual({});
    expect(alone.said).toEqual(['a False NotConsented']);
    const other = new Bench({ wouldSee: () => false }).with(wish('a'));
    expect(await other.pass()).toEqual({ isGone: true });
    expect(other.actions).toEqual([]);
  });

  it('waits for its own writes to show', async () => {
    const bench = new Bench({ hasPending: () => true }).with(cluster(), wish('a'));
    expect(await bench.pass()).toEqual({ requeueAfterMs: 100 });
    expect(bench.asked).toEqual([]);
  });

  it('visits every cluster that there is, or that is named', () => {
    const odd = { kind: LOG_ACCESS.kind, metadata: { namespace: 'shop', name: 'x' } };
    const own = { ...odd, spec: { clusterName: 'own' } };
    const bench = new Bench().with(cluster(), wish('a'), odd, own);
    expect(LOG_CLUSTER.kind).toBe('LogCluster');
    expect(bench.allKeys).toEqual(['infra/logs', 'shop/own']);
  });
});
