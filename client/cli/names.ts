/**
 * `tidemark __complete topics|partitions|brokers|groups|queues|profiles`: what completion asks for.
 * Says nothing where a cluster does not answer soon, or a file cannot be read: a shell that
 * completes shows no errors.
 */
import type { Tidemark } from '../index.ts';
import type { Surroundings } from './output.ts';

/** A person has pressed a key and waits. */
const ANSWER_MS_MAX = 1_500;

export async function printNames(args: readonly string[], around: Surroundings): Promise<void> {
  const [kind, option, value] = args;
  if (kind === 'profiles') return printProfiles(around);
  const { withCluster } = await import('./context.ts');
  const options = {
    output: 'table',
    ...(option === '--server' && value ? { server: value } : {}),
    ...(option === '--profile' && value ? { profile: value } : {}),
  } as const;
  try {
    await withCluster(options, around, async (cluster) => {
      const control = { signal: AbortSignal.timeout(ANSWER_MS_MAX) };
      print(await namesOf(kind, cluster, control), around);
    });
  } catch {
    // Nobody to ask, or not in time: nothing is known.
  }
}

/** These are in a file: no cluster is waited for. */
async function printProfiles(around: Surroundings): Promise<void> {
  const { readProfiles } = await import('./profiles.ts');
  try {
    print([...(await readProfiles(around.env)).profiles.keys()].toSorted(), around);
  } catch {
    // A file that cannot be read is told by the commands that take a profile.
  }
}

async function namesOf(
  kind: string | undefined,
  cluster: Tidemark,
  control: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  if (kind === 'groups') return (await cluster.groups().list(control)).map(({ group }) => group);
  if (kind === 'queues')
    return (await cluster.queues().list(undefined, control)).map(({ name }) => name);
  const admin = cluster.admin();
  if (kind === 'brokers')
    return (await admin.describeCluster(control)).brokers.map(({ brokerId }) => `${brokerId}`);
  const topics = await admin.listTopics([], control);
  return kind === 'partitions'
    ? topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partition }) => `${name}/${partition}`),
      )
    : topics.map(({ name }) => name);
}

function print(names: readonly string[], around: Surroundings): void {
  around.stdout.write(names.map((name) => `${name}\n`).join(''));
}
