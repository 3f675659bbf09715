/** Runs `helm` on the chart and parses what it renders. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';
import { ensureKubeTools } from '../../scripts/kube-tools.mjs';

export const ROOT = join(import.meta.dirname, '..', '..');
export const CHART = join(ROOT, 'charts', 'tidemark');

/** Why the tests of this level cannot run here, or undefined. */
const tools = ensureKubeTools();
export const missing = tools.missing;

/** A rendered object, as far as tests look into it. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly Rule[];
}

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface Run {
  readonly code: number;
  readonly output: string;
}

export type Values = Readonly<Record<string, unknown>>;

/** Runs a sub-command with values in a file; returns the exit code and both streams. */
export function helm(args: readonly string[], values: Values = {}): Run {
  if (tools.missing !== undefined) throw new Error(tools.missing);
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-chart-'));
  try {
    const file = join(folder, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    const { status, stdout, stderr, error } = spawnSync(tools.helm, [...args, '--values', file], {
      encoding: 'utf8',
      // Neither a cluster nor a user's own settings have a say in what a chart renders to.
      env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: join(folder, 'none') },
    });
    return { code: status ?? 1, output: `${stdout}${stderr}${error?.message ?? ''}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What `helm template` prints. Throws where it fails. */
export function template(values: Values = {}): string {
  const { code, output } = helm(['template', 'tidemark', CHART, '--namespace', 'shop'], values);
  if (code !== 0) throw new Error(output);
  return output;
}

export function render(values: Values = {}): Rendered[] {
  return loadAll(template(values)).filter(
    (object) => object !== null && object !== undefined,
  ) as Rendered[];
}

export function parse(text: string): unknown {
  return load(text);
}
