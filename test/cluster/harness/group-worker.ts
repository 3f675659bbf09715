/**
 * A process with members of a group, each with connections of its own. Says what they handle, and
 * stops in order when it is told to.
 */
import { connect } from '../../../client/index.ts';

/** What the process is to do. */
export interface WorkerTask {
  readonly servers: readonly string[];
  readonly group: string;
  readonly topic: string;
  readonly members: number;
  readonly name: string;
  readonly keepsPlaces: boolean;
}

/** One record that was handled: partition, offset, and when, in ms since 1970. */
export type Handled = readonly [partition: number, offset: number, atMs: number];

/** What it says. */
export type WorkerNote =
  | { readonly kind: 'handled'; readonly records: readonly Handled[] }
  | { readonly kind: 'moved'; readonly partitions: readonly number[]; readonly atMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

const FLUSH_MS = 20;
const SESSION_MS = 6_000;

const task = JSON.parse(process.argv[2] ?? '{}') as WorkerTask;
const tell = (note: WorkerNote): void => void process.send?.(note);
let handled: Handled[] = [];
const flush = (): void => {
  if (handled.length > 0) tell({ kind: 'handled', records: handled });
  handled = [];
};
setInterval(flush, FLUSH_MS);

const clients = Array.from({ length: task.members }, () => connect({ servers: task.servers }));
const runs = clients.map(async (client, at) => {
  const place = { instanceId: `${task.name}-${at}`, returnMs: 20_000 };
  const member = client.group(task.group, {
    topics: [task.topic],
    sessionMs: SESSION_MS,
    commitMs: 100,
    ...(task.keepsPlaces ? place : {}),
    onAssigned: (parts) => {
      const partitions = parts.map(({ partition }) => partition);
      tell({ kind: 'moved', partitions, atMs: Date.now() });
    },
  });
  await member.run(
    ({ partition, offset }) => {
      handled.push([partition, offset, Date.now()]);
    },
    { concurrency: 4 },
  );
});

process.on('message', () => {
  void Promise.all(clients.map((client) => client.close()))
    .then(() => Promise.all(runs))
    .then(() => {
      flush();
      process.exit(0);
    });
});
process.on('disconnect', () => process.exit(1));
for (const run of runs)
  run.catch((error: unknown) => {
    tell({ kind: 'failed', reason: String(error) });
    process.exitCode = 1;
  });
