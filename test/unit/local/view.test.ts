import { describe, expect, it } from 'vitest';
import type { Topic } from '../../../client/admin-types.ts';
import { type Look, render, type Size } from '../../../local/view.ts';

const NO_NEWS = { events: [], hint: '' };
const TERMINAL: Size = { columns: 80, rows: 24 };

interface Scene {
  readonly brokers?: number;
  readonly partitions?: number;
  readonly name?: string;
  readonly atMs?: number;
  /** Of every partition that is not named in `busy`. */
  readonly committed?: number;
  readonly busy?: Readonly<Record<number, number>>;
  /** Partitions whose third copy is behind. */
  readonly behind?: readonly number[];
  readonly paused?: readonly number[];
  readonly nobody?: boolean;
}

function lookAt(scene: Scene): Look {
  const { brokers = 3, partitions = 0, name = 'orders', atMs = 0, committed = 5 } = scene;
  const { busy = {}, behind = [], paused = [], nobody = false } = scene;
  const ids = Array.from({ length: brokers }, (_, index) => index + 1);
  const numbers = Array.from({ length: partitions }, (_, index) => index);
  const leaderOf = (partition: number): number => (partition % brokers) + 1;
  const topic: Topic = {
    name,
    topicId: 'id',
    replicationFactor: 3,
    followsMinInSyncReplicas: false,
    config: { commitMode: 'in-sync', minInSyncReplicas: 2 },
    partitions: numbers.map((partition) => ({
      partition,
      replicas: [1, 2, 3],
      syncSet: behind.includes(partition) ? [1, 2] : [1, 2, 3],
      quorum: 2,
      leader: leaderOf(partition),
      leaderEpoch: 1,
      partitionEpoch: 1,
      suspects: [],
      adding: [],
      removing: [],
      successor: undefined,
      target: [],
      cannotLead: [],
    })),
  };
  const reportOf = (brokerId: number): object => ({
    brokerId,
    diskFault: '',
    restartClass: 2,
    memoryBytes: 96_000_000,
    replicas: numbers
      .filter((partition) => leaderOf(partition) === brokerId)
      .map((partition) => ({
        topicId: 'id',
        partition,
        leading: true,
        stopped: '',
        logEnd: busy[partition] ?? committed,
        highWaterMark: busy[partition] ?? committed,
        followers: [],
      })),
  });
  const described = ids.map((brokerId) => ({
    brokerId,
    host: '127.0.0.1',
    port: 9_640 + brokerId,
    rack: `rack-${brokerId}`,
    voter: brokerId <= 3,
    fenced: false,
    stopping: false,
    cordoned: false,
    restartClass: 2,
  }));
  return {
    atMs,
    processes: ids.map((brokerId) => ({
      brokerId,
      host: '127.0.0.1',
      port: 9_640 + brokerId,
      internalPort: 9_690 + brokerId,
      httpPort: 9_740 + brokerId,
      rack: `rack-${brokerId}`,
      pid: 100 + brokerId,
      state: paused.includes(brokerId) ? 'paused' : 'running',
    })),
    cluster: nobody
      ? null
      : ({
          cluster: { brokers: described, controller: 1, losses: [] },
          brokers: described,
          controller: 1,
          losses: [],
          topics: partitions === 0 ? [] : [topic],
          reports: new Map(
            ids.filter((id) => !paused.includes(id)).map((id) => [id, reportOf(id)]),
          ),
        } as never),
  };
}

function texts(...args: Parameters<typeof render>): string[] {
  return render(...args).map(({ text }) => text);
}

