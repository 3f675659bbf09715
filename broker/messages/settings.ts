/**
 * Settings of the cluster between protobuf, public or internal, and the values of the metadata
 * core. Checks shape and range of every field; which options there are is the controller's to
 * judge.
 */
import { REPLICATION_FACTOR_MAX } from '../../base/limits.ts';
import type {
  ClusterSettings as ClusterSettingsMessage,
  TopicDefaults as TopicDefaultsMessage,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type { SettingsChange } from '../metadata/controller-types.ts';
import type { TopicDefaults } from '../metadata/types.ts';
import { integerField, textField } from './fields.ts';
import { commitModeToMessage, topicConfigField } from './topics.ts';

/** Options that one request may name. */
const OPTIONS_MAX = 100;
const FLAG_UNITS_MAX = 100;

/** A change as it travels; what it leaves as it is stays absent. */
export function settingsToMessage(change: SettingsChange): ClusterSettingsMessage {
  const { moveBytesPerSecond, brokerOptions = {}, topicDefaults } = change;
  return {
    moveBytesPerSecond,
    brokerOptions: { ...brokerOptions },
    topicDefaults: topicDefaults === undefined ? undefined : defaultsToMessage(topicDefaults),
  };
}

/** The settings that a message states. Throws INVALID_ARGUMENT. */
export function settingsField(
  field: string,
  { moveBytesPerSecond, brokerOptions, topicDefaults }: ClusterSettingsMessage,
): SettingsChange {
  const options = Object.entries(brokerOptions);
  integerField(`${field}.broker_options length`, options.length, 0, OPTIONS_MAX);
  for (const [flag, text] of options) {
    textField(`${field}.broker_options`, flag, FLAG_UNITS_MAX);
    textField(`${field}.broker_options[${flag}]`, text, FLAG_UNITS_MAX);
  }
  return {
    ...(moveBytesPerSecond === undefined
      ? {}
      : {
          moveBytesPerSecond: integerField(
            `${field}.move_bytes_per_second`,
            moveBytesPerSecond,
            -1,
            Number.MAX_SAFE_INTEGER,
          ),
        }),
    ...(options.length === 0 ? {} : { brokerOptions }),
    ...(topicDefaults === undefined
      ? {}
      : { topicDefaults: defaultsField(`${field}.topic_defaults`, topicDefaults) }),
  };
}

function defaultsToMessage(defaults: TopicDefaults): TopicDefaultsMessage {
  return {
    replicationFactor: defaults.replicationFactor,
    minInSyncReplicas: defaults.minInSyncReplicas,
    commitMode: commitModeToMessage(defaults.commitMode),
  };
}

function defaultsField(
  field: string,
  { replicationFactor, minInSyncReplicas, commitMode }: TopicDefaultsMessage,
): TopicDefaults {
  const count = (name: string, value: number): number =>
    integerField(`${field}.${name}`, value, 0, REPLICATION_FACTOR_MAX);
  const mode = topicConfigField(field, { commitMode }).commitMode;
  return {
    ...(replicationFactor === undefined
      ? {}
      : { replicationFactor: count('replication_factor', replicationFactor) }),
    ...(minInSyncReplicas === undefined
      ? {}
      : { minInSyncReplicas: count('min_in_sync_replicas', minInSyncReplicas) }),
    ...(mode === undefined ? {} : { commitMode: mode }),
  };
}
