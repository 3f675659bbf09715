/**
 * Loss that really happened: every copy was cut short, emptied or given up. The report is exact:
 * each missing record lies in it, and no other is missing.
 */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LossRange, Position } from '../../client/index.ts';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import type { Topic } from '../../client/admin-types.ts';
import type { LossReport } from '../../proto/gen/tidemark/v1/losses.ts';
import { readHeader } from '../../wire/batch/frame.ts';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Append, check } from './harness/history.ts';
import { Load, type LoadReport } from './harness/load.ts';
import { readAll, verify } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

/** Broker 1 alone votes on metadata, and holds nothing of the topic. */
const REPLICAS = [3, 4, 5];
const SHAPE = {
  assignments: [REPLICAS],
  config: {
    minInSyncReplicas: 2,
    uncleanElection: true,
  },
};

describe('loss of every copy', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: 5, voters: 1, args: ['--voters-max', '1'] });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  async function appendTo(topic: Topic, records: number, name: string): Promise<LoadReport> {
    const load = new Load(() => cluster.connect(), { topic: topic.name, name });
    await cluster.wait(`${records} records`, (note) => {
      note({ acknowledged: [...load.acknowledged], failed: load.failed.slice(0, 3) });
      return when((load.acknowledged.get(0) ?? 0) >= records);
    });
    return load.stop();
  }

  /** Kills the replicas one after the other, so that each death is known before the next. */
  async function killAll(topic: Topic): Promise<void> {
    for (const brokerId of [...REPLICAS].reverse()) {
      await cluster.broker(brokerId).kill();
      await cluster.wait(`broker ${brokerId} to be fenced`, async () =>
        when((await cluster.registered(brokerId)).fenced),
      );
    }
    expect((await cluster.partition(topic.name)).leader).toBeUndefined();
  }

  /** What a restart of the machine does to the claim that a log is whole. */
  function reboot(brokerId: number): void {
    const file = cluster.broker(brokerId).file('session.json');
    const session = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...session, bootId: 'another boot' }));
  }

  /** What it does to a log: the last frames are gone. @returns end of what is left */
  function cut(brokerId: number, { topicId }: Topic, keep: number): number {
    const folder = cluster.broker(brokerId).file('partitions', `${topicId}-0`);
    const [segment = ''] = readdirSync(folder).filter((name) => name.endsWith('.log'));
    const bytes = readFileSync(`${folder}/${segment}`);
    let at = 0;
    let end = 0;
    while (at < bytes.length) {
      const { baseOffset, lastOffsetDelta, length } = readHeader(bytes, at);
      if (at + length > bytes.length * keep) break;
      end = baseOffset + lastOffsetDelta + 1;
      at += length;
    }
    truncateSync(`${folder}/${segment}`, at);
    return end;
  }

  /**
   * The one report about the topic, once it has a leader again, as each broker and the command show
   * it.
   */
  async function reported(topic: Topic): Promise<LossReport> {
    const { leader, leaderEpoch } = await cluster.wait('a leader', async (note) => {
      const partition = await cluster.partition(topic.name);
      note(partition);
      return partition.leader === undefined ? undefined : partition;
    });
    const { losses } = await cluster.describe();
    const [loss, ...others] = losses.filter(({ topicId }) => topicId === topic.topicId);
    expect(others).toEqual([]);
    if (loss === undefined) throw new Error(`no loss of ${topic.name} is reported`);
    expect(loss).toMatchObject({ topic: topic.name, partition: 0, leader, leaderEpoch });
    expect(await cluster.broker(1).metric('tidemark_loss_reports')).toBe(losses.length);
    const servers = cluster.servers.join(',');
    const { stdout } = await tidemark(['cluster', 'describe', '--server', servers]).result;
    expect(stdout.toString()).toContain(
      `Records may be lost: ${topic.name}/0 from offset ${loss.fromOffset} of epochs before ${leaderEpoch} (unclean election, `,
    );
    return loss;
  }

  /**
   * Appends more, and checks that of all that was acknowledged exactly the reported range is
   * missing, on every copy.
   */
  async function checkRange(
    topic: Topic,
    appends: readonly Append[],
    { fromOffset }: LossReport,
  ): Promise<void> {
    const later = await appendTo(topic, 100, 'later');
    const kept = appends.filter(
      ({ outcome }) => outcome.kind !== 'acknowledged' || outcome.offset < fromOffset,
    );
    await verify(cluster, topic, {
      appends: [...kept, ...later.appends],
      consumed: later.consumed,
    });
    const stored = await readAll(cluster, topic.name);
    const { violations } = check([...appends, ...later.appends], stored);
    expect(violations.filter(({ kind }) => !kind.startsWith('lost-'))).toEqual([]);
    expect(violations).toHaveLength(appends.length - kept.length);
    expect(violations.length).toBeGreaterThan(0);
  }

  /** Positions after the first batch of the partition, and after its last. */
  async function positionsIn({ name: topic }: Topic): Promise<(readonly Position[])[]> {
    await using client = cluster.connect();
    const found: (readonly Position[])[] = [];
    const consumer = client.consumer({ topic, follow: false });
    for await (const batch of consumer)
      if (batch.records.length > 0) found.push(consumer.positions());
    return [found[0]!, found.at(-1)!];
  }

  /** Whose position was cut off is told so, however short or long the log is by now. */
  async function checkCutOff(
    { name: topic }: Topic,
    { fromOffset, leaderEpoch, topicId }: LossReport,
    positions: readonly Position[],
  ): Promise<void> {
    await using client = cluster.connect();
    const range = { kind: 'loss', topic, topicId, partition: 0, leaderEpoch, fromOffset };
    await expect(client.consumer({ topic, positions }).records().next()).rejects.toMatchObject({
      code: 'POSITION_DIVERGED',
      details: { losses: [range] },
    });
  }

  /**
   * Whoever comes across the range is told of it, once, between the records of earlier epochs and
   * those of later ones.
   */
  async function checkReaders(
    { name: topic }: Topic,
    { fromOffset, leaderEpoch, topicId }: LossReport,
    early: readonly Position[],
    cutOff: readonly Position[],
  ): Promise<void> {
    await using client = cluster.connect();
    const range = { kind: 'loss', topic, topicId, partition: 0, leaderEpoch, fromOffset };
    for (const positions of [[], early]) {
      const consumer = client.consumer({ topic, positions, follow: false, onLoss: 'yield' });
      let told: LossRange | undefined;
      for await (const item of consumer.records()) {
        if ('kind' in item) {
          expect([told, item]).toMatchObject([undefined, range]);
          told = item;
          const behind = { offset: item.toOffset, leaderEpoch };
          expect(consumer.positions()).toMatchObject([behind]);
        } else {
          expect(item.leaderEpoch >= leaderEpoch).toBe(told !== undefined);
        }
      }
      expect(told).toBeDefined();
      expect(told?.toOffset).toBeGreaterThanOrEqual(fromOffset);
      const throwing = client.consumer({ topic, positions, follow: false });
      const read = async (): Promise<void> => {
        for await (const record of throwing.records())
          expect(record.leaderEpoch).toBeLessThan(leaderEpoch);
      };
      await expect(read()).rejects.toMatchObject({
        code: 'RECORDS_MAY_BE_LOST',
        details: { losses: [range] },
      });
    }
    const resumed = { topic, positions: cutOff, onReset: 'latest', onLoss: 'yield' } as const;
    const goingOn = client.consumer(resumed);
    expect(await goingOn.records().next()).toMatchObject({ value: range });
    const servers = cluster.servers.join(',');
    const command = await tidemark(['read', topic, '--server', servers]).result;
    expect(command.stderr).toContain(
      `Records may be lost: ${topic}/0 from offset ${fromOffset} of epochs before ${leaderEpoch}`,
    );
    expect(command.stderr.split('Records may be lost')).toHaveLength(2);
  }

  it('is reported to the record, and to readers, where two were cut short and the third was given up by name', async () => {
    const topic = await cluster.createTopic(SHAPE);
    const { appends } = await appendTo(topic, 300, 'early');
    const positions = await positionsIn(topic);
    await killAll(topic);
    for (const brokerId of [3, 4]) reboot(brokerId);
    const ends = [cut(3, topic, 0.3), cut(4, topic, 0.6)];
    for (const brokerId of [3, 4]) cluster.broker(brokerId).start();
    await cluster.wait('both to be there, and distrusted', async (note) => {
      const brokers = await Promise.all([3, 4].map((id) => cluster.registered(id)));
      note(brokers);
      return when(
        brokers.every(
          ({ fenced, restartClass }) =>
            !fenced && restartClass === RestartClass.RESTART_CLASS_LOSSY,
        ),
      );
    });
    const place = { topic: topic.name, partition: 0, unclean: true };
    await expect(cluster.admin.electLeader(place)).rejects.toThrow(
      'brokers 5 are fenced, must return or be given up by name',
    );
    await cluster.admin.electLeader({ ...place, givenUp: [5] });
    const loss = await reported(topic);
    expect(loss.fromOffset).toBe(Math.max(...ends));
    // It has what the report gives up. It comes back all the same, and takes the others' log.
    cluster.broker(5).start();
    const [early = [], cutOff = []] = positions;
    await checkCutOff(topic, loss, cutOff);
    await checkRange(topic, appends, loss);
    await checkCutOff(topic, loss, cutOff);
    await checkReaders(topic, loss, early, cutOff);
    await cluster.admin.deleteTopic(topic.name);
  });

  it('is reported from the start where all were emptied', async () => {
    const topic = await cluster.createTopic(SHAPE);
    const { appends } = await appendTo(topic, 100, 'early');
    await killAll(topic);
    for (const brokerId of REPLICAS) {
      rmSync(cluster.broker(brokerId).file('partitions'), { recursive: true });
      reboot(brokerId);
    }
    await cluster.restart(...REPLICAS);
    const loss = await reported(topic);
    expect(loss.fromOffset).toBe(0);
    await checkRange(topic, appends, loss);
    await using client = cluster.connect();
    await expect(client.consumer({ topic: topic.name }).records().next()).rejects.toMatchObject({
      code: 'RECORDS_MAY_BE_LOST',
      details: { losses: [{ fromOffset: 0, toOffset: 0 }] },
    });
    await cluster.admin.deleteTopic(topic.name);
  });
});
