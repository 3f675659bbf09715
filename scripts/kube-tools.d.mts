/** Types of kube-tools.mjs, for the tests that import it. */
export function ensureKubeTools():
  | { readonly helm: string; readonly kubectl: string; readonly missing?: undefined }
  | { readonly missing: string };
