/** What callers are told: by brokers that know little yet, and by leaders of producers of old. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { AppendResult } from '../../../../broker/replication/types.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { keptTopic, onStage, type Place, type Stage } from '../stage.ts';

const KEPT = { topic: 'kept', partition: 0 };

interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** What `InitProducer` of a named producer answers, by way of a broker. */
async function initProducer(stage: Stage, at: number, name: string): Promise<Identity> {
  const request = { kind: 'init-producer', name } as const;
  const reply = await stage.end('it', stage.broker(at).broker!.decide(request, 5_000));
  if (reply.kind !== 'init-producer') throw new Error(`answered with ${reply.kind}`);
  return reply;
}

/** One batch of one record, as a producer of that identity sends it to the leader. */
async function write(
  stage: Stage,
  place: Place,
  { producerId, producerEpoch }: Identity,
  baseSequence: number,
): Promise<AppendResult> {
  const value = new TextEncoder().encode(`${place.partition}.${producerEpoch}.${baseSequence}|`);
  const producer = { producerId, producerEpoch, baseSequence };
  const records = [{ value, timestampMs: Math.floor(stage.world.ground.wallMs()) }];
  const frame = encodeBatch(records, { codec: 0, producer }, crc32);
  const { topicId } = stage.topic(place.topic);
  const leader = stage.broker(stage.state(place).leader).broker!;
  const answer = new Promise<AppendResult>((resolve) => {
    leader.append(topicId, place.partition, frame, { ack: 'all' }, resolve);
  });
  return await stage.end('the write', answer);
}

describe('a producer whose name was taken over', () => {
  it('is shut out of partitions too where the new one has not written', async () => {
    await onStage({ topics: [keptTopic({}, 'kept', 2)] }, async (stage) => {
      const other = { topic: 'kept', partition: 1 };
      const first = await initProducer(stage, 1, 'till');
      expect(await write(stage, KEPT, first, 0)).toMatchObject({ ok: true });
      expect(await write(stage, other, first, 0)).toMatchObject({ ok: true });
      const second = await initProducer(stage, 2, 'till');
      expect(second.producerEpoch).toBeGreaterThan(first.producerEpoch);
      expect(await write(stage, KEPT, second, 0)).toMatchObject({ ok: true });
      for (const place of [KEPT, other]) {
        const result = await write(stage, place, first, 1);
        expect(result).toMatchObject({ ok: false, error: { effect: 'none' } });
      }
      expect([...(await stage.read(other)).values()]).toEqual([`1.${first.producerEpoch}.0`]);
    });
  });
});

describe('a broker that has not heard of its cluster yet', () => {
  it('does not say that a topic is not there', async () => {
    await onStage({ topics: [keptTopic(), keptTopic({}, 'later')] }, async (stage) => {
      const late = [1, 2, 3].find((id) => id !== stage.controller())!;
      await stage.ask('it goes', (admin) => admin.deleteTopic('later'));
      stage.kill(late);
      const { config, ...topic } = keptTopic({}, 'later');
      await stage.ask('it comes', (admin) =>
        admin.createTopic({
          name: topic.name,
          partitions: 1,
          replicationFactor: 2,
          config: { minInSyncReplicas: 2, ...config },
        }),
      );
      stage.cut(late);
      stage.start(late);
      await stage.until(
        'it has read its disk',
        () => stage.broker(late).broker?.phase() === 'joining',
      );
      const place = { topic: 'later', partition: 0 };
      const call = stage.append(place, { at: late, deadlineMs: 1_000 });
      await stage.pass(100);
      const stopped = stage.stop(late);
      const { fate } = await stage.end('the append', call);
      await stage.end('the stop', stopped);
      expect(fate).toMatchObject({ kind: 'refused' });
      expect(fate).not.toMatchObject({ code: 'UNKNOWN_TOPIC' });
    });
  });
});
