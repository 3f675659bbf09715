/** What this program was built from, as its metrics tell it. */
import { readFileSync } from 'node:fs';
import { Gauge, type Registry } from 'prom-client';

/** Texts, all of them labels. */
export interface BuildInfo {
  readonly version: string;
  /** Commit of the sources; empty where nobody said. */
  readonly commit: string;
  /** Version of Node. */
  readonly node: string;
}

/**
 * @param environment `TIDEMARK_COMMIT` is set by the image, from the argument `COMMIT` of its
 * build; what is no commit is none
 */
export function readBuildInfo(
  environment: Readonly<Record<string, string | undefined>>,
): BuildInfo {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  const commit = environment['TIDEMARK_COMMIT'] ?? '';
  const isCommit = /^[0-9a-f]{7,64}$/.test(commit);
  return { version, commit: isCommit ? commit : '', node: process.versions.node };
}

/**
 * @param labels of the component: its name, and for a broker the newest feature level that it knows
 */
export function showBuildInfo(
  registry: Registry,
  info: BuildInfo,
  labels: { readonly component: 'broker' | 'operator'; readonly feature_level: string },
): void {
  const values = { ...info, ...labels };
  const gauge = new Gauge({
    name: 'tidemark_build_info',
    help: '1; the labels say what runs',
    labelNames: Object.keys(values),
    registers: [registry],
  });
  gauge.set(values, 1);
}
