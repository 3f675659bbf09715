/** Health for monitoring: one sentence, what led to it, and an exit code. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { EXIT_CLUSTER, EXIT_DEGRADED, EXIT_OK, reportOf } from '../exit.ts';
import { type Health, type HealthLevel, healthOf } from '../health.ts';
import { HEALTH_COLOURS, look } from '../look.ts';
import type { Output, Surroundings } from '../output.ts';

/** Options of `cluster health`. */
export interface HealthOptions extends CommonOptions {
  readonly watch?: boolean;
}

const EXIT_CODES: Readonly<Record<HealthLevel, number>> = {
  ok: EXIT_OK,
  degraded: EXIT_DEGRADED,
  failing: EXIT_CLUSTER,
};
const WATCH_INTERVAL_MS = 1_000;
/** What a person reads at once; a script gets all. */
const FINDINGS_SHOWN_MAX = 20;

/** Exit code 0: ok, 3: degraded, 1: failing or unreachable. */
export async function clusterHealth(options: HealthOptions, around: Surroundings): Promise<number> {
  return withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    if (options.watch !== true) {
      const health = healthOf(await look(admin));
      out.result(health, () => show(health, out));
      return EXIT_CODES[health.level];
    }
    await watch(admin, around, out);
    return EXIT_OK;
  });
}

/** A line whenever the verdict changes, until Ctrl-C. */
async function watch(admin: Admin, around: Surroundings, out: Output): Promise<void> {
  const { interrupted: signal } = around;
  let before = '';
  while (!signal.aborted) {
    const health = await healthNow(admin);
    if (health.sentence !== before) {
      before = health.sentence;
      const at = new Date().toISOString();
      if (out.format === 'json') out.line(JSON.stringify({ at, ...health }));
      else out.line(`${at}  ${out.paint(HEALTH_COLOURS[health.level], health.sentence)}`);
    }
    await sleep(WATCH_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Whoever watches wants to see an outage, not to be ended by it. */
async function healthNow(admin: Admin): Promise<Health> {
  try {
    return healthOf(await look(admin));
  } catch (error) {
    return { level: 'failing', sentence: reportOf(error).message, findings: [] };
  }
}

function show({ level, sentence, findings }: Health, out: Output): void {
  out.line(`${out.paint(HEALTH_COLOURS[level], level)}: ${sentence}`);
  for (const { text } of findings.slice(0, FINDINGS_SHOWN_MAX)) out.line(`  ${text}`);
  const more = findings.length - FINDINGS_SHOWN_MAX;
  if (more > 0) out.line(`  and ${more} more: --output json`);
}
