/**
 * `npm start`: brokers as processes of this machine, one rack each, with a live view. Ctrl-C stops
 * them in order; a second one at once. What a person kills with `tidemark local kill` stays down
 * until `tidemark local start`.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connect, type ConnectOptions } from '../client/index.ts';
import { look } from '../client/cli/look.ts';
import { hasColour, painted } from '../client/cli/output.ts';
import type { Tidemark } from '../client/index.ts';
import { EXIT_FAULT, EXIT_OK } from '../process/exit-codes.ts';
import { votersWanted } from '../base/voters-wanted.ts';
import { serveControl } from './control.ts';
import { socketOf, takeFolder } from './folder.ts';
import { formCluster, readCluster } from './formation.ts';
import { LOCAL_HELP, PORT_DEFAULT, readLocalOptions } from './options.ts';
import type { LocalOptions } from './options.ts';
import { servePage } from './page.ts';
import { portFaults } from './ports.ts';
import { Processes } from './processes.ts';
import type { BrokerSpec } from './processes.ts';
import { type LocalCertificates, takeCertificates } from './secure.ts';
import { render } from './view.ts';
import type { Look } from './view.ts';
import { reasonOf } from '../base/reason.ts';

const LOOK_INTERVAL_MS = 1_000;
/** A broker that says nothing for so long is shown as silent. */
const LOOK_PATIENCE_MS = 2_000;
const EVENTS_KEPT_MAX = 8;
/** Any of them names the others, and three fit a line. */
const SERVERS_NAMED_MAX = 3;
/** Signals closer together than this count as one. */
const SAME_SIGNAL_MS = 500;
/** Of a terminal that does not say. */
const SIZE_DEFAULT = { columns: 80, rows: 24 };

const startedMs = Date.now();
const events: string[] = [];
const isTerminal = process.stdout.isTTY;
/** Is the terminal the picture's? Before and after, news are lines. */
let isDrawing = false;

/** What a command in another terminal needs to find these brokers; empty: nothing. */
let hint = '';
/** Where the page is; empty: nowhere. */
let pageHint = '';

function note(text: string): void {
  const line = `${new Date().toISOString().slice(11, 23)}  ${text}`;
  events.push(line);
  if (events.length > EVENTS_KEPT_MAX) events.shift();
  if (!isDrawing) console.log(line);
}

function specsOf({ brokers, port, internalPort, httpPort }: LocalOptions): BrokerSpec[] {
  return Array.from({ length: brokers }, (_, index) => ({
    brokerId: index + 1,
    host: '127.0.0.1',
    port: port + index,
    internalPort: internalPort + index,
    rack: `rack-${index + 1}`,
    httpPort: httpPort === 0 ? 0 : httpPort + index,
  }));
}

async function main(): Promise<void> {
  const options = readLocalOptions(process.argv.slice(2));
  if (options.isHelp) {
    console.log(LOCAL_HELP);
    return;
  }
  await takeFolder(options.dataDir);
  const specs = specsOf(options);
  const ports = specs.flatMap(({ port, internalPort, httpPort }) =>
    httpPort === 0 ? [port, internalPort] : [port, internalPort, httpPort],
  );
  const faults = await portFaults('127.0.0.1', ports);
  if (faults.length > 0)
    throw new Error(
      `${faults.join('\n')}\nChoose others with --port, --internal-port and --http-port`,
    );
  const record = readCluster(options.dataDir);
  const ids = specs.map(({ brokerId }) => brokerId);
  const certificates = options.isSecure
    ? takeCertificates(options.dataDir, record.clusterId, ids)
    : null;
  const how = {
    servers: specs.map(({ host, port }) => `${host}:${port}`),
    ...(certificates === null ? {} : { tls: { ca: certificates.ca } }),
    ...tokenFor(certificates),
  };
  const allFailed = Promise.withResolvers<never>();
  // Once the cluster is ready, brokers that end are for the person who watches.
  allFailed.promise.catch(() => undefined);
  const processes = new Processes({
    dataDir: options.dataDir,
    command: brokerCommand(),
    specs,
    clusterId: record.clusterId,
    extraArguments: options.brokerArguments,
    argumentsOf: (brokerId) => certificates?.argumentsOf(brokerId) ?? [],
    onEvent: note,
    onAllFailed: () => {
      allFailed.reject(
        new Error(`every broker ended before the cluster was ready: see ${options.dataDir}/logs`),
      );
    },
  });
  const socketPath = socketOf(options.dataDir);
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
    await Promise.race([
      formCluster(options.dataDir, record, specs, certificates?.credentials),
      allFailed.promise,
    ]);
    await Promise.race([waitUntilServing(how, options), allFailed.promise]);
  } catch (error) {
    processes.killAll();
    cleanUp();
    throw error;
  }
  greet(options, specs, certificates);
  const tidemark = connect(how);
  const { servers } = how;
  const caFile = certificates?.caFile ?? null;
  // The cluster is there without its page: what hinders that is told, and no more.
  const page = await servePage({ ...options, servers, caFile }, tidemark, processes);
  if (page !== null && 'url' in page) pageHint = `open ${page.url}`;
  if (page !== null) note('url' in page ? pageHint : `no page: ${page.fault} (--page-port)`);
  await watch(processes, tidemark);
}

