/** Judges changes of the cluster's settings. Pure. */
import { MOVE_BYTES_PER_SECOND_MIN } from '../../../base/limits.ts';
import { liveOptionFaults } from '../../../base/broker-options.ts';
import { BrokerError } from '../../../base/errors.ts';
import { replicationFactorFault, validateTopicConfig } from '../config.ts';
import type { SetSettingsRequest, SettingsChange } from '../controller-types.ts';
import { LEVEL_OF_MOVES, LEVEL_OF_OPTIONS, requireLevel } from '../features.ts';
import { isSameSettings } from '../settings.ts';
import type { ClusterSettings, MetadataImage, MetadataRecord, TopicConfig } from '../types.ts';

/** Copies of a topic whose creator states none, where as many brokers are there. */
const REPLICATION_FACTOR_USUAL = 3;

/**
 * Records that change the settings; none when nothing differs. Throws {@link BrokerError} that
 * names every fault.
 *
 * @param table what topics have by default
 */
export function setSettings(
  image: MetadataImage,
  { settings }: SetSettingsRequest,
  table: TopicConfig,
): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_MOVES, 'change the settings of the cluster');
  if (settings.brokerOptions !== undefined || settings.topicDefaults !== undefined)
    requireLevel(image, LEVEL_OF_OPTIONS, 'set broker options or defaults of topics');
  const wanted: ClusterSettings = {
    moveBytesPerSecond: settings.moveBytesPerSecond ?? image.settings.moveBytesPerSecond,
    brokerOptions: merged(image.settings.brokerOptions, settings.brokerOptions, ''),
    topicDefaults: merged(image.settings.topicDefaults, settings.topicDefaults, 0),
  };
  const faults = [
    ...moveFaults(wanted),
    ...optionFaults(settings),
    ...defaultsFaults(wanted, table),
  ];
  if (faults.length > 0) throw new BrokerError('INVALID_ARGUMENT', faults.join('; '));
  return isSameSettings(wanted, image.settings)
    ? []
    : [{ kind: 'settings-changed', settings: wanted }];
}

/** `change` over `before`; what has the value `none`, or no value, goes, in the order of names. */
function merged<Values extends object>(
  before: Values,
  change: Partial<Values> | undefined,
  none: unknown,
): Values {
  const stated = Object.entries(change ?? {}).filter(([, value]) => value !== undefined);
  const entries = Object.entries({ ...before, ...Object.fromEntries(stated) })
    .filter(([, value]) => value !== none)
    .sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries) as Values;
}

function moveFaults({ moveBytesPerSecond }: ClusterSettings): string[] {
  const isAllowed =
    moveBytesPerSecond === -1 ||
    (Number.isSafeInteger(moveBytesPerSecond) && moveBytesPerSecond >= MOVE_BYTES_PER_SECOND_MIN);
  return isAllowed
    ? []
    : [
        `moveBytesPerSecond is ${String(moveBytesPerSecond)}, must be -1 or a whole number of ${String(MOVE_BYTES_PER_SECOND_MIN)} or greater`,
      ];
}

/**
 * Of what is asked for alone: what stands may have been judged by another build, and must not be in
 * the way.
 */
function optionFaults({ brokerOptions = {} }: SettingsChange): string[] {
  return Object.entries(brokerOptions)
    .filter(([, text]) => text !== '')
    .flatMap(([flag, text]) => liveOptionFaults(flag, text));
}

function defaultsFaults({ topicDefaults }: ClusterSettings, table: TopicConfig): string[] {
  const { replicationFactor = REPLICATION_FACTOR_USUAL, ...config } = topicDefaults;
  if (Object.keys(topicDefaults).length === 0) return [];
  const widthFault = replicationFactorFault(replicationFactor);
  if (widthFault !== null) return [`defaults of topics: ${widthFault}`];
  const { faults } = validateTopicConfig(config, table, { replicationFactor });
  return faults.map((fault) => `defaults of topics: ${fault}`);
}
