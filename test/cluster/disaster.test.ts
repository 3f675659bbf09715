/**
 * docs/disaster.md, on real brokers: topics as files, volumes of stopped brokers, snapshots of
 * running ones. Each command of the page is run here.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { ROOT, tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';

const RECORDS = 1_000;
const { RESTART_CLASS_CLEAN, RESTART_CLASS_LOSSY, RESTART_CLASS_NEW } = RestartClass;

/** Commands that were run, as the page writes them. */
const ran = new Set<string>();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-disaster-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** @param written the command as the page has it */
async function run(cluster: TestCluster, written: string, stdin?: Buffer): Promise<string> {
  ran.add(written);
  const [line = '', output] = written.split(' > ');
  const args = line
    .split(' ')
    .slice(1)
    .map((arg) => (arg === 'orders.jsonl' ? join(folder, arg) : arg));
  const result = await tidemark([...args, '--server', cluster.servers.join(',')], stdin).result;
  expect(result, result.stderr).toMatchObject({ code: 0 });
  if (output !== undefined) writeFileSync(join(folder, output), result.stdout);
  return result.stdout.toString();
}

function recordsOf(name: string): string[] {
  return Array.from({ length: RECORDS }, (_, number) => `${name} ${number}`);
}

async function append(cluster: TestCluster, name: string): Promise<void> {
  const stdin = Buffer.from(`${recordsOf(name).join('\n')}\n`);
  await run(cluster, 'tidemark append orders', stdin);
}

/** Every record of the topic, of all partitions, sorted. */
async function read(cluster: TestCluster): Promise<string[]> {
  const text = await run(cluster, 'tidemark read orders --format raw');
  return text.trimEnd().split('\n').sort();
}

async function createOrders(cluster: TestCluster): Promise<void> {
  await run(cluster, 'tidemark topic create orders --partitions 2 --replication-factor 3');
}

/** Copies the directories of brokers, and later puts them in the place of what is there. */
class Copies {
  readonly #folder = mkdtempSync(join(folder, 'copies-'));