/**
 * What is shown to brokers that were told to ask who comes in (`-- --auth token`): the token of the
 * environment, as the command takes it. Without TLS none is shown.
 */
function tokenFor(certificates: LocalCertificates | null): { readonly token?: string } {
  const { TIDEMARK_TOKEN: token } = process.env;
  return certificates === null || token === undefined || token === '' ? {} : { token };
}

/**
 * How a broker is started: as this program was, from the sources or by what builds them, so that it
 * is never older than its sources, however long the launcher has run.
 */
function brokerCommand(): string[] {
  const started = process.argv[1] ?? '';
  if (started.endsWith('.ts')) return [join(dirname(started), '..', 'broker', 'main.ts')];
  return [started, 'broker/main.ts'];
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
    isDrawing = false;
    note('stopping the brokers in order (once more to kill them)');
    processes.close().then(() => {
      cleanUp();
      process.exit(EXIT_OK);
    }, fail);
  };
}

async function waitUntilServing(
  how: ConnectOptions,
  { brokers, votersMax }: LocalOptions,
): Promise<void> {
  const tidemark = connect(how);
  try {
    for (;;) {
      const cluster = await tidemark.admin().describeCluster();
      const inService = cluster.brokers.filter(({ fenced }) => !fenced).length;
      const voters = cluster.brokers.filter(({ voter }) => voter).length;
      // Before all its voters are there, a cluster does not survive the loss of the first.
      if (inService === brokers && voters >= votersWanted(brokers, votersMax)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    await tidemark.close();
  }
}

function greet(
  options: LocalOptions,
  specs: readonly BrokerSpec[],
  certificates: LocalCertificates | null,
): void {
  const servers = specs.map(({ host, port }) => `${host}:${port}`).join(',');
  note(
    `${specs.length} brokers ready after ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${servers}`,
  );
  const [first, last] = [specs[0]?.httpPort ?? 0, specs.at(-1)?.httpPort ?? 0];
  const metrics = first === last ? first : `${first} to ${last}`;
  if (first !== 0) note(`metrics: http://127.0.0.1:${first}/metrics (ports ${metrics})`);
  note(`data in ${options.dataDir}; in another terminal: npx tidemark --help`);
  const named = servers.split(',').slice(0, SERVERS_NAMED_MAX).join(',');
  const exports = [
    ...(options.port === PORT_DEFAULT ? [] : [`TIDEMARK_SERVER=${named}`]),
    ...(certificates === null ? [] : [`TIDEMARK_TLS_CA='${certificates.caFile}'`]),
  ];
  if (exports.length === 0) return;
  hint = `export ${exports.join(' ')}`;
  console.log(hint);
}

async function lookAt(processes: Processes, tidemark: Tidemark): Promise<Look> {
  const cluster = await look(tidemark.admin(), LOOK_PATIENCE_MS).catch(() => null);
  return { atMs: performance.now(), processes: processes.status(), cluster };
}

/** Draws over the picture before, so that nothing flickers. */
function draw(now: Look, before: Look | null): void {
  const { columns, rows } = { ...SIZE_DEFAULT, ...sizeOf(process.stdout) };
  const isColoured = hasColour(process.stdout, process.env);
  const lines = render(now, before, { events, hint, pageHint }, { columns, rows }).map(
    ({ text, colour }) => (colour === undefined || !isColoured ? text : painted(colour, text)),
  );
  process.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
}

/** A terminal of no size says 0. */
function sizeOf({ columns, rows }: NodeJS.WriteStream): Partial<typeof SIZE_DEFAULT> {
  return columns > 0 && rows > 0 ? { columns, rows } : {};
}

async function watch(processes: Processes, tidemark: Tidemark): Promise<never> {
  let [before, now]: (Look | null)[] = [null, null];
  if (isTerminal) {
    isDrawing = true;
    process.stdout.write('\u001b[2J');
    process.stdout.on('resize', () => {
      if (isDrawing && now !== null && now !== undefined) draw(now, before ?? null);
    });
  }
  for (;;) {
    if (isDrawing) {
      const next = await lookAt(processes, tidemark);
      [before, now] = [now, next];
      // It may have been told to stop meanwhile.
      if (isDrawing) draw(next, before ?? null);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
}

function fail(error: unknown): never {
  console.error(reasonOf(error));
  process.exit(EXIT_FAULT);
}

main().catch(fail);
