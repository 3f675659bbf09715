import { beforeEach, describe, expect, it } from 'vitest';
import { Claims } from '../../../../operator/kube/claims.ts';
import { KubeError } from '../../../../operator/kube/kube-error.ts';
import type { KubeObject } from '../../../../operator/kube/kube-object.ts';
import { FakeClock } from '../../broker/runtime/fake-clock.ts';

const OWNER: KubeObject = {
  apiVersion: 'tidemark.dev/v1alpha1',
  kind: 'LogCluster',
  metadata: { namespace: 'shop', name: 'orders', uid: 'u1' },
};
const KEY = 'shop/orders';

let clock: FakeClock;
let lease: KubeObject | undefined;
let version: number;
let writes: number;
/** Reason with which every write is refused. */
let refusal: string | undefined;
let told: string[];
beforeEach(() => {
  clock = new FakeClock();
  lease = undefined;
  version = 0;
  writes = 0;
  refusal = undefined;
  told = [];
});

function write(_: unknown, object: KubeObject): Promise<KubeObject> {
  if (refusal !== undefined)
    return Promise.reject(new KubeError(refusal, { status: 409, reason: refusal }));
  writes += 1;
  version += 1;
  lease = { ...object, metadata: { ...object.metadata, resourceVersion: `${version}` } };
  return Promise.resolve(lease);
}

/** One copy of an operator. */
function copyOf(holder: string): { claims: Claims; take: () => Promise<string | null> } {
  const client = { get: () => Promise.resolve(lease), create: write, replace: write };
  const onForbidden = (error: KubeError): void => void told.push(error.reason);
  const claims = new Claims({ client, holder, clock, onForbidden });
  const take = (): Promise<string | null> =>
    claims.take(OWNER, 'logcluster-orders', new AbortController().signal);
  return { claims, take };
}

describe('Claims', () => {
  it('gives a resource to whoever comes first, and says to others whose it is', async () => {
    const [one, other] = [copyOf('a/one'), copyOf('b/other')];
    expect(one.claims.isHeld(KEY)).toBe(false);
    expect(await one.take()).toBeNull();
    expect(await other.take()).toBe('a/one');
    expect([one.claims.isHeld(KEY), other.claims.isHeld(KEY)]).toEqual([true, false]);
    expect(lease?.metadata).toMatchObject({
      name: 'logcluster-orders',
      namespace: 'shop',
      ownerReferences: [{ kind: 'LogCluster', name: 'orders', uid: 'u1' }],
    });
  });

  it('is one for all copies of an operator', async () => {
    expect(await copyOf('a/one').take()).toBeNull();
    expect(await copyOf('a/one').take()).toBeNull();
  });

  it('renews now and then, and is believed in for less long than others wait', async () => {
    const [one, other] = [copyOf('a/one'), copyOf('b/other')];
    await one.take();
    await one.take();
    expect(writes).toBe(1);
    await other.take();
    clock.advance(25_000);
    await one.take();
    expect(writes).toBe(2);
    await other.take();
    clock.advance(50_000);
    expect(one.claims.isHeld(KEY)).toBe(false);
    expect(await other.take()).toBe('a/one');
    clock.advance(10_000);
    expect(await other.take()).toBeNull();
    expect(await one.take()).toBe('b/other');
  });

  it('is not held where somebody else was faster', async () => {
    const one = copyOf('a/one');
    await one.take();
    clock.advance(25_000);
    refusal = 'Conflict';
    expect(await one.take()).toBe('');
    expect(one.claims.isHeld(KEY)).toBe(false);
  });

  it('goes on without claims where it may make none, and tells so once', async () => {
    refusal = 'Forbidden';
    const one = copyOf('a/one');
    expect([await one.take(), await one.take()]).toEqual([null, null]);
    expect(one.claims.isHeld(KEY)).toBe(true);
    expect(told).toEqual(['Forbidden']);
  });
});
