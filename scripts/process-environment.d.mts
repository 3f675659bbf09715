/** Types of process-environment.mjs, for the tests that import it. */
export const SPARE_BYTES_MIN: number;
export function processEnvironment(memoryBytes?: number): Readonly<Record<string, string>>;
