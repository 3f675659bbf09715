/**
 * Raises the cluster's feature level: one step at a time, once every registered broker can run the
 * next one and all have been there for a while. Further steps follow at once: the same brokers have
 * been there.
 */
import type { MonotonicMs } from '../../../base/units.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';

/**
 * A roll that was begun may yet be turned back while brokers come and go; a raised level cannot.
 */
export const FEATURE_LEVEL_STABLE_MS = 5000;

export class FeatureLevels {
  #readySinceMs: MonotonicMs | null = null;
  /** The last step, which may not be in force yet. */
  #step = { level: 0, atMs: 0 };

  /** The record that raises the level, if it is time. */
  raise(image: MetadataImage, nowMs: MonotonicMs): MetadataRecord[] {
    const brokers = [...image.brokers.values()];
    const isReady =
      brokers.length > 0 &&
      brokers.every((broker) => !broker.fenced && broker.featureLevelMax > image.featureLevel);
    if (!isReady) {
      this.#readySinceMs = null;
      return [];
    }
    this.#readySinceMs ??= nowMs;
    if (nowMs - this.#readySinceMs < FEATURE_LEVEL_STABLE_MS) return [];
    const { level, atMs } = this.#step;
    if (image.featureLevel < level && nowMs - atMs < FEATURE_LEVEL_STABLE_MS) return [];
    const featureLevel = image.featureLevel + 1;
    this.#step = { level: featureLevel, atMs: nowMs };
    return [{ kind: 'feature-level', featureLevel }];
  }
}
