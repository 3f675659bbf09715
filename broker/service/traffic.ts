import type { AppendCounts } from '../telemetry/append-times.ts';

/** What the data calls count. Implemented by `telemetry`; a no-op elsewhere. */
export interface Traffic {
  /**
   * A batch was answered: bytes of its frame, milliseconds from arrival to answer, code of the
   * error or null, id of its topic where it named one.
   */
  appended(bytes: number, durationMs: number, code: string | null, topicId: string | null): void;
  /** How long the batches of {@link appended} without an error took, since the start. */
  appendTimes(): AppendCounts;
  /** Frames left for a consumer. */
  fetched(bytes: number, durationMs: number): void;
}