  take(cluster: TestCluster, brokerId: number): void {
    const { dataDir } = cluster.broker(brokerId);
    cpSync(dataDir, join(this.#folder, `${brokerId}`), { recursive: true });
  }

  restore(cluster: TestCluster, brokerId: number): void {
    const { dataDir } = cluster.broker(brokerId);
    rmSync(dataDir, { recursive: true });
    cpSync(join(this.#folder, `${brokerId}`), dataDir, { recursive: true });
  }
}

/**
 * Starts brokers on copies and resolves to their restart classes, once they count. The metadata of
 * the copies shows registrations of before, so each broker is asked for its own.
 */
async function startFrom(cluster: TestCluster, ids: readonly number[]): Promise<RestartClass[]> {
  for (const id of ids) cluster.broker(id).start();
  return cluster.wait('brokers of copies in service', async (note) => {
    const own = await Promise.all(ids.map((id) => cluster.admin.describeBroker(id)));
    const { brokers } = await cluster.describe();
    note({ own, brokers });
    const isServing = own.every(({ brokerId, brokerEpoch }) =>
      brokers.some(
        (each) => each.brokerId === brokerId && each.brokerEpoch === brokerEpoch && !each.fenced,
      ),
    );
    return isServing ? own.map(({ restartClass }) => restartClass) : undefined;
  });
}

describe('topics as files', () => {
  let before: TestCluster;
  let after: TestCluster;
  beforeAll(async () => {
    before = await TestCluster.start();
  });
  afterAll(() => Promise.all([before.close(), after.close()]));

  it('come back in a cluster that is made from nothing', async () => {
    await createOrders(before);
    await append(before, 'first');
    await run(before, 'tidemark topic export orders > orders.jsonl');
    await run(before, 'tidemark access list --output json');
    await before.killAll();
    after = await TestCluster.start();
    expect(after.clusterId).not.toBe(before.clusterId);
    // As a LogTopic makes it, before anybody imports.
    await createOrders(after);
    await run(after, 'tidemark topic import orders orders.jsonl');
    await run(after, 'tidemark topic import orders orders.jsonl --resume');
    expect(await read(after)).toEqual(recordsOf('first').sort());
    const since = await run(after, 'tidemark read orders --from 2026-01-01');
    expect(since.trimEnd().split('\n').length).toBeGreaterThanOrEqual(RECORDS);
  });

  it('are not needed for one broker, which begins with an empty volume', async () => {
    await run(after, 'tidemark cluster check-disruption 1');
    await after.broker(1).stop();
    rmSync(after.broker(1).dataDir, { recursive: true });
    const [registered] = await after.restart(1);
    expect(registered?.restartClass).toBe(RESTART_CLASS_NEW);
    await after.waitInSync('orders');
    expect(await read(after)).toEqual(recordsOf('first').sort());
  });
});

describe('copies of volumes', () => {
  let cluster: TestCluster;
  const ids = [1, 2, 3];
  beforeAll(async () => {
    cluster = await TestCluster.start();
    await createOrders(cluster);
    await append(cluster, 'first');
  });
  afterAll(() => cluster.close());

  it('of one stop are the cluster as it was then', async () => {
    const copies = new Copies();
    for (const id of ids) await cluster.broker(id).stop();
    for (const id of ids) copies.take(cluster, id);
    await startFrom(cluster, ids);
    await append(cluster, 'later');
    await cluster.killAll();
    for (const id of ids) copies.restore(cluster, id);
    // A copy is looked at before it is used.
    const verified = await tidemark(['log', 'verify', cluster.broker(1).dataDir]).result;
    ran.add('tidemark log verify /var/lib/tidemark');
    expect(verified, verified.stdout.toString()).toMatchObject({ code: 0 });
    expect(await startFrom(cluster, ids)).toEqual(ids.map(() => RESTART_CLASS_CLEAN));
    expect(await read(cluster)).toEqual(recordsOf('first').sort());
    expect((await cluster.describe()).losses).toEqual([]);
    await append(cluster, 'after it');
  });

  /** Snapshots of running brokers, one after the other, while records come. */
  async function snapshots(): Promise<Copies> {
    const copies = new Copies();
    for (const id of ids) {
      // Of one moment, as a snapshot is.
      cluster.broker(id).pause();
      copies.take(cluster, id);
      cluster.broker(id).resume();
      await append(cluster, `after snapshot ${id}`);
    }
    await cluster.killAll();
    return copies;
  }

  it('of running brokers wait for a person, and then hold everything from before the first', async () => {
    const before = await read(cluster);
    const copies = await snapshots();
    for (const id of ids) copies.restore(cluster, id);
    expect(await startFrom(cluster, ids)).toEqual(ids.map(() => RESTART_CLASS_LOSSY));
    const { partitions } = await cluster.admin.describeTopic('orders');
    expect(partitions.map(({ leader }) => leader)).toEqual([undefined, undefined]);
    const text = await run(cluster, 'tidemark cluster describe');
    expect(text).toContain('has no leader; suspect: ');
    await run(cluster, 'tidemark topic alter orders --unclean-election true');
    await cluster.waitInSync('orders');
    expect(await run(cluster, 'tidemark cluster describe')).toContain(
      'Records may be lost: orders',
    );
    await run(cluster, 'tidemark topic alter orders --unclean-election false');
    expect(await read(cluster)).toEqual(expect.arrayContaining(before));
    await append(cluster, 'after the snapshots');
  });

  it('of which one is missing come back without it', async () => {
    const before = await read(cluster);
    const copies = await snapshots();
    for (const id of [1, 2]) copies.restore(cluster, id);
    rmSync(cluster.broker(3).dataDir, { recursive: true });
    await startFrom(cluster, [1, 2]);
    await run(cluster, 'tidemark topic alter orders --unclean-election true');
    await run(cluster, 'tidemark cluster elect orders 0 --unclean --given-up 3');
    await run(cluster, 'tidemark cluster elect orders 1 --unclean --given-up 3');
    await startFrom(cluster, [3]);
    await cluster.waitInSync('orders');
    await run(cluster, 'tidemark topic alter orders --unclean-election false');
    expect(await read(cluster)).toEqual(expect.arrayContaining(before));
  });
});

it('docs/disaster.md has no command that was not run', () => {
  const page = readFileSync(join(ROOT, 'docs', 'disaster.md'), 'utf8');
  const inBlocks = [...page.matchAll(/^ {4}(?<command>tidemark .*)$/gm)].map(
    ({ groups }) => groups?.['command'] ?? '',
  );
  // The upload is the reader's own.
  const commands = inBlocks.filter((command) => !command.includes('<upload>'));
  expect(commands.length).toBeGreaterThan(10);
  expect(commands.filter((command) => !ran.has(command))).toEqual([]);
});
