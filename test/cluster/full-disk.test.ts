/**
 * A volume that is full is a state, not an accident: appends are refused, everything else works,
 * and it passes.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Producer } from '../../client/index.ts';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { AckLevel } from '../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import { TestCluster } from './harness/cluster.ts';
import { DirectProduce } from './harness/direct.ts';
import { readAll } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 48 * MIB;
const ARGS = [
  '--disk-reserve-bytes',
  `${12 * MIB}`,
  '--replica-lag-ms-max',
  '1000',
  '--retention-check-ms',
  '100',
];
/** Broker whose volume is small. */
const SMALL = 3;
const SEGMENT_BYTES = 2 * MIB;
const RECORD_BYTES = 64 * 1024;

/** Mounts a small volume on a folder. Returns why that is not possible here, or undefined. */
function mountSmall(folder: string): string | undefined {
  const options = `size=${VOLUME_BYTES}`;
  const { status, error, stderr } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', options, 'tmpfs', folder],
    {
      encoding: 'utf8',
    },
  );
  return status === 0
    ? undefined
    : `a volume cannot be mounted here: ${error?.message ?? stderr.trim()}`;
}

/** Takes what is free on the volume of a file, to the last byte. */
function fillUp(path: string): void {
  const file = openSync(path, 'a');
  let bytes = MIB;
  while (bytes > 0) if (!hasRoomFor(file, bytes)) bytes = Math.floor(bytes / 2);
  closeSync(file);
}

function hasRoomFor(file: number, bytes: number): boolean {
  try {
    writeSync(file, Buffer.alloc(bytes));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
    throw error;
  }
}

