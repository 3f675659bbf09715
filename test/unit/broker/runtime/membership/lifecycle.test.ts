import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import type { ErrorCode } from '../../../../../base/errors.ts';
import type { ListenerAddress } from '../../../../../base/listeners.ts';
import type { Comparison } from '../../../../../broker/metadata/clock-trust.ts';
import type {
  ControllerReply,
  HeartbeatRequest,
} from '../../../../../broker/metadata/controller-types.ts';
import { Lifecycle } from '../../../../../broker/runtime/membership/lifecycle.ts';
import { FakeClock } from '../fake-clock.ts';

const SESSION_MS = 3_000;
const STOP_MS = 20_000;

/** A registered broker, and a controller that answers as it is told. */
async function broker() {
  const clock = new FakeClock();
  const facts: string[] = [];
  const comparisons: Comparison[] = [];
  const fenced: boolean[] = [];
  const heard: string[] = [];
  const indexes: number[] = [];
  const applied = { index: 3 };
  const ended: string[] = [];
  const beats: HeartbeatRequest[] = [];
  /** What is led here, and what metadata says of this broker. */
  const here: {
    isDrained: boolean;
    isTakenForStopping: boolean;
    listeners: readonly ListenerAddress[] | null;
  } = { isDrained: true, isTakenForStopping: false, listeners: null };
  const controller: {
    isThere: boolean;
    leadersLeft: number;
    clockSkewMs?: number;
    refusal?: ErrorCode;
  } = {
    isThere: true,
    leadersLeft: 2,
  };
  const answer = (kind: string): ControllerReply => {
    heard.push(kind);
    if (controller.refusal !== undefined) throw new BrokerError(controller.refusal, 'no');
    if (!controller.isThere) throw new BrokerError('BROKER_NOT_READY', 'nobody answers');
    if (kind === 'register') return { kind, brokerEpoch: 7, restartClass: 'clean' };
    const { isThere: _, refusal: __, leadersLeft, ...clock } = controller;
    return { kind: 'heartbeat', fenced: false, mayStop: leadersLeft === 0, leadersLeft, ...clock };
  };
  const lifecycle = new Lifecycle(
    {
      clock,
      heartbeatMs: 200,
      sessionTimeoutMs: SESSION_MS,
      registration: {
        clusterId: 'c',
        brokerId: 1,
        directoryId: 'd',
        sessionEpoch: 0,
        host: '127.0.0.1',
        port: 1,
        rack: '',
        featureLevelMax: 1,
      },
      decide: async (request) => {
        if (request.kind === 'heartbeat') {
          indexes.push(request.metadataIndex ?? 0);
          beats.push(request);
        }
        return answer(request.kind);
      },
      metadataIndex: () => applied.index,
      heldEpoch: async (brokerEpoch) => brokerEpoch,
      onRegistered: async () => {},
      abilities: () => [],
      listeners: () => here.listeners,
      drain: () => here.isDrained,
      isTakenForStopping: () => here.isTakenForStopping,
      onCompared: (comparison) => comparisons.push(comparison),
      onFenced: (isFenced) => fenced.push(isFenced),
      onDisplaced: (reason) => ended.push(`displaced: ${reason}`),
      onRolledBack: (reason) => ended.push(`rolled back: ${reason}`),
      onFact: (...[event]) => {
        facts.push(event);
      },
    },
    'clean',
  );
  /** Answers arrive between two milliseconds. */
  const pass = async (ms: number): Promise<void> => {
    for (let step = 0; step < ms; step += 10) {
      clock.advance(10);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    }
  };
  lifecycle.start();
  await pass(500);
  let leadersLeft: number | undefined;
  lifecycle.prepareStop(STOP_MS).then(
    (left) => (leadersLeft = left),
    () => undefined,
  );
  return {
    lifecycle,
    controller,
    comparisons,
    facts,
    fenced,
    heard,
    indexes,
    applied,
    ended,
    beats,
    here,
    pass,
    stopped: () => leadersLeft,
  };
}

describe('Lifecycle heartbeats', () => {
  it('end the process of a broker that was removed while it was cut off', async () => {
    const { controller, ended, heard, pass } = await broker();
    controller.refusal = 'UNKNOWN_BROKER';
    await pass(1_000);
    expect(ended).toEqual(['displaced: no']);
    const before = heard.length;
    await pass(1_000);
    expect(heard).toHaveLength(before);
  });

  it('take back a stop that only a late request can have asked for', async () => {
    const { beats, here, lifecycle, pass } = await broker();
    await Promise.all([lifecycle.cancelStop(), pass(1_000)]);
    here.isTakenForStopping = true;
    await pass(500);
    expect(beats.at(-1)).toMatchObject({ stays: true, drains: false, wantsStop: false });
    here.isTakenForStopping = false;
    await pass(500);
    expect(beats.at(-1)).toMatchObject({ stays: false });
  });
});

