/**
 * Topics that go with their LogTopics. Pure. No finalizer holds a LogTopic until then: a namespace
 * that is deleted takes the operator and its rights along, an uninstall the operator alone, and
 * either would hang for ever. Instead the operator that sees a LogTopic go, as it last was, writes
 * its topic down in the status, and deletes it from there. What nobody saw go is kept: whether it
 * was to be deleted, nobody knows.
 */
import type { DepartedTopic, LogTopic } from '../api/types.ts';
import type { Action, EventNote, Observation } from './types.ts';

/** The topic that goes with this LogTopic, which was just deleted; null where it stays. */
export function departing({ metadata, spec, status }: LogTopic): DepartedTopic | null {
  const topicId = status?.topicId;
  if (spec.deletionPolicy !== 'Delete' || topicId === undefined) return null;
  return { topic: spec.topicName ?? metadata.name, topicId };
}

/** What is still to be deleted; whoever applies the LogTopic again keeps the topic. */
export function departed(observation: Observation): readonly DepartedTopic[] {
  const { cluster, metadata, logTopics } = observation;
  const noted = cluster.status?.topicsToDelete ?? [];
  const isNoted = ({ topicId }: DepartedTopic): boolean =>
    noted.some((each) => each.topicId === topicId);
  const all = [...noted, ...observation.departed.filter((each) => !isNoted(each))];
  const isThere = ({ topic, topicId }: DepartedTopic): boolean =>
    metadata === null ||
    metadata.topics.some((each) => each.name === topic && each.topicId === topicId);
  const isWanted = ({ topic }: DepartedTopic): boolean =>
    logTopics.some(
      ({
        resource: {
          spec,
          metadata: { name },
        },
      }) => (spec.topicName ?? name) === topic,
    );
  return all.filter((each) => isThere(each) && !isWanted(each));
}

/** Deletes what the status has: whoever takes over after a crash finds it there. */
export function departures(observation: Observation): {
  readonly actions: readonly Action[];
  readonly events: readonly EventNote[];
} {
  const { cluster, metadata } = observation;
  const noted = cluster.status?.topicsToDelete ?? [];
  const due =
    metadata === null
      ? []
      : departed(observation).filter(({ topicId }) =>
          noted.some((each) => each.topicId === topicId),
        );
  return {
    actions: due.map(({ topic }) => ({ kind: 'delete-topic', name: topic })),
    events: due.map(({ topic }) => ({
      reason: 'TopicDeleted',
      note: `Deleted topic ${topic} with its LogTopic, whose deletionPolicy was Delete`,
    })),
  };
}
