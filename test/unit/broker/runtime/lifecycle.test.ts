import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../broker/base/errors.ts';
import type { ControllerReply } from '../../../../broker/metadata/controller-types.ts';
import { Lifecycle } from '../../../../broker/runtime/lifecycle.ts';
import { FakeClock } from './fake-clock.ts';

const SESSION_MS = 3_000;
const STOP_MS = 20_000;

/** A registered broker, and a controller that answers as it is told. */
async function broker() {
  const clock = new FakeClock();
  const facts: string[] = [];
  const controller = { isThere: true, leadersLeft: 2 };
  const answer = (kind: string): ControllerReply => {
    if (!controller.isThere) throw new BrokerError('BROKER_NOT_READY', 'nobody answers');
    if (kind === 'register') return { kind, brokerEpoch: 7, restartClass: 'clean' };
    const { leadersLeft } = controller;
    return { kind: 'heartbeat', fenced: false, mayStop: leadersLeft === 0, leadersLeft };
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
      decide: async ({ kind }) => answer(kind),
      onRegistered: async () => {},
      onFenced: () => {},
      onDisplaced: () => {},
      onFact: (event) => facts.push(event),
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
  void lifecycle.prepareStop(STOP_MS).then((left) => (leadersLeft = left));
  return { controller, facts, pass, stopped: () => leadersLeft };
}

describe('Lifecycle.prepareStop()', () => {
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
