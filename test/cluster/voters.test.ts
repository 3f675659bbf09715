/**
 * The metadata quorum follows the brokers: it grows, shrinks, spreads over racks and replaces its
 * dead, while records flow.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

/** A voter that is gone is replaced at once. */
const REPLACE = ['--voter-replace-ms', '200'];
/** A topic may wait so long for its copies. */
const WAIT_MS = 20_000;

/** Looks at the quorum all the time, as its leader describes it. */
class VoterWatch {
  /** Sets of voters in the order in which they were seen. */
  readonly seen: string[] = [];
  /** Looks at which those running were no majority. */
  readonly faults: string[] = [];
  readonly #cluster: TestCluster;
  readonly #looking: Promise<void>;
  #isOver = false;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    this.#looking = this.#look();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#looking;
  }

  /** Resolves when these vote, and nobody else. */
  async vote(...ids: readonly number[]): Promise<void> {
    await this.some(`to vote: ${ids.join()}`, (voters) => voters.join() === ids.join());
  }

  /** Resolves to the voters as soon as they are as wanted. */
  some(what: string, isWanted: (voters: readonly number[]) => boolean): Promise<number[]> {
    return this.#cluster.wait(what, async (note) => {
      const voters = await this.#voters();
      note({ voters, seen: this.seen });
      return isWanted(voters) ? voters : undefined;
    });
  }

  async #voters(): Promise<number[]> {
    const { members } = await this.#cluster.admin.describeQuorum();
    return members.filter(({ voter }) => voter).map(({ brokerId }) => brokerId);
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      // Before the answer: whoever dies while it travels is counted as running still.
      const running = this.#cluster.brokers.filter(({ isRunning }) => isRunning);
      const ids = new Set(running.map(({ brokerId }) => brokerId));
      const voters = await this.#voters().catch(() => []);
      const standing = voters.filter((id) => ids.has(id));
      if (voters.length > 0 && standing.length * 2 <= voters.length)
        this.faults.push(`${standing.join()} of ${voters.join()}`);
      if (voters.length > 0 && this.seen.at(-1) !== voters.join()) this.seen.push(voters.join());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('voters', () => {
  let cluster: TestCluster | undefined;
  afterEach(() => cluster?.close());

  /** Empties a broker, stops it and removes it. */
  async function retire(from: TestCluster, brokerId: number): Promise<void> {
    await from.wait(`broker ${brokerId} to be empty`, async (note) => {
      const left = await from.admin.decommission(brokerId);
      note({ left });
      return when(left === 0);
    });
    if (from.broker(brokerId).isRunning) await from.leave(brokerId);
    await from.wait(`broker ${brokerId} to be removed`, async (note) => {
      await from.admin.removeBroker(brokerId).catch((error: unknown) => {
        note(error);
        throw error;
      });
      return when(true);
    });
  }

  it('grow from one to five, lose one and the controller, and shrink to one', async () => {
    const growing = await TestCluster.start({
      brokers: 6,
      initially: 1,
      args: ['--voters-max', '5', ...REPLACE],
    });
    cluster = growing;
    const watch = new VoterWatch(growing);
    const { verdict } = await underLoad(
      growing,
      { replicationFactor: 1, config: { minInSyncReplicas: 1 }, copies: 1 },
      async ({ topic: { name }, progress }: Scene) => {
        const copies = async (replicationFactor: number, minInSyncReplicas: number) => {
          const lower = { name, config: { minInSyncReplicas }, waitMs: WAIT_MS };
          const other = { name, replicationFactor, waitMs: WAIT_MS };
          for (const change of minInSyncReplicas === 1 ? [lower, other] : [other, lower])
            await growing.admin.alterTopic(change);
          await growing.waitInSync(name);
        };
        await watch.vote(1);
        await growing.join(2, 3);
        await watch.vote(1, 2, 3);
        await copies(3, 2);
        await progress();

        const joining = growing.join(4, 5);
        await watch.some('a fourth voter', (voters) => voters.length >= 4);
        const first = await growing.controller();
        await growing.broker(first).kill();
        await joining.catch(() => undefined);
        await progress();
        await growing.restart(first);
        await watch.vote(1, 2, 3, 4, 5);

        await growing.join(6);
        const second = await growing.controller();
        const dead = second === 3 ? 4 : 3;
        await growing.lose(dead);
        await watch.some('the sixth to vote instead of the dead', (voters) => {
          return voters.length === 5 && voters.includes(6) && !voters.includes(dead);
        });
        await progress();
        await retire(growing, dead);

        for (const id of [6, 5]) await retire(growing, id);
        await watch.some('three voters', (voters) => voters.length === 3);
        await progress();
        const [stays = 0, ...others] = growing.present.map(({ brokerId }) => brokerId);
        await copies(1, 1);
        for (const id of others) await retire(growing, id);
        await watch.vote(stays);
        await progress();
      },
    );
    await watch.stop();
    console.log(`voters: ${watch.seen.join(' -> ')}`);
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    expect(watch.faults).toEqual([]);
    const sizes = watch.seen.map((voters) => voters.split(',').length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(6);
  });

  it('stand on one rack each, also after one died for good', async () => {
    const racks = ['a', 'a', 'b', 'c'];
    const racked = await TestCluster.start({
      brokers: 4,
      initially: 3,
      args: REPLACE,
      argsOf: (id) => ['--rack', racks[id - 1] ?? ''],
    });
    cluster = racked;
    const watch = new VoterWatch(racked);
    const rackOf = (id: number): string => racks[id - 1] ?? '';
    const isSpread = (voters: readonly number[]): boolean =>
      voters.map(rackOf).toSorted().join('') === 'abc';
    const { verdict } = await underLoad(
      racked,
      { assignments: [[3, 1, 2]] },
      async ({ progress, topic }: Scene) => {
        await watch.vote(1, 2, 3);
        await racked.join(4);
        const voters = await watch.some('one voter on each rack', isSpread);
        const dead = voters.find((id) => rackOf(id) === 'a') ?? 0;
        await racked.lose(dead);
        await watch.some(
          'the other broker on the rack to vote',
          (now) => isSpread(now) && !now.includes(dead),
        );
        await progress();
        await racked.join(dead);
        await racked.waitInSync(topic.name);
      },
    );
    await watch.stop();
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    expect(watch.faults).toEqual([]);
  });
});
