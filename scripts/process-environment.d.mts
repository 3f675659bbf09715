/** Types of process-environment.mjs, for the tests that import it. */
export const PROCESS_ENVIRONMENT: Readonly<Record<string, string>>;
