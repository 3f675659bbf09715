/**
 * kubectl and helm of the cluster that the launcher started: they run in the control plane's
 * network namespace.
 */
import { run, tryRun, type RunOptions, type RunResult } from './run.ts';
import { CONTROL, programPath, runFile } from './settings.ts';

const ENV = { KUBECONFIG: runFile('kubeconfig') };

function line(program: string, args: readonly string[]): string[] {
  return [`--net=/run/netns/${CONTROL}`, programPath(program), ...args];
}

/** Runs kubectl or helm. Resolves however it ended. */
export function tryTool(
  program: 'kubectl' | 'helm',
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return tryRun('nsenter', line(program, args), { ...options, env: { ...options.env, ...ENV } });
}

/** Runs kubectl. Resolves to what it printed. */
export function kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return run('nsenter', line('kubectl', args), { ...options, env: { ...options.env, ...ENV } });
}
