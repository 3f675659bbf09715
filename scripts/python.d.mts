/** Types of python.mjs, for the tests that import it. */
export function ensurePython(): { readonly python: string } | { readonly missing: string };
/** What code generated from `proto` imports, with versions. */
export const RUNTIME: readonly string[];
