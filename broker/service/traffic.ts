/** What the data calls count. Implemented by `telemetry`; a no-op elsewhere. */
export interface Traffic {
  /**
   * A batch was answered: bytes of its frame, milliseconds from arrival to answer, code of the
   * error or null, id of its topic where it named one.
   */
  appended(bytes: number, durationMs: number, code: string | null, topicId: string | null): void;
  /** Frames left for a consumer. */
  fetched(bytes: number, durationMs: number): void;
}
