import { describe, expect, test } from 'vitest';
import type {
  ControllerRequest,
  SettingsChange,
} from '../../../../../broker/metadata/controller-types.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../../broker/metadata/config.ts';
import { setSettings } from '../../../../../broker/metadata/controller/settings.ts';
import type { MetadataImage } from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf } from '../fixtures.ts';
import { Bench } from './bench.ts';

function bench(): Bench {
  return new Bench(imageOf([0, 1, 2].map((id) => brokerState(id))));
}

const set = (settings: SettingsChange): ControllerRequest => ({ kind: 'set-settings', settings });

describe('Controller: settings', () => {
  test('change while records flow; what is absent stays', () => {
    const world = bench();
    expect(world.ask(set({ moveBytesPerSecond: 1_000_000 }))).toEqual({ kind: 'set-settings' });
    world.ask(set({ brokerOptions: { 'log-level': 'debug', 'flush-bytes': '4096' } }));
    world.ask(set({ topicDefaults: { replicationFactor: 5, minInSyncReplicas: 3 } }));
    expect(world.image.settings).toEqual({
      moveBytesPerSecond: 1_000_000,
      brokerOptions: { 'flush-bytes': '4096', 'log-level': 'debug' },
      topicDefaults: { minInSyncReplicas: 3, replicationFactor: 5 },
    });
  });

  test('are taken back one by one', () => {
    const world = bench();
    world.ask(set({ brokerOptions: { 'log-level': 'debug', 'flush-bytes': '4096' } }));
    world.ask(set({ topicDefaults: { replicationFactor: 5, minInSyncReplicas: 3 } }));
    world.ask(set({ brokerOptions: { 'log-level': '' }, topicDefaults: { replicationFactor: 0 } }));
    expect(world.image.settings).toMatchObject({
      brokerOptions: { 'flush-bytes': '4096' },
      topicDefaults: { minInSyncReplicas: 3 },
    });
    world.ask(set({ brokerOptions: { 'flush-bytes': '' } }));
    expect(world.image.settings.brokerOptions).toEqual({});
  });

  test('that say the same write nothing', () => {
    const image: MetadataImage = {
      ...bench().image,
      settings: {
        moveBytesPerSecond: 20_000,
        brokerOptions: { 'log-level': 'debug', 'flush-bytes': '4096' },
        topicDefaults: { commitMode: 'quorum', replicationFactor: 3 },
      },
    };
    const again = (settings: SettingsChange) =>
      setSettings(image, { kind: 'set-settings', settings }, TOPIC_CONFIG_DEFAULTS);
    expect(again(image.settings)).toEqual([]);
    expect(again({ brokerOptions: { 'tail-cache-bytes': '' } })).toEqual([]);
    expect(again({ brokerOptions: { 'flush-bytes': '8192' } })).toHaveLength(1);
  });

  test.each<{ settings: SettingsChange; message: string }>([
    {
      settings: { moveBytesPerSecond: 0 },
      message: 'moveBytesPerSecond is 0, must be -1 or a whole number of 16384 or greater',
    },
    {
      settings: { brokerOptions: { 'log-level': 'loud' } },
      message: "log-level is 'loud', must be one of trace, debug, info, warn, error, silent",
    },
    {
      settings: { brokerOptions: { 'flush-bytes': '1', 'voters-max': '4' } },
      message:
        "flush-bytes is '1', must be a whole number from 4096 to 1073741824; voters-max is 4, must be 1, 3 or 5",
    },
    {
      settings: { topicDefaults: { minInSyncReplicas: 3, replicationFactor: 2 } },
      message: 'defaults of topics: minInSyncReplicas is 3, must be at most replicationFactor (2)',
    },
    {
      settings: { topicDefaults: { commitMode: 'quorum', replicationFactor: 2 } },
      message:
        'defaults of topics: commitMode is "quorum", must be "in-sync" while replicationFactor (2) is below 3',
    },
    {
      settings: { topicDefaults: { replicationFactor: 99 } },
      message: 'defaults of topics: replicationFactor is 99, must be a whole number from 1 to 16',
    },
  ])('refuses: $message', ({ settings, message }) => {
    expect(bench().ask(set(settings))).toMatchObject({ code: 'INVALID_ARGUMENT', message });
  });

  test('refuses an option that is not live, and says which are', () => {
    expect(bench().ask(set({ brokerOptions: { 'session-timeout-ms': '9000' } }))).toMatchObject({
      message:
        'session-timeout-ms is not a live option, must be one of log-level, replica-lag-ms-max, voter-replace-ms, voters-max, flush-interval-ms, flush-bytes, tail-cache-bytes, disk-reserve-bytes, produce-window-bytes, retention-check-ms, compaction-bytes-per-second',
    });
  });

  test('below level 3 refuses options and defaults, and takes what level 2 knows', () => {
    const world = new Bench({
      ...imageOf([brokerState(0), brokerState(1, { featureLevelMax: 2 })]),
      featureLevel: 2,
    });
    expect(world.ask(set({ brokerOptions: { 'log-level': 'debug' } }))).toMatchObject({
      code: 'REFUSED',
      message:
        'Cannot set broker options or defaults of topics: it needs feature level 3, the cluster is at 2; brokers 1 cannot run it',
    });
    expect(world.ask(set({ moveBytesPerSecond: 20_000 }))).toEqual({ kind: 'set-settings' });
  });
});

describe('Controller: defaults of topics', () => {
  const create = (config: object): ControllerRequest => ({
    kind: 'create-topic',
    topicId: '00000000-0000-4000-8000-000000000001',
    name: 'orders',
    partitions: 1,
    replicationFactor: 3,
    config,
    assignments: [],
    validateOnly: false,
  });
  const made = (world: Bench) => [...world.image.topics.values()][0]?.config;

  test('hold for who states nothing', () => {
    const world = bench();
    world.ask(set({ topicDefaults: { minInSyncReplicas: 1, commitMode: 'quorum' } }));
    expect(world.ask(create({}))).toMatchObject({ kind: 'create-topic' });
    expect(made(world)).toMatchObject({ minInSyncReplicas: 1, commitMode: 'quorum' });
  });

  test('yield to what the creator states', () => {
    const world = bench();
    world.ask(set({ topicDefaults: { minInSyncReplicas: 1, commitMode: 'quorum' } }));
    world.ask(create({ minInSyncReplicas: 2, commitMode: 'in-sync' }));
    expect(made(world)).toMatchObject({ minInSyncReplicas: 2, commitMode: 'in-sync' });
  });
});
