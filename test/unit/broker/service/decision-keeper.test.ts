/** What is kept of decisions, by whom, and what becomes of it when it cannot be appended. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  DECISIONS_TOPIC,
  type KeptDecision,
  readKeptDecision,
} from '../../../../base/kept-decisions.ts';
import type { Clock } from '../../../../base/clock.ts';
import { BrokerError, type ErrorCode } from '../../../../base/errors.ts';
import type { AppendRequest, AppendResponse } from '../../../../proto/gen/tidemark/v1/log.ts';
import type { BrokerApi, NamedDecision } from '../../../../broker/runtime/api.ts';
import { Cluster } from '../../../../broker/service/cluster.ts';
import { DecisionKeeper } from '../../../../broker/service/decision-keeper.ts';
import { errorToMessage } from '../../../../wire/grpc/errors.ts';

const STAND = {
  leader: 1,
  leaderEpoch: 2,
  partitionEpoch: 3,
  syncSet: [1, 2],
  suspects: [2],
  quorum: 2,
};

/** At 100 s; `atMs` null: found in the log at the start. */
function decision(index: number, atMs: number | null = 100_000): NamedDecision {
  return {
    index,
    atMs,
    topic: 'orders',
    topicId: 'id',
    partition: 0,
    before: null,
    after: { ...STAND, leader: -1 },
    reasons: [{ text: 'it is gone', rule: 'rule 16' }],
  };
}

let look: () => void;
let retry: (() => void) | null;
let decided: NamedDecision[];
let hasTopic: boolean;
let controls: boolean;
let fault: BrokerError | null;
let nowMs: number;
let refusal: (one: KeptDecision) => ErrorCode | null;
let appends: (readonly KeptDecision[])[];
let reported: unknown[];
let keeper: DecisionKeeper;

const appender = {
  append: async ({ topic, records }: AppendRequest): Promise<AppendResponse> => {
    expect(topic).toBe(DECISIONS_TOPIC);
    const kept = records.map(({ value }) => readKeptDecision(Buffer.from(value).toString()));
    appends.push(kept);
    const results = kept.map((one) => {
      const code = refusal(one);
      const error = code === null ? fault : new BrokerError(code, 'refused');
      return {
        partition: 0,
        offset: undefined,
        error: error === null ? undefined : errorToMessage(error),
      };
    });
    return { results };
  },
};

beforeEach(() => {
  [decided, appends, reported] = [[], [], []];
  [hasTopic, controls, fault, retry] = [true, true, null, null];
  [nowMs, refusal] = [100_000, () => null];
  const clock = {
    wallMs: () => nowMs,
    after: (_ms: number, run: () => void) => {
      retry = run;
      return () => {
        retry = null;
      };
    },
  } as unknown as Clock;
  const broker = {
    clock,
    watchImage: (callback: () => void) => {
      look = callback;
      return () => {
        look = () => undefined;
      };
    },
    isController: () => controls,
    image: () => ({ topicIdsByName: new Map(hasTopic ? [[DECISIONS_TOPIC, 'x']] : []) }),
    decisionsAfter: (index: number) => decided.filter((each) => each.index > index),
  } as unknown as BrokerApi;
  const dial = (): never => {
    throw new Error('nobody is dialled');
  };
  keeper = new DecisionKeeper(new Cluster(broker, dial), appender, (error) => reported.push(error));
});

afterEach(() => {
  keeper.close();
  expect(reported).toEqual([]);
});

const indexes = (): number[][] => appends.map((kept) => kept.map(({ index }) => index));

