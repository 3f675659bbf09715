/**
 * `tidemark __complete topics|brokers`: what completion asks a cluster. Says nothing where the
 * cluster does not answer soon: a shell that completes shows no errors.
 */
import type { Surroundings } from './output.ts';

/** A person has pressed a key and waits. */
const ANSWER_MS_MAX = 1_500;

export async function printNames(args: readonly string[], around: Surroundings): Promise<void> {
  const [kind, option, value] = args;
  const { withCluster } = await import('./context.ts');
  const options = {
    output: 'table',
    ...(option === '--server' && value ? { server: value } : {}),
    ...(option === '--profile' && value ? { profile: value } : {}),
  } as const;
  try {
    await withCluster(options, around, async (cluster) => {
      const control = { signal: AbortSignal.timeout(ANSWER_MS_MAX) };
      const admin = cluster.admin();
      const names =
        kind === 'brokers'
          ? (await admin.describeCluster(control)).brokers.map(({ brokerId }) => `${brokerId}`)
          : (await admin.listTopics([], control)).map(({ name }) => name);
      around.stdout.write(names.map((name) => `${name}\n`).join(''));
    });
  } catch {
    // Nobody to ask, or not in time: nothing is known.
  }
}
