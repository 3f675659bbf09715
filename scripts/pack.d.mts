/** Types of pack.mjs, for the tests that import it. */
export function pack(folder: string): Promise<string>;
