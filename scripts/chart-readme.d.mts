/** Types of chart-readme.mjs, for the tests that import it. */
export function describedValues(
  values: string,
): { readonly path: string; readonly value: string; readonly description: string }[];
