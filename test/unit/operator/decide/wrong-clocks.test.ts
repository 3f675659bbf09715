/** An operator whose clock is wrong, and brokers whose clocks are right, with real certificates. */
import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keepCertificates } from '../../../../operator/decide/certificates.ts';
import type { LogCluster } from '../../../../operator/api/types.ts';
import type { SecretAction } from '../../../../operator/act/certificates.ts';
import { CLUSTER_ID, NOW_MS, observation, pod } from '../../../fixtures/operator/observations.ts';
import { SecretStore } from '../../../fixtures/operator/secret-store.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
const MADE_MS = NOW_MS - 100 * DAY_MS;

function clusterOf(authority: string | undefined): LogCluster {
  const { cluster } = observation();
  const internalTls = { mode: 'Enabled', authority } as const;
  const creationTimestamp = new Date(MADE_MS).toISOString();
  return {
    ...cluster,
    metadata: { ...cluster.metadata, creationTimestamp },
    status: authority === undefined ? {} : { ...cluster.status, internalTls },
  } as LogCluster;
}

/** An operator that does what is due, by a clock of its own; and what brokers then hold. */
class World {
  readonly #pods = [pod(0), pod(1), pod(2)];
  readonly #store = new SecretStore(clusterOf(undefined), CLUSTER_ID);
  #authority: string | undefined;
  #isRunning = false;

  /** All that is due at `atMs` of its clock, one change a pass. Returns what was done. */
  async passes(atMs: number): Promise<string[]> {
    const done: string[] = [];
    for (;;) {
      const { view } = await this.#store.read();
      const cluster = clusterOf(this.#authority);
      const running = this.#isRunning ? { pods: this.#pods } : { workload: null, pods: [] };
      const tlsPhases = { given: 'Require', planned: 'Require' } as const;
      const seen = { ...observation(), cluster, tls: view, tlsPhases, ...running };
      const { actions } = keepCertificates(seen, atMs);
      if (actions.length === 0 || done.length > 20) return done;
      for (const action of actions) {
        await this.#store.perform(action as SecretAction);
        done.push(action.kind === 'apply-authority' ? action.change : action.kind);
      }
      this.#authority ??= (await this.#store.read()).view.authority?.current?.id;
      this.#isRunning ||= done.includes('apply-certificates');
    }
  }

  /** Brokers that another one would not let in, by a clock that is right. */
  strangers(nowMs: number): number[] {
    const isValid = (each: X509Certificate): boolean =>
      each.validFromDate.getTime() <= nowMs && nowMs < each.validToDate.getTime();
    const text = (file: string): string => this.#store.text('tm-brokers-tls', file);
    const trusted = text('ca.crt')
      .split(/(?=-----BEGIN)/)
      .map((each) => new X509Certificate(each));
    return this.#pods.flatMap(({ brokerId }) => {
      const leaf = new X509Certificate(text(`tm-${String(brokerId)}.crt`));
      const isLetIn = trusted.some((each) => leaf.verify(each.publicKey) && isValid(each));
      return isLetIn && isValid(leaf) ? [] : [brokerId];
    });
  }
}

async function formed(atMs = MADE_MS): Promise<World> {
  const world = new World();
  expect(await world.passes(atMs)).toEqual(['make', 'apply-certificates']);
  return world;
}

describe('an operator whose clock is wrong', () => {
  test.each([1, 10, 60])('keeps brokers together where it is %i years ahead', async (years) => {
    const world = await formed();
    await world.passes(NOW_MS);
    // It lasts for a month; then the clock is right again, and goes on.
    for (let day = 0; day <= 30; day += 1) {
      await world.passes(NOW_MS + years * YEAR_MS + day * DAY_MS);
      expect(world.strangers(NOW_MS + day * DAY_MS)).toEqual([]);
    }
    for (let day = 31; day <= 60; day += 1) {
      await world.passes(NOW_MS + day * DAY_MS);
      expect(world.strangers(NOW_MS + day * DAY_MS)).toEqual([]);
    }
  });

  test('changes nothing where it is behind', async () => {
    const world = await formed();
    await world.passes(NOW_MS);
    for (const behindMs of [2 * 3_600_000, 99 * DAY_MS, YEAR_MS, 50 * YEAR_MS]) {
      await world.passes(NOW_MS - behindMs);
      expect(world.strangers(NOW_MS)).toEqual([]);
    }
  });

  test('makes a cluster that is one, where it is ahead', async () => {
    const world = await formed(MADE_MS + 10 * YEAR_MS);
    expect(world.strangers(MADE_MS)).toEqual([]);
    await world.passes(MADE_MS + DAY_MS);
    expect(world.strangers(MADE_MS + DAY_MS)).toEqual([]);
  });

  test('makes a cluster that comes to itself with the clock, where it is behind', async () => {
    const world = await formed(MADE_MS - 20 * YEAR_MS);
    expect(world.strangers(MADE_MS)).toEqual([0, 1, 2]);
    expect(await world.passes(MADE_MS)).toContain('succeed');
    expect(await world.passes(MADE_MS + 600_000)).toEqual(['promote', 'apply-certificates']);
    expect(world.strangers(MADE_MS + 600_000)).toEqual([]);
  });

  test('goes on from one authority to the next when the clock is right again', async () => {
    const world = await formed();
    expect(await world.passes(MADE_MS + 4 * YEAR_MS)).toContain('succeed');
    const done = await world.passes(MADE_MS + DAY_MS);
    expect(done).toEqual(['apply-certificates']);
    expect(await world.passes(MADE_MS + 9 * DAY_MS)).toEqual(['promote', 'apply-certificates']);
    expect(await world.passes(MADE_MS + 17 * DAY_MS)).toEqual(['retire', 'apply-certificates']);
    expect(world.strangers(MADE_MS + 17 * DAY_MS)).toEqual([]);
  });
});
