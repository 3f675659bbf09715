/**
 * Settings of the cluster follow the spec, live: options of brokers and defaults of topics. What
 * somebody else set is set back, so that the spec can be believed. Pure.
 */
import { liveOptions } from '../api/broker-config.ts';
import type { Action, Observation, SettingsChange, TopicDefaultsView } from './types.ts';

/** @param minKnown minimums that may be the default of new topics now: see `min.ts` */
export function settingsActions(
  { cluster, metadata }: Observation,
  minKnown: readonly number[],
): Action[] {
  const settings = metadata?.settings;
  if (settings == null) return [];
  const { spec } = cluster;
  const wantedOptions = liveOptions(spec.config);
  const surplus = Object.keys(settings.brokerOptions).filter((flag) => !(flag in wantedOptions));
  const brokerOptions = {
    ...Object.fromEntries(surplus.map((flag) => [flag, ''])),
    ...Object.fromEntries(
      Object.entries(wantedOptions).filter(([flag, text]) => settings.brokerOptions[flag] !== text),
    ),
  };
  const { replicationFactor, commitMode, minInSyncReplicas } = spec;
  const wanted: TopicDefaultsView = {
    replicationFactor,
    commitMode,
    ...(minKnown.includes(minInSyncReplicas) ? { minInSyncReplicas } : {}),
  };
  const isUsual = (Object.keys(wanted) as (keyof TopicDefaultsView)[]).every(
    (name) => settings.topicDefaults[name] === wanted[name],
  );
  if (Object.keys(brokerOptions).length === 0 && isUsual) return [];
  const change: SettingsChange = {
    brokerOptions,
    ...(isUsual ? {} : { topicDefaults: wanted }),
  };
  return [{ kind: 'set-settings', change }];
}
