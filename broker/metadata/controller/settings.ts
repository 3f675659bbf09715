/** Judges changes of the cluster's settings. Pure. */
import { BrokerError } from '../../base/errors.ts';
import type { SetSettingsRequest } from '../controller-types.ts';
import { LEVEL_OF_MOVES, requireLevel } from '../features.ts';
import type { ClusterSettings, MetadataImage, MetadataRecord } from '../types.ts';

/** Slowest limit on moves: one frame of 1 MiB in a minute or so; less would never end. */
const MOVE_BYTES_PER_SECOND_MIN = 16 * 1024;

/** Records that change the settings; none when nothing differs. Absent settings stay. Throws {@link BrokerError}. */
export function setSettings(image: MetadataImage, request: SetSettingsRequest): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_MOVES, 'change the settings of the cluster');
  const moveBytesPerSecond =
    request.settings.moveBytesPerSecond ?? image.settings.moveBytesPerSecond;
  const isAllowed =
    moveBytesPerSecond === -1 ||
    (Number.isSafeInteger(moveBytesPerSecond) && moveBytesPerSecond >= MOVE_BYTES_PER_SECOND_MIN);
  if (!isAllowed) {
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `moveBytesPerSecond is ${String(moveBytesPerSecond)}, must be -1 or a whole number of ${String(MOVE_BYTES_PER_SECOND_MIN)} or greater`,
    );
  }
  const settings: ClusterSettings = { moveBytesPerSecond };
  return settings.moveBytesPerSecond === image.settings.moveBytesPerSecond
    ? []
    : [{ kind: 'settings-changed', settings }];
}
