/** What is decided is kept where there is a topic for it, whoever controls. */
import { describe, expect, it } from 'vitest';
import {
  DECISIONS_TOPIC,
  type KeptDecision,
  readKeptDecision,
} from '../../../../base/kept-decisions.ts';
import { keptTopic, onStage, type Stage } from '../stage.ts';

const KEPT = { topic: 'kept', partition: 0 };

async function keptDecisions(stage: Stage): Promise<readonly KeptDecision[]> {
  const texts = await stage.readTexts({ topic: DECISIONS_TOPIC, partition: 0 });
  return texts.map(readKeptDecision).filter(({ topic }) => topic === 'kept');
}

describe('a topic for decisions', () => {
  it('has those of a controller that died, and of every one that followed', async () => {
    const topics = [keptTopic(), keptTopic({}, DECISIONS_TOPIC)];
    await onStage({ topics, brokers: 4 }, async (stage) => {
      // Each round the controller dies, and with it perhaps a leader.
      for (let round = 0; round < 3; round += 1) {
        const controller = stage.controller();
        stage.kill(controller);
        await stage.until('another one controls', () => stage.controller() !== controller);
        stage.start(controller);
        await stage.whole();
        await stage.appendAll(KEPT, 3);
      }
      stage.kill(1, 2, 3, 4);
      stage.start(1, 2, 3, 4);
      await stage.whole();
      await stage.pass(20_000);
      const { topicId } = stage.topic('kept');
      const kept = await keptDecisions(stage);
      const epochs = new Set(
        kept.filter((each) => each.topicId === topicId).map(({ after }) => after.partitionEpoch),
      );
      // Every change of the row since the topic was there stands in it.
      const { partitionEpoch } = stage.state(KEPT);
      for (let epoch = 2; epoch <= partitionEpoch; epoch += 1)
        expect([epoch, epochs.has(epoch)]).toEqual([epoch, true]);
      const indexes = kept.map(({ index }) => index);
      expect(new Set(indexes).size).toBeGreaterThan(3);
    });
  });
});
