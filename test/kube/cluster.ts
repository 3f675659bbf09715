/**
 * The Kubernetes under test: the launcher's, or whichever one KUBECONFIG names (kind, minikube).
 * Only the first can cut a node off or pull its plug.
 */
import { ensureKubeTools } from '../../scripts/kube-tools.mjs';
import { tryTool } from './launcher/kubectl.ts';
import { type RunOptions, type RunResult, tryRun } from './launcher/run.ts';

/** What the setup hands to the test files: a cluster, or why there is none. */
export type Provided =
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'launched' | 'named'; readonly image: string };

declare module 'vitest' {
  interface ProvidedContext {
    kube: Provided;
  }
}

/** Runs kubectl or helm against the cluster under test. Resolves however it ended. */
export function tool(
  kind: 'launched' | 'named',
  program: 'kubectl' | 'helm',
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  if (kind === 'launched') return tryTool(program, args, options);
  const tools = ensureKubeTools();
  if (tools.missing !== undefined) throw new Error(tools.missing);
  return tryRun(tools[program], args, options);
}
