/** Who belongs to the cluster, and where it is found. */
import { describe, expect, it } from 'vitest';
import { DecideRequest } from '../../../../proto/gen/tidemark/internal/v1/quorum.ts';
import { addressOf, hostName, internalAddressOf } from '../sim-broker.ts';
import { keptTopic, onStage, type Stage } from '../stage.ts';

const KEPT = { topic: 'kept', partition: 0 };

function isRegistration(bytes: Uint8Array): boolean {
  return DecideRequest.decode(bytes).request?.$case === 'register';
}

function brokerEpochOf(stage: Stage, brokerId: number): number | undefined {
  return stage.world.image()?.brokers.get(brokerId)?.brokerEpoch;
}

/** A broker that does not lead the quorum. */
function other(stage: Stage): number {
  return stage.world.brokers
    .map(({ brokerId }) => brokerId)
    .find((id) => id !== stage.controller())!;
}

describe('a registration that is delivered late', () => {
  it('of a start that has registered since changes nothing', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      await stage.appendAll(KEPT, 5);
      const late = other(stage);
      stage.kill(late);
      const rule = { path: /Decide/, from: hostName(late), isMeant: isRegistration };
      const held = stage.hold({ ...rule, times: 1 });
      stage.start(late);
      await stage.until('it asks', () => held.count === 1);
      held.failCallers();
      await stage.serving(late);
      await stage.whole();
      const epoch = brokerEpochOf(stage, late);
      const sinceMs = stage.nowMs;
      held.release();
      await stage.pass(5_000);
      expect(brokerEpochOf(stage, late)).toBe(epoch);
      expect(stage.facts('fenced', sinceMs)).toEqual([]);
      expect(stage.world.isWhole()).toBe(true);
      expect(stage.broker(late).starts).toBe(2);
    });
  });

  it('and the one that repeats it, in one moment, are one registration', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      const late = other(stage);
      stage.kill(late);
      const rule = { path: /Decide/, from: hostName(late), isMeant: isRegistration };
      const held = stage.hold({ ...rule, times: 2 });
      stage.start(late);
      await stage.until('it asks', () => held.count === 1);
      held.failCallers();
      await stage.until('it asks again', () => held.count === 2);
      held.release();
      await stage.until('it serves', () => stage.broker(late).isServing, 5_000);
      expect(stage.broker(late).starts).toBe(2);
      expect(stage.facts('registered').filter(({ brokerId }) => brokerId === late)).toHaveLength(2);
    });
  });

  it('of a dead process does not displace its successor', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      await stage.appendAll(KEPT, 5);
      const late = other(stage);
      stage.kill(late);
      const rule = { path: /Decide/, from: hostName(late), isMeant: isRegistration };
      const held = stage.hold({ ...rule, times: 1 });
      stage.start(late);
      await stage.until('it asks', () => held.count === 1);
      stage.kill(late);
      stage.start(late);
      await stage.whole();
      const epoch = brokerEpochOf(stage, late);
      held.release();
      await stage.pass(5_000);
      expect(brokerEpochOf(stage, late)).toBe(epoch);
      expect(stage.world.isWhole()).toBe(true);
      expect(stage.broker(late).starts).toBe(3);
    });
  });
});

describe('a broker that is removed while it is cut off', () => {
  it('ends once it hears of the cluster again', async () => {
    await onStage({ brokers: 4, topics: [keptTopic()] }, async (stage) => {
      const spare = [1, 2, 3, 4].find((id) => !stage.voters().includes(id))!;
      await stage.assign(
        KEPT,
        [1, 2, 3, 4].filter((id) => id !== spare),
      );
      stage.cut(spare);
      await stage.until('it is fenced', () => stage.isFenced(spare));
      stage.broker(spare).isRemoved = true;
      await stage.ask('it is removed', (admin) => admin.removeBroker(spare));
      stage.join(spare);
      await stage.until('its process ends', () => !stage.broker(spare).isRunning, 10_000);
      await stage.appendAll(KEPT, 1);
    });
  });
});

describe('a frame that is corrupt each time it is sent', () => {
  it('concerns its own partition: the others of the pair go on', async () => {
    await onStage({ topics: [keptTopic({}, 'kept', 2)] }, async (stage) => {
      const { network } = stage.world.ground;
      const { leader, followers } = stage.roles(KEPT);
      const [follower] = followers as [number];
      const sound = { topic: 'kept', partition: 1 };
      await stage.assign(sound, [leader, ...followers]);
      const load = stage.load(sound, 20);
      await stage.pass(500);
      const call = stage.append(KEPT, { at: leader, deadlineMs: 3_000 });
      const { value } = stage.world.history.sent.at(-1)!;
      let seen = 0;
      network.onArrival = ({ from, to, frame }) => {
        const { kind, bytes } = frame as { kind: string; bytes: Buffer };
        const isMeant =
          kind === 'message' && from === hostName(leader) && to === hostName(follower);
        const at = isMeant ? bytes.indexOf(value) : -1;
        if (at < 0) return false;
        bytes[at] = 0;
        seen += 1;
        return false;
      };
      await stage.end('the append', call);
      await load.stop();
      // Asked for again a few times, and then rarely.
      expect(seen).toBeGreaterThan(1);
      expect(seen).toBeLessThan(10);
      expect(load.longestGapMs()).toBeLessThan(500);
      network.onArrival = null;
    });
  });
});

describe('an address that swallows packets', () => {
  it('is left for the one where the broker has come up, and appends go on', async () => {
    await onStage({ topics: [keptTopic({}, 'kept', 3)] }, async (stage) => {
      const { network, time } = stage.world.ground;
      const loads = [0, 1, 2].map((partition) => stage.load({ topic: 'kept', partition }, 20));
      await stage.pass(500);
      // As a rolling update replaces pods: each comes back elsewhere, under the same name.
      for (const id of [1, 2, 3]) {
        await stage.stop(id);
        network.swallow(addressOf(id));
        network.swallow(internalAddressOf(id));
        time.after(300, () => {
          stage.start(id);
        });
        await stage.until('it is back', () => stage.world.isWhole(), 5_000);
      }
      for (const load of loads) {
        const sent = await load.stop();
        expect(sent.filter(({ fate }) => fate?.kind !== 'acknowledged')).toEqual([]);
        expect(load.longestGapMs()).toBeLessThan(1_000);
      }
    });
  });
});