describe('Lifecycle heartbeats of named listeners', () => {
  it('say their addresses while metadata says otherwise, and nothing else', async () => {
    const { beats, here, lifecycle, pass } = await broker();
    await Promise.all([lifecycle.cancelStop(), pass(1_000)]);
    expect(beats.at(-1)).not.toHaveProperty('listeners');
    here.listeners = [{ listener: 'outside', host: 'b1', port: 443 }];
    await pass(500);
    expect(beats.at(-1)).toMatchObject({ listeners: here.listeners });
    here.listeners = null;
    await pass(500);
    expect(beats.at(-1)).not.toHaveProperty('listeners');
  });
});

describe('Lifecycle.prepareStop()', () => {
  it('announces the stop first, and lets leaderships move only while all that is led here has drained (rule 22)', async () => {
    const { beats, here, controller, pass, stopped } = await broker();
    await pass(200);
    const stopping = beats.filter(({ drains }) => drains === true);
    expect(stopping[0]).toMatchObject({ wantsStop: false });
    // A leadership that came in although the controller knew: nobody else could take it.
    here.isDrained = false;
    controller.leadersLeft = 0;
    await pass(500);
    expect(stopped()).toBeUndefined();
    expect(beats.at(-1)).toMatchObject({ drains: true, wantsStop: false });
    here.isDrained = true;
    await pass(500);
    expect(stopped()).toBe(0);
  });

  it('resolves when the controller lets the broker go', async () => {
    const { controller, pass, stopped } = await broker();
    await pass(1_000);
    expect(stopped()).toBeUndefined();
    controller.leadersLeft = 0;
    await pass(100);
    expect(stopped()).toBe(0);
  });

  it('waits to its deadline while a controller answers', async () => {
    const { facts, pass, stopped } = await broker();
    await pass(STOP_MS - 100);
    expect(stopped()).toBeUndefined();
    await pass(200);
    expect(stopped()).toBe(2);
    expect(facts).toEqual(['stop-deadline-passed']);
  });

  it('waits for a session, and no longer, where no controller answers', async () => {
    const { controller, facts, pass, stopped } = await broker();
    await pass(1_000);
    controller.isThere = false;
    await pass(SESSION_MS - 100);
    expect(stopped()).toBeUndefined();
    await pass(300);
    expect(stopped()).toBe(2);
    expect(facts).toEqual(['stop-unheard']);
  });
});

describe('Lifecycle', () => {
  it('tells each comparison of its clock, and that there was none', async () => {
    const { comparisons, controller, pass } = await broker();
    controller.clockSkewMs = 7;
    await pass(500);
    const known = comparisons.at(-1);
    delete controller.clockSkewMs;
    await pass(500);
    const unknown = comparisons.at(-1);
    expect([known?.skewMs, unknown?.skewMs]).toEqual([7, null]);
    // Both clocks of the fake are one.
    expect(known?.wallMs).toBe(known?.sentMs);
  });
});

describe('Lifecycle.suspend()', () => {
  it('falls silent, counts as fenced, and lets a stop go on', async () => {
    const { lifecycle, fenced, heard, pass, stopped } = await broker();
    lifecycle.suspend();
    await pass(100);
    heard.length = 0;
    await pass(SESSION_MS);
    expect({ heard, fenced, isHeard: lifecycle.isHeard }).toEqual({
      heard: [],
      fenced: [false, true],
      isHeard: false,
    });
    expect(stopped()).toBe(2);
    expect(await lifecycle.prepareStop(STOP_MS)).toBe(0);
  });

  it('asks to count again once it can', async () => {
    const { lifecycle, fenced, heard, pass } = await broker();
    lifecycle.suspend();
    await pass(1_000);
    heard.length = 0;
    lifecycle.resume();
    await pass(1_000);
    expect(heard).toContain('heartbeat');
    expect(fenced).toEqual([false, true, false]);
  });
});

describe('Lifecycle.announce()', () => {
  it('tells at once how far this broker has applied metadata', async () => {
    const { lifecycle, indexes, applied, pass } = await broker();
    void lifecycle.cancelStop();
    await pass(500);
    const count = indexes.length;
    applied.index = 9;
    lifecycle.announce();
    await pass(10);

    expect(indexes.slice(count)).toEqual([9]);
  });
});