describe('DecisionKeeper', () => {
  it('appends what was decided, in the order of the log, once', async () => {
    decided = [decision(7), decision(5)];
    look();
    await vi.waitFor(() => expect(indexes()).toEqual([[5, 7]]));
    expect(appends[0]?.[0]).toEqual({
      ...decision(5),
      atMs: 100_000,
      after: { ...STAND, leader: null },
    });
    decided.push(decision(8));
    await vi.waitFor(() => {
      look();
      expect(indexes()).toEqual([[5, 7], [8]]);
    });
  });

  it.each([
    ['there is no such topic', () => (hasTopic = false)],
    ['this broker does not control', () => (controls = false)],
    ['nothing is known', () => (decided = [])],
  ])('appends nothing while %s', async (_name, make) => {
    decided = [decision(5)];
    make();
    look();
    await Promise.resolve();
    expect(appends).toEqual([]);
  });

  it('appends what its predecessor decided within a minute, and nothing older', async () => {
    decided = [decision(3, 30_000), decision(4, 50_000), decision(5)];
    look();
    await vi.waitFor(() => expect(indexes()).toEqual([[4, 5]]));
  });

  it.each([
    ['an answer', () => (fault = new BrokerError('NOT_ENOUGH_REPLICAS', 'no'))],
    ['none', () => (fault = new BrokerError('OUTCOME_UNKNOWN', 'no'))],
  ])('tries again after %s, with all that is due by then', async (_name, make) => {
    make();
    decided = [decision(5)];
    look();
    await vi.waitFor(() => expect(retry).not.toBeNull());
    decided.push(decision(6));
    fault = null;
    retry?.();
    await vi.waitFor(() => expect(indexes()).toEqual([[5], [5, 6]]));
  });

  it('stops when it is closed', async () => {
    fault = new BrokerError('NOT_ENOUGH_REPLICAS', 'no');
    decided = [decision(5)];
    look();
    await vi.waitFor(() => expect(retry).not.toBeNull());
    keeper.close();
    expect(retry).toBeNull();
    look();
    expect(appends).toHaveLength(1);
  });

  it('keeps an entry that decides more than goes into one append', async () => {
    decided = Array.from({ length: 501 }, (_, partition) => ({ ...decision(5), partition }));
    look();
    await vi.waitFor(() =>
      expect(new Set(appends.flat().map(({ partition }) => partition)).size).toBe(501),
    );
  });

  it('keeps what it saw decided while the topic could not be appended to for long', async () => {
    fault = new BrokerError('NOT_ENOUGH_REPLICAS', 'too few');
    decided = [decision(5)];
    look();
    await vi.waitFor(() => expect(retry).not.toBeNull());
    fault = null;
    nowMs += 61_000;
    decided.push(decision(6, nowMs));
    retry?.();
    await vi.waitFor(() => expect(indexes().at(-1)).toEqual([5, 6]));
  });

  it('appends again only what was refused', async () => {
    refusal = ({ partition }) => (partition === 1 ? 'NOT_ENOUGH_REPLICAS' : null);
    decided = [decision(5), { ...decision(6), partition: 1 }];
    look();
    await vi.waitFor(() => expect(retry).not.toBeNull());
    retry?.();
    await vi.waitFor(() => expect(indexes()).toEqual([[5, 6], [6]]));
  });

  it('passes over what the topic never takes', async () => {
    refusal = ({ partition }) => (partition === 1 ? 'BATCH_TOO_LARGE' : null);
    decided = [{ ...decision(5), partition: 1 }, decision(6)];
    look();
    await vi.waitFor(() => expect(indexes()).toEqual([[5, 6]]));
    decided.push(decision(7));
    await vi.waitFor(() => {
      look();
      expect(indexes()).toEqual([[5, 6], [7]]);
    });
  });
});

describe('readKeptDecision()', () => {
  const good = { ...decision(5), after: STAND };

  it.each([
    ['no JSON', '{'],
    ['another field', JSON.stringify({ ...good, more: 1 })],
    ['no reason', JSON.stringify({ ...good, reasons: [] })],
    ['a negative entry', JSON.stringify({ ...good, index: -1 })],
    ['a leader that is none', JSON.stringify({ ...good, after: { ...STAND, leader: -1 } })],
  ])('refuses %s', (_name, text) => {
    expect(() => readKeptDecision(text)).toThrow(BrokerError);
  });

  it('takes what the keeper writes', () => {
    expect(readKeptDecision(JSON.stringify(good))).toEqual(good);
  });
});