describe('render()', () => {
  it('shows a cluster as `cluster describe` does, with what it takes in a second', () => {
    const before = lookAt({ partitions: 3, atMs: 1_000, busy: { 0: 100 } });
    const now = lookAt({ partitions: 3, atMs: 3_000, busy: { 0: 300, 1: 6 } });
    expect(texts(now, before, { events: ['what happened'], hint: '' }, TERMINAL)).toEqual([
      'Safe to lose one broker',
      '3 brokers, 1 topic, 3 partitions, 101 records/s',
      '',
      'BROKER  ADDRESS         RACK    STATE  ROLE        RESTART  MEMORY   LEADS',
      '1       127.0.0.1:9641  rack-1  up     controller  clean    96.0 MB  1',
      '2       127.0.0.1:9642  rack-2  up     voter       clean    96.0 MB  1',
      '3       127.0.0.1:9643  rack-3  up     voter       clean    96.0 MB  1',
      '',
      'PARTITION  LEADER  SYNC SET  COMMITTED  RATE  LAG  HEALTH',
      'orders/0   1       1,2,3     300        100   -    ok',
      'orders/1   2       1,2,3     6          <1    -    ok',
      'orders/2   3       1,2,3     5          0     -    ok',
      '',
      'what happened',
    ]);
  });

  it.for([
    { brokers: 3, partitions: 100, columns: 80, rows: 24 },
    { brokers: 15, partitions: 100, columns: 80, rows: 24 },
    { brokers: 3, partitions: 12, columns: 80, rows: 24 },
    { brokers: 3, partitions: 0, columns: 80, rows: 24 },
    { brokers: 15, partitions: 9, columns: 20, rows: 5 },
    { brokers: 3, partitions: 3, columns: 1, rows: 1 },
    { brokers: 3, partitions: 200, columns: 300, rows: 90 },
  ])(
    'fits $columns x $rows with $brokers brokers and $partitions partitions',
    ({ columns, rows, ...scene }) => {
      const events = Array.from({ length: 8 }, (_, at) => `${at} ${'x'.repeat(200)}`);
      const now = lookAt({ ...scene, name: 'n'.repeat(249) });
      const lines = texts(now, null, { events, hint: 'h'.repeat(90) }, { columns, rows });
      expect(lines.length).toBeLessThan(rows);
      expect(Math.max(0, ...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    },
  );

  it('puts faults first, then what takes records, and counts the rest', () => {
    const before = lookAt({ partitions: 100, atMs: 0, busy: { 70: 0 } });
    const now = lookAt({ partitions: 100, atMs: 1_000, busy: { 70: 9 }, behind: [80, 90] });
    const lines = render(now, before, NO_NEWS, TERMINAL);
    const at = lines.findIndex(({ text }) => text.startsWith('PARTITION'));
    expect(
      lines.slice(at + 1, at + 5).map(({ text, colour }) => [text.split(' ')[0], colour]),
    ).toEqual([
      ['orders/80', 'yellow'],
      ['orders/90', 'yellow'],
      ['orders/70', undefined],
      ['orders/0', undefined],
    ]);
    expect(lines.at(-1)).toEqual({
      text: 'and 87 more partitions, all of them ok: npx tidemark cluster describe',
    });
  });

  it('says how many of the hidden partitions are not ok', () => {
    const now = lookAt({ partitions: 100, behind: Array.from({ length: 20 }, (_, at) => at) });
    expect(render(now, null, NO_NEWS, TERMINAL).at(-1)).toEqual({
      text: 'and 87 more partitions, 7 of them not ok: npx tidemark cluster describe',
      colour: 'yellow',
    });
  });

  it('shows what a person did to a process, and what it means', () => {
    const lines = render(lookAt({ partitions: 1, paused: [2] }), null, NO_NEWS, TERMINAL);
    expect(lines[0]).toMatchObject({ colour: 'yellow' });
    expect(lines[0]?.text).toMatch(/^Every append is taken, but broker 2 is silent/);
    const row = lines.find(({ text }) => text.startsWith('2 '));
    expect(row?.text).toContain('paused');
    expect(row?.colour).toBe('yellow');
  });

  it('says it where nobody answers, and where there is no topic', () => {
    const silent = render(lookAt({ nobody: true }), null, NO_NEWS, TERMINAL);
    expect(silent[0]).toEqual({ text: 'No broker answers', colour: 'red' });
    expect(silent.find(({ text }) => text.startsWith('1 '))?.text).toContain('starting');
    expect(texts(lookAt({}), null, NO_NEWS, TERMINAL).at(-1)).toMatch(
      /^No topics yet: npx tidemark/,
    );
  });

  it('keeps the hint whole beside news that come and go', () => {
    const hint = 'export TIDEMARK_SERVER=127.0.0.1:19841,127.0.0.1:19842,127.0.0.1:19843';
    expect(texts(lookAt({ partitions: 100 }), null, { events: [], hint }, TERMINAL)).toContain(
      hint,
    );
  });
});
