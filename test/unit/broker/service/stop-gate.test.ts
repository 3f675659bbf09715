import { beforeEach, describe, expect, it } from 'vitest';
import { STOP_VETO_AWAY_MS_MAX, STOP_VETO_MS_MAX } from '../../../../base/stop-veto.ts';
import type { StopVeto } from '../../../../broker/metadata/safety.ts';
import type { BrokerApi, BrokerPhase } from '../../../../broker/runtime/api.ts';
import { Cluster } from '../../../../broker/service/cluster.ts';
import { StopGate } from '../../../../broker/service/stop-gate.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

const RECOVERING: StopVeto = { reason: 'broker 2 is behind', isRecovering: true };
const AWAY: StopVeto = { reason: 'broker 2 is away', isRecovering: false };

let clock: FakeClock;
let phase: BrokerPhase;
let veto: StopVeto | null;
/** Of the metadata that this broker has; 9 are committed. */
let index: number;
let role: 'leader' | 'follower';
let facts: string[];
let gate: StopGate;
beforeEach(() => {
  clock = new FakeClock();
  phase = 'serving';
  veto = null;
  index = 9;
  role = 'leader';
  facts = [];
  const raft = { term: 1, commitIndex: 9, voters: [], progress: [] };
  const broker = {
    brokerId: 1,
    clock,
    phase: () => phase,
    image: () => ({ index }),
    watchImage: () => () => undefined,
    report: () => ({ raft: { ...raft, role } }),
    nodeInfo: () => ({ controller: -1 }),
    stopVeto: () => veto,
  } as unknown as BrokerApi;
  const cluster = new Cluster(broker, () => {
    throw new Error('nobody is dialled');
  });
  gate = new StopGate(cluster, (event, fields) =>
    facts.push(`${event} ${(fields as { reason: string }).reason}`),
  );
});

/** When the gate opens, ms, as things stand at each look. */
async function opensMs(change: () => void = () => undefined): Promise<number> {
  let isOpen = false;
  const open = gate.whenOpen().then(() => {
    isOpen = true;
  });
  for (let ms = 0; ms < 2 * STOP_VETO_MS_MAX && !isOpen; ms += 100) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    if (isOpen) break;
    change();
    clock.advance(100);
  }
  await open;
  return clock.nowMs;
}

describe('StopGate', () => {
  it('opens at once where nothing suffers', async () => {
    expect(await opensMs()).toBe(0);
    expect(facts).toEqual([]);
  });

  it('opens once nothing suffers any more', async () => {
    veto = RECOVERING;
    const whenOver = (): void => {
      if (clock.nowMs >= 40_000) veto = null;
    };
    expect(await opensMs(whenOver)).toBeGreaterThanOrEqual(40_000);
    expect(facts).toEqual(['stop-waits broker 2 is behind']);
  });

  it.each([
    { why: RECOVERING, mostMs: STOP_VETO_MS_MAX },
    { why: AWAY, mostMs: STOP_VETO_AWAY_MS_MAX },
  ])('opens after $mostMs ms all the same, where $why.reason', async ({ why, mostMs }) => {
    veto = why;
    const openMs = await opensMs();
    expect(openMs).toBeLessThanOrEqual(mostMs);
    expect(openMs).toBeGreaterThan(mostMs - 1_000);
    expect(facts).toEqual([`stop-waits ${why.reason}`, `stop-unsafe ${why.reason}`]);
  });

  it('believes no metadata that is behind, and waits where nobody leads', async () => {
    index = 8;
    const whenThere = (): void => {
      if (clock.nowMs >= 10_000) index = 9;
    };
    expect(await opensMs(whenThere)).toBeGreaterThanOrEqual(10_000);
    expect(facts).toEqual(['stop-waits the newest metadata has not come']);
    role = 'follower';
    const begunMs = clock.nowMs;
    expect((await opensMs()) - begunMs).toBeGreaterThan(STOP_VETO_AWAY_MS_MAX - 1_000);
    expect(facts.at(-1)).toMatch(/^stop-unsafe the controller does not answer: /);
  });

  it('holds up nothing that does not serve', async () => {
    veto = AWAY;
    phase = 'recovering';
    expect(await opensMs()).toBe(0);
  });

  it('gives whoever asks meanwhile the same answer', async () => {
    veto = AWAY;
    expect(gate.whenOpen()).toBe(gate.whenOpen());
    await opensMs();
  });
});