describe('broker with a full disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-volume-'));
  const obstacle = mountSmall(folder);
  let cluster: TestCluster;
  beforeAll(async () => {
    if (obstacle !== undefined) return;
    const dataDirOf = (brokerId: number): string | undefined =>
      brokerId === SMALL ? join(folder, 'data') : undefined;
    cluster = await TestCluster.start({ args: ARGS, dataDirOf });
  });
  afterAll(async () => {
    try {
      // Absent where its start failed: what was mounted must go all the same.
      await (cluster as TestCluster | undefined)?.close();
    } finally {
      if (obstacle === undefined) spawnSync('umount', [folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  async function createTopic(name: string, replicas: number[]): Promise<string> {
    // What the test before deleted is gone from the volume.
    await cluster.wait('room on the small volume', async (note) => {
      const { freeBytes } = await cluster.admin.describeBroker(SMALL);
      note(freeBytes);
      return when(freeBytes > 2 * SEGMENT_BYTES);
    });
    const config = { minInSyncReplicas: 2, segmentBytes: SEGMENT_BYTES } as const;
    const assignments = [{ replicas }];
    const { topicId } = await cluster.admin.createTopic({ name, config, assignments });
    await cluster.waitInSync(name);
    return topicId;
  }

  /**
   * Appends large records until `isEnough`; each is handed in when the one before was acknowledged.
   * Returns how many were.
   */
  async function fill(
    producer: Producer,
    topic: string,
    isEnough: () => boolean | Promise<boolean>,
  ): Promise<number> {
    let count = 0;
    for (; !(await isEnough()); count += 1)
      await producer.send({ topic, partition: 0, value: Buffer.alloc(RECORD_BYTES, `${count} `) });
    return count;
  }

  it('that leads refuses appends, still reads and administers, and goes on when space is free', async (context) => {
    if (obstacle !== undefined) context.skip(obstacle);
    const name = 'led';
    const topicId = await createTopic(name, [SMALL, 1, 2]);
    const frame = encodeBatch(
      [{ value: Buffer.alloc(RECORD_BYTES), timestampMs: Date.now() }],
      { codec: 0 },
      crc32,
    );
    const produce = new DirectProduce(cluster.broker(SMALL).address);
    const acknowledged: number[] = [];
    const appendOne = async (batchId: number): Promise<string> => {
      produce.send({ topicId, partition: 0 }, new Map([[batchId, frame]]), AckLevel.ACK_LEVEL_ALL);
      const result = await cluster.wait('the answer to an append', () =>
        produce.results.find((one) => one.batchId === batchId),
      );
      if (result.error === undefined) acknowledged.push(result.baseOffset);
      return result.error?.code ?? '';
    };
    let batchId = 0;
    let refusal = '';
    while (refusal === '' && batchId * RECORD_BYTES < VOLUME_BYTES)
      refusal = await appendOne(batchId++);
    expect(refusal).toBe('DISK_FULL');
    const offsets = async (): Promise<number[]> =>
      (await readAll(cluster, name)).map(({ offset }) => offset);
    expect(await offsets()).toEqual(acknowledged);
    expect(cluster.broker(SMALL).isRunning).toBe(true);
    await cluster.admin.createTopic({ name: 'while-full', partitions: 1 });
    await cluster.admin.deleteTopic('while-full');
    expect(await cluster.leader(name)).toBe(SMALL);
    await cluster.admin.alterTopic({
      name,
      config: { retentionBytes: 2 * SEGMENT_BYTES },
    });
    await cluster.wait('an append after space was freed', async (note) => {
      const code = await appendOne(batchId++);
      note(code);
      return code === '' ? true : undefined;
    });
    produce.close();
    const left = await offsets();
    expect(left).toEqual(acknowledged.slice(acknowledged.length - left.length));
    await cluster.admin.deleteTopic(name);
  });

  it('that follows leaves the sync set, retires what its leader retires, and comes back', async (context) => {
    if (obstacle !== undefined) context.skip(obstacle);
    const name = 'followed';
    const topicId = await createTopic(name, [1, 2, SMALL]);
    const producer = cluster.client.producer();
    // A stall of this machine takes it out too, for a moment.
    const isOut = async (): Promise<boolean> =>
      (await cluster.admin.describeBroker(SMALL)).freeBytes < RECORD_BYTES * 2 &&
      !(await cluster.partition(name)).syncSet.includes(SMALL);
    const before = await fill(producer, name, isOut);
    const [first] = await readAll(cluster, name);
    expect(first?.offset).toBe(1);
    let more = 0;
    await fill(producer, name, () => more++ === 10);
    expect(cluster.broker(SMALL).isRunning).toBe(true);
    expect(await readAll(cluster, name)).toHaveLength(before + 10);
    await cluster.admin.alterTopic({
      name,
      config: { retentionBytes: 2 * SEGMENT_BYTES },
    });
    await cluster.wait('the follower to retire records', async (note) => {
      const replicas = await cluster.replicas(topicId);
      note(replicas);
      const follower = replicas.find(({ brokerId }) => brokerId === SMALL);
      return follower !== undefined && follower.logStart > 0 ? true : undefined;
    });
    await cluster.broker(SMALL).stop();
    await cluster.restart(SMALL);
    await cluster.waitInSync(name);
    await producer.send({ topic: name, partition: 0, value: Buffer.from('last') });
    await producer.close();
    const held = await cluster.waitSettled(name);
    expect(held.get(0)?.highWaterMark).toBe(1 + before + 10 + 1);
  });

  it('that others have filled to the last byte is not condemned, whatever it is about', async (context) => {
    if (obstacle !== undefined) context.skip(obstacle);
    await createTopic('idle', [SMALL, 1, 2]);
    await createTopic('busy', [1, 2, SMALL]);
    const producer = cluster.client.producer();
    const append = (topic: string, value: string): Promise<unknown> =>
      producer.send({ topic, partition: 0, value: Buffer.from(value) });
    for (const value of ['a', 'b', 'c']) await append('idle', value);
    await append('busy', 'before');
    const idle = await readAll(cluster, 'idle');
    const { brokerEpoch } = await cluster.registered(SMALL);
    // Whoever cannot write leads nothing while somebody else can (rule 22).
    const passedOver = (): Promise<unknown> =>
      cluster.wait('the word that its volume is short', async (note) => {
        const { leader, cannotLead } = await cluster.partition('idle');
        note({ leader, cannotLead });
        const isSaid = cannotLead.some(
          ({ brokerId, reason }) => brokerId === SMALL && reason === 'disk-short',
        );
        return when(isSaid && leader !== SMALL);
      });
    const filler = join(folder, 'filler');
    fillUp(filler);
    const isOut = async (): Promise<boolean> =>
      !(await cluster.partition('busy')).syncSet.includes(SMALL);
    await fill(producer, 'busy', isOut);
    await cluster.wait('the report that the disk is full', async () => {
      const { diskFault } = await cluster.admin.describeBroker(SMALL);
      return diskFault === '' ? undefined : true;
    });
    expect(await cluster.broker(SMALL).metric('tidemark_disk_full')).toBe(1);
    // Neither left nor started again: nothing was lost.
    expect((await cluster.registered(SMALL)).brokerEpoch).toBe(brokerEpoch);
    expect(await readAll(cluster, 'idle')).toEqual(idle);

    fillUp(filler);
    await cluster.broker(SMALL).kill();
    const [warm] = await cluster.restart(SMALL);
    expect(warm?.restartClass).toBe(RestartClass.RESTART_CLASS_WARM);
    await passedOver();
    expect(await readAll(cluster, 'idle')).toEqual(idle);

    fillUp(filler);
    await cluster.broker(SMALL).stop();
    const [clean] = await cluster.restart(SMALL);
    expect(clean?.restartClass).toBe(RestartClass.RESTART_CLASS_CLEAN);
    await passedOver();
    expect(await readAll(cluster, 'idle')).toEqual(idle);

    rmSync(filler);
    await cluster.waitInSync('busy');
    await cluster.waitInSync('idle');
    await cluster.lead('idle', 0, SMALL);
    await append('idle', 'after');
    await producer.close();
    expect(await readAll(cluster, 'idle')).toHaveLength(idle.length + 1);
    expect(await cluster.broker(SMALL).metric('tidemark_disk_full')).toBe(0);
  });
});
