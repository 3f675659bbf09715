/** Who must hold a record before it is acknowledged, and what late requests may do to that. */
import { describe, expect, it } from 'vitest';
import {
  type AlterSyncSet,
  DecideRequest,
} from '../../../../proto/gen/tidemark/internal/v1/quorum.ts';
import { hostName } from '../sim-broker.ts';
import { keptTopic, onStage, type Stage } from '../stage.ts';

const KEPT = { topic: 'kept', partition: 0 };
const QUORUM = { commitMode: 'quorum' } as const;

/** The controller, another voter that leads the partition, and two followers that do not vote. */
async function cast(stage: Stage): Promise<{ c: number; l: number; f1: number; f2: number }> {
  const c = stage.controller();
  const voters = stage.voters();
  const l = voters.find((id) => id !== c)!;
  const [f1, f2] = [1, 2, 3, 4, 5].filter((id) => !voters.includes(id)) as [number, number];
  await stage.assign(KEPT, [l, f1, f2]);
  return { c: stage.controller(), l, f1, f2 };
}

function isHeartbeat(bytes: Uint8Array): boolean {
  return DecideRequest.decode(bytes).request?.$case === 'heartbeat';
}

/** Changes of sync sets that a request asks for, alone or together. */
function changesOf(bytes: Uint8Array): readonly AlterSyncSet[] {
  const { request } = DecideRequest.decode(bytes);
  if (request?.$case === 'alterSyncSets') return request.value.changes;
  return request?.$case === 'alterSyncSet' ? [request.value] : [];
}

function isAddition(bytes: Uint8Array): boolean {
  return changesOf(bytes).some(({ add }) => add !== undefined);
}

describe('a leader that resigns into a leaderless epoch', () => {
  it('refuses nothing for certain that stands in its log', async () => {
    await onStage({ brokers: 5, topics: [keptTopic(QUORUM)] }, async (stage) => {
      const { l, f1, f2 } = await cast(stage);
      await stage.appendAll(KEPT, 3);
      const beats = stage.hold({ path: /Decide/, from: hostName(l), isMeant: isHeartbeat });
      stage.cut(f1);
      stage.cut(f2);
      const call = stage.append(KEPT, { at: l, deadlineMs: 5_000 });
      await stage.until('nobody leads', () => stage.state(KEPT).leader < 0);
      const first = await stage.end('the append', call);
      expect(first.fate).toMatchObject({ kind: 'refused', effect: 'unknown' });
      beats.end();
      await stage.until('the leader is heard again', () => !stage.isFenced(l));
      stage.join(f1);
      await stage.until('its log is the best', () => stage.state(KEPT).leader === l);
      stage.join(f2);
      await stage.whole();
      const [second] = await stage.appendAll(KEPT, 1, l);
      const values = await stage.read(KEPT);
      const { fate } = second!;
      expect(fate?.kind === 'acknowledged' && values.get(fate.offset)).toBe(second!.value);
      expect([...values.values()]).toContain(first.value);
    });
  });
});

describe('an addition to S that arrives after its repetition was refused', () => {
  it('does not add a member that lacks what was acknowledged meanwhile', async () => {
    const options = ['--session-timeout-ms', '800', '--heartbeat-ms', '100'];
    await onStage({ brokers: 5, topics: [keptTopic()], options }, async (stage) => {
      const { c, l, f1, f2 } = await cast(stage);
      await stage.appendAll(KEPT, 3);
      stage.kill(f2);
      await stage.until('it is out', () => !stage.state(KEPT).syncSet.includes(f2));
      const rule = { path: /Decide/, to: hostName(c) };
      const added = stage.hold({ ...rule, from: hostName(l), isMeant: isAddition, times: 1 });
      stage.start(f2);
      await stage.until('the leader asks to add it', () => added.count === 1);
      const beats = stage.hold({ ...rule, from: hostName(f2), isMeant: isHeartbeat });
      await stage.until('it is fenced', () => stage.isFenced(f2), 1_500);
      stage.cut(f2, [l]);
      added.failCallers();
      await stage.pass(100);
      const sent = await stage.end('an append', stage.append(KEPT, { at: l, deadlineMs: 1_500 }));
      beats.end();
      await stage.until('it is not fenced any more', () => !stage.isFenced(f2));
      added.release();
      await stage.pass(100);
      stage.kill(l, f1);
      await stage.pass(3_000);
      stage.start(l, f1);
      stage.join(f2);
      await stage.whole();
      const values = [...(await stage.read(KEPT)).values()];
      expect(sent.fate?.kind !== 'acknowledged' || values.includes(sent.value)).toBe(true);
    });
  });
});

describe('the q that a row aims at', () => {
  it('is the same for leader and controller: nothing is proposed again and again', async () => {
    const topic = { ...keptTopic(QUORUM), replicationFactor: 5 };
    await onStage({ brokers: 5, topics: [topic] }, async (stage) => {
      const c = stage.controller();
      const l = [1, 2, 3, 4, 5].find((id) => id !== c)!;
      if (stage.state(KEPT).leader !== l)
        await stage.ask('an election', (admin) => admin.electLeader({ ...KEPT, target: l }));
      await stage.until('it leads', () => stage.state(KEPT).leader === l);
      const gone = stage
        .state(KEPT)
        .replicas.filter((id) => id !== c && id !== l && !stage.voters().includes(id));
      stage.kill(...gone);
      await stage.until('S is what is left', () => stage.state(KEPT).syncSet.length === 3);
      let proposals = 0;
      const count = (bytes: Uint8Array): boolean => {
        proposals += changesOf(bytes).length;
        return false;
      };
      stage.hold({ path: /Decide/, from: hostName(l), isMeant: count });
      await stage.pass(2_000);
      proposals = 0;
      await stage.pass(30_000);
      expect(stage.state(KEPT)).toMatchObject({ leader: l, quorum: 2 });
      expect(proposals).toBeLessThanOrEqual(1);
    });
  });
});
