/**
 * `npm start`: brokers as processes of this machine, one rack each, with a live view. Ctrl-C stops them in order; a second one at once. What a person
 * kills with `tidemark local kill` stays down until `tidemark local start`.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../client/index.ts';
import type { Tidemark } from '../../client/index.ts';
import { EXIT_FAULT, EXIT_OK } from '../base/exit-codes.ts';
import { NUMBER_OPTIONS } from '../../proto/options/broker-options.ts';
import { votersWanted } from '../metadata/voters.ts';
import { serveControl } from './control.ts';
import { formCluster, readCluster } from './formation.ts';
import { LOCAL_HELP, readLocalOptions } from './options.ts';
import type { LocalOptions } from './options.ts';
import { Processes } from './processes.ts';
import type { BrokerSpec } from './processes.ts';
import { render } from './view.ts';
import type { Look } from './view.ts';

const LOOK_INTERVAL_MS = 1_000;
const EVENTS_SHOWN_MAX = 8;
const VOTERS_MAX = NUMBER_OPTIONS.votersMax.fallback;
/** Signals closer together than this count as one. */
const SAME_SIGNAL_MS = 500;
/** Path of a unix socket: the kernel allows 108 bytes. */
const SOCKET_PATH_BYTES_MAX = 100;

const startedMs = Date.now();
const events: string[] = [];
const isTerminal = process.stdout.isTTY;

function note(text: string): void {
  const line = `${new Date().toISOString().slice(11, 23)}  ${text}`;
  events.push(line);
  if (events.length > EVENTS_SHOWN_MAX) events.shift();
  if (!isTerminal) console.log(line);
}

function specsOf({ brokers, port }: LocalOptions): BrokerSpec[] {
  return Array.from({ length: brokers }, (_, index) => ({
    brokerId: index + 1,
    host: '127.0.0.1',
    port: port + index,
    rack: `rack-${index + 1}`,
  }));
}

async function main(): Promise<void> {
  const options = readLocalOptions(process.argv.slice(2));
  if (options.isHelp) {
    console.log(LOCAL_HELP);
    return;
  }
  mkdirSync(options.dataDir, { recursive: true });
  refuseSecond(options.dataDir);
  const specs = specsOf(options);
  const record = readCluster(options.dataDir);
  const allFailed = Promise.withResolvers<never>();
  // Once the cluster is ready, brokers that end are for the person who watches.
  allFailed.promise.catch(() => undefined);
  const processes = new Processes({
    dataDir: options.dataDir,
    program: fileURLToPath(new URL('../main.ts', import.meta.url)),
    specs,
    clusterId: record.clusterId,
    extraArguments: options.brokerArguments,
    onEvent: note,
    onAllFailed: () => {
      allFailed.reject(
        new Error(`every broker ended before the cluster was ready: see ${options.dataDir}/logs`),
      );
    },
  });
  const socketPath = join(options.dataDir, 'control.sock');
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(
      `data is '${options.dataDir}', whose control socket would have a path over ${SOCKET_PATH_BYTES_MAX} bytes: choose a shorter one`,
    );
  }
  rmSync(socketPath, { force: true });
  const control = await serveControl(socketPath, processes);
  writeFileSync(
    join(options.dataDir, 'local.json'),
    `${JSON.stringify({ launcherPid: process.pid, socket: socketPath })}\n`,
  );
  const cleanUp = (): void => {
    control.close();
    rmSync(join(options.dataDir, 'local.json'), { force: true });
  };
  const stop = stopper(processes, cleanUp);
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  for (const spec of specs) processes.start(spec.brokerId);
  try {
    await Promise.race([formCluster(options.dataDir, record, specs), allFailed.promise]);
    await Promise.race([waitUntilServing(specs), allFailed.promise]);
  } catch (error) {
    processes.killAll();
    cleanUp();
    throw error;
  }
  greet(options, specs);
  await watch(processes, connect({ servers: specs.map(({ host, port }) => `${host}:${port}`) }));
}

/** Two launchers on one folder would take each other's control socket away. */
function refuseSecond(dataDir: string): void {
  const path = join(dataDir, 'local.json');
  if (!existsSync(path)) return;
  const { launcherPid } = JSON.parse(readFileSync(path, 'utf8')) as { launcherPid?: number };
  if (launcherPid === undefined || !existsSync(`/proc/${launcherPid}`)) return;
  throw new Error(`brokers run in ${dataDir} already: process ${launcherPid} started them`);
}

function stopper(processes: Processes, cleanUp: () => void): () => void {
  let stoppingSinceMs: number | null = null;
  return () => {
    // A terminal, npm and a supervisor may each deliver the same signal.
    if (stoppingSinceMs !== null && performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
    if (stoppingSinceMs !== null) {
      processes.killAll();
      cleanUp();
      process.exit(EXIT_FAULT);
    }
    stoppingSinceMs = performance.now();
    note('stopping the brokers in order (once more to kill them)');
    if (isTerminal) console.log(events.at(-1));
    processes.close().then(() => {
      cleanUp();
      process.exit(EXIT_OK);
    }, fail);
  };
}

async function waitUntilServing(specs: readonly BrokerSpec[]): Promise<void> {
  const tidemark = connect({ servers: specs.map(({ host, port }) => `${host}:${port}`) });
  try {
    for (;;) {
      const cluster = await tidemark.admin().describeCluster();
      const inService = cluster.brokers.filter(({ fenced }) => !fenced).length;
      const voters = cluster.brokers.filter(({ voter }) => voter).length;
      // Before all its voters are there, a cluster does not survive the loss of the first.
      if (inService === specs.length && voters >= votersWanted(specs.length, VOTERS_MAX)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    await tidemark.close();
  }
}

function greet(options: LocalOptions, specs: readonly BrokerSpec[]): void {
  const servers = specs.map(({ host, port }) => `${host}:${port}`).join(',');
  note(
    `${specs.length} brokers ready after ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${servers}`,
  );
  note(`data in ${options.dataDir}; in another terminal: npx tidemark --help`);
}

async function look(processes: Processes, tidemark: Tidemark): Promise<Look> {
  const admin = tidemark.admin();
  const running = processes.status().filter(({ state }) => state === 'running');
  const [cluster, topics, ...brokers] = await Promise.all([
    admin.describeCluster().catch(() => null),
    admin.listTopics().catch(() => []),
    ...running.map(({ brokerId }) => admin.describeBroker(brokerId).catch(() => null)),
  ]);
  const found = brokers.filter((broker) => broker !== null);
  return {
    processes: processes.status(),
    cluster,
    topics,
    brokers: new Map(found.map((broker) => [broker.brokerId, broker])),
    events,
  };
}

async function watch(processes: Processes, tidemark: Tidemark): Promise<never> {
  for (;;) {
    if (isTerminal) {
      const lines = render(await look(processes, tidemark));
      process.stdout.write(`\u001b[H\u001b[2J${lines.join('\n')}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
}

function fail(error: unknown): never {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(EXIT_FAULT);
}

main().catch(fail);
