import { describe, expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import { settingsActions } from '../../../../operator/decide/settings.ts';
import type { Observation, SettingsView } from '../../../../operator/decide/types.ts';
import { validateLogCluster } from '../../../../operator/api/validate.ts';
import { observation as observationOf } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const USUAL: SettingsView = {
  brokerOptions: {},
  topicDefaults: { replicationFactor: 3, minInSyncReplicas: 2, commitMode: 'InSync' },
};

function seen(spec: object, settings: SettingsView | null): Observation {
  const healthy = observationOf();
  return {
    ...healthy,
    cluster: { ...healthy.cluster, spec: validateLogCluster({ replicas: 3, ...spec }).spec },
    metadata: healthy.metadata === null ? null : { ...healthy.metadata, settings },
  };
}

describe('settings of the cluster', () => {
  test.each<{ name: string; spec: object; settings: SettingsView | null; change: object | null }>([
    { name: 'that are as the spec wants them', spec: {}, settings: USUAL, change: null },
    {
      name: 'of a level that knows none',
      spec: { config: { logLevel: 'debug' } },
      settings: null,
      change: null,
    },
    {
      name: 'without a live option of the spec',
      spec: { config: { logLevel: 'debug', heartbeatMs: 300, diskReserveBytes: 0 } },
      settings: { ...USUAL, brokerOptions: { 'log-level': 'info' } },
      change: { brokerOptions: { 'log-level': 'debug', 'disk-reserve-bytes': '0' } },
    },
    {
      name: 'with an option that the spec does not name, or names no longer',
      spec: { config: { logLevel: 'debug' } },
      settings: { ...USUAL, brokerOptions: { 'log-level': 'debug', 'flush-bytes': '4096' } },
      change: { brokerOptions: { 'flush-bytes': '' } },
    },
    {
      name: 'with other defaults of topics',
      spec: { commitMode: 'Quorum' },
      settings: USUAL,
      change: {
        brokerOptions: {},
        topicDefaults: { replicationFactor: 3, minInSyncReplicas: 2, commitMode: 'Quorum' },
      },
    },
  ])('$name', ({ spec, settings, change }) => {
    expect(settingsActions(seen(spec, settings), [2])).toEqual(
      change === null ? [] : [{ kind: 'set-settings', change }],
    );
  });

  test('get a minimum only once the status vouches for it', () => {
    const observation = seen({ minInSyncReplicas: 1 }, USUAL);
    expect(settingsActions(observation, [2])).toEqual([]);
    expect(settingsActions(observation, [2, 1])).toMatchObject([
      { change: { topicDefaults: { minInSyncReplicas: 1 } } },
    ]);
  });

  test('are part of the plan', () => {
    const observation = seen({ config: { logLevel: 'debug' } }, USUAL);
    expect(actionsOf(decide(observation, 0))).toContainEqual({
      kind: 'set-settings',
      change: { brokerOptions: { 'log-level': 'debug' } },
    });
  });
});
