/**
 * Runs in a pod of the image, with the operator's service account: runs the operator, kills it at
 * every action that it has not been killed at before, and starts it again at once. Prints a JSON
 * object for each death. Every life has a lease of its own: a process that was killed is known to
 * be dead, so nobody need wait for it.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** As far as actions of one kind are told apart. */
interface LoggedAction {
  readonly kind: string;
  readonly brokerId?: number;
  readonly replicas?: number;
  readonly maxUnavailable?: number;
  readonly status?: { readonly step?: string };
}

const seen = new Set<string>();
for (let life = 1; ; life += 1) await live(life);

/** One life of the operator. Resolves when it is over. */
async function live(life: number): Promise<void> {
  const env = {
    ...process.env,
    TIDEMARK_LOG_LEVEL: 'debug',
    TIDEMARK_LEASE_NAME: `life-${life}`,
  };
  const operator = spawn(process.execPath, ['/opt/tidemark/operator/main.js'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise((resolve) => operator.once('close', resolve));
  for await (const line of createInterface({ input: operator.stdout })) {
    const { msg, action } = JSON.parse(line) as { msg?: string; action?: LoggedAction };
    if (msg !== 'action' || action === undefined || operator.killed) continue;
    const { kind, brokerId, replicas, maxUnavailable, status } = action;
    const what = brokerId ?? replicas ?? maxUnavailable ?? status?.step ?? '';
    const key = `${kind} ${what}`.trim();
    if (seen.has(key)) continue;
    seen.add(key);
    operator.kill('SIGKILL');
    console.log(JSON.stringify({ life, killedAt: key }));
  }
  await closed;
}
