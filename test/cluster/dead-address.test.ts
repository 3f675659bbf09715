/**
 * Pods that move: each broker comes back under its name at another address, while the old address
 * swallows packets, as that of a deleted pod does.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { BlackHole } from '../fixtures/black-hole.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt } from './harness/direct.ts';
import { Names } from './harness/names.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

/** For so long SYNs to a deleted pod were seen to vanish before something refused them. */
const SWALLOWS_MS = 45_000;
const CALL_MS = 2_000;

const hostOf = (brokerId: number): string => `broker-${brokerId}`;
const addressOf = (brokerId: number, life: number): string => `127.1.${brokerId}.${life}`;

const portOf = (address: string): number => Number(address.split(':')[1]);

function listeners(host: string, port: number, internalPort: number): string[] {
  return ['--listen', `${host}:${port}`, '--internal-listen', `${host}:${internalPort}`];
}

// Whole 127.0.0.0/8 is this machine on Linux alone, and so is a full backlog that swallows SYNs.
const isLinux = process.platform === 'linux';

function listens(host: string, port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (answer: true | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true)).once('error', () => end(undefined));
  });
}

describe.skipIf(!isLinux)('brokers that move (needs the loopback network of Linux)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-names-'));
  const names = new Names(
    folder,
    Object.fromEntries([1, 2, 3].map((brokerId) => [hostOf(brokerId), addressOf(brokerId, 1)])),
  );
  const uninstall = names.install();
  const holes: BlackHole[] = [];
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await TestCluster.start({
      hostOf,
      env: names.env,
      argsOf: (brokerId, port, internalPort) => [
        ...listeners(addressOf(brokerId, 1), port, internalPort),
        ...['--advertise', `${hostOf(brokerId)}:${port}`],
        ...['--internal-advertise', `${hostOf(brokerId)}:${internalPort}`],
      ],
    });
  });
  afterAll(async () => {
    for (const hole of holes) hole.close();
    await cluster.close();
    uninstall();
    rmSync(folder, { recursive: true, force: true });
  });

  /**
   * The quorum's leader has brought this voter up to what is committed: its raft stream reaches it.
   */
  async function waitReplicating(brokerId: number): Promise<void> {
    await cluster.wait(`the quorum to reach broker ${brokerId}`, async (note) => {
      const leader = await cluster.controller();
      const { address } = cluster.broker(leader);
      const quorum = await callAt(address, AdminServiceService.describeQuorum, {}, CALL_MS);
      note(quorum);
      const member = quorum.members.find((one) => one.brokerId === brokerId);
      return when(member !== undefined && member.matchIndex >= quorum.commitIndex);
    });
  }

  async function move(brokerId: number, { topic, progress }: Scene): Promise<void> {
    const broker = cluster.broker(brokerId);
    const [port, internalPort] = [portOf(broker.address), portOf(broker.internalAddress)];
    await broker.stop();
    const opened = await Promise.all(
      [port, internalPort].map((each) => BlackHole.open(addressOf(brokerId, 1), each)),
    );
    holes.push(...opened);
    const timer = setTimeout(() => opened.forEach((hole) => hole.close()), SWALLOWS_MS);
    // Brokers are sure to dial it; clients may learn in time that it has gone.
    await cluster.wait('a broker to be swallowed', () => when((opened[1]?.waiting() ?? 0) > 0));
    broker.options = listeners(addressOf(brokerId, 2), port, internalPort);
    const before = (await cluster.registered(brokerId)).brokerEpoch;
    broker.start();
    // Others learn of the new address last, as from a DNS server that remembers the old one.
    await cluster.wait('the successor to listen', () => listens(addressOf(brokerId, 2), port));
    names.set(hostOf(brokerId), addressOf(brokerId, 2));
    await cluster.waitServing(new Map([[brokerId, before]]));
    await cluster.waitInSync(topic.name);
    await waitReplicating(brokerId);
    await progress();
    // Had anybody waited for TCP, the old address would no longer swallow.
    expect(opened.map((hole) => hole.isOpen)).toEqual([true, true]);
    clearTimeout(timer);
  }

  it('are found at their new addresses while the old ones swallow packets', async () => {
    const { verdict, longestGapMs, retries } = await underLoad(cluster, {}, async (scene) => {
      for (const { brokerId } of cluster.brokers) await move(brokerId, scene);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    console.log(
      `three brokers moved, old addresses swallowing: ${verdict.acknowledged} appends, longest gap between two acknowledgements of a partition ${longestGapMs.toFixed(0)} ms, ${retries} batches sent again`,
    );
  });
});
