/**
 * `tidemark debug bundle`: what an engineer who was not there asks for first, in one archive. It
 * reads no topic and no environment, so it holds no record, and no secret as long as no option of a
 * broker is one. Bounded in time and size. Whatever cannot be had is named in `manifest.json`, with
 * the reason: a bundle is wanted most where part of a cluster is dead.
 */
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Broker, DescribeBrokerResponse } from '../../../proto/gen/tidemark/v1/admin.ts';
import type { Admin } from '../../index.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError, reportOf } from '../exit.ts';
import { type Health, healthOf } from '../health.ts';
import { type ClusterLook, look } from '../look.ts';
import type { Surroundings } from '../output.ts';
import { tarOf, type TarFile } from '../tar.ts';
import { formatBytes } from '../units.ts';
import { version } from '../version.ts';
import { askWhy, parsePartition } from './why.ts';
import { reasonOf } from '../../../base/reason.ts';

/** Options of `debug bundle`. */
export interface BundleOptions extends CommonOptions {
  readonly file?: string;
}

/** All that is asked. What has not been answered by then is missing. */
const BUNDLE_MS_MAX = 30_000;
/** One file before compression; the rest of it is cut off. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
/** All files before compression; what comes after that is missing. */
const BUNDLE_BYTES_MAX = 64 * 1024 * 1024;
/** Partitions that are explained, those with the gravest findings first. */
const EXPLAINED_MAX = 50;

/** What the bundle lacks. */
interface Missing {
  readonly file: string;
  readonly reason: string;
}

/** Writes the archive and says where it is. Rejects where no broker answers at all. */
export async function debugBundle(options: BundleOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (cluster, { out }) => {
    const startMs = Date.now();
    const file = options.file ?? `tidemark-bundle-${fileTime(startMs)}.tar.gz`;
    const limit = AbortSignal.timeout(BUNDLE_MS_MAX);
    const signal = AbortSignal.any([around.interrupted, limit]);
    const bundle = new Bundle();
    const view = await look(cluster.admin());
    await gather(cluster.admin(), view, bundle, signal);
    const { missing } = bundle;
    const manifest = {
      at: new Date(startMs).toISOString(),
      tookMs: Date.now() - startMs,
      clientVersion: version(),
      node: process.version,
      answeredBy: view.cluster.answeredBy,
      clusterId: view.cluster.clusterId,
      health: healthOf(view).sentence,
      missing,
    };
    const archive = gzipSync(tarOf(bundle.files(manifest), startMs));
    await write(file, archive);
    out.result({ file, bytes: archive.length, missing }, () => {
      out.line(`Wrote ${file} (${formatBytes(archive.length)})`);
      for (const { file: name, reason } of missing) out.note(`Missing: ${name}: ${reason}`);
    });
  });
}

async function write(file: string, archive: Uint8Array): Promise<void> {
  try {
    // Nothing that is there is written over.
    await writeFile(file, archive, { flag: 'wx' });
  } catch (error) {
    const reason = reasonOf(error);
    throw new CliError('INVALID_ARGUMENT', `cannot write the bundle "${file}": ${reason}`);
  }
}

/** `2026-01-31T12-00-00Z`: colons do not stand in the names of files everywhere. */
function fileTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

class Bundle {
  readonly missing: Missing[] = [];
  readonly #files: TarFile[] = [];
  #bytes = 0;

  /** Adds what `ask` resolves with; what it rejects with is why the file is missing. */
  async add(name: string, ask: () => Promise<unknown>): Promise<void> {
    try {
      const value = await ask();
      this.put(name, typeof value === 'string' ? value : asJson(value));
    } catch (error) {
      this.missing.push({ file: name, reason: reportOf(error).message });
    }
  }

  put(name: string, text: string): void {
    const whole = Buffer.from(text);
    const content = whole.subarray(0, FILE_BYTES_MAX);
    if (this.#bytes + content.length > BUNDLE_BYTES_MAX) {
      this.missing.push({ file: name, reason: `the bundle is full, at ${BUNDLE_BYTES_MAX} bytes` });
      return;
    }
    if (content.length < whole.length) {
      const reason = `cut off behind ${FILE_BYTES_MAX} of ${whole.length} bytes`;
      this.missing.push({ file: name, reason });
    }
    this.#bytes += content.length;
    this.#files.push({ name, content });
  }

  /** Everything, the manifest first. */
  files(manifest: object): readonly TarFile[] {
    const files = [...this.#files].sort((a, b) => (a.name < b.name ? -1 : 1));
    const all = [{ name: 'manifest.json', content: Buffer.from(asJson(manifest)) }, ...files];
    return all.map(({ name, content }) => ({ name: `tidemark-bundle/${name}`, content }));
  }
}

function asJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function gather(
  admin: Admin,
  view: ClusterLook,
  bundle: Bundle,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, topics, reports } = view;
  const health = healthOf(view);
  bundle.put('cluster.json', asJson(cluster));
  bundle.put('topics.json', asJson(topics));
  bundle.put('health.json', asJson(health));
  await Promise.all([
    bundle.add('quorum.json', () => admin.describeQuorum({ signal: soon(signal) })),
    bundle.add('spread.json', () => admin.describeSpread({ signal: soon(signal) })),
    ...cluster.brokers.map((broker) => addBroker(admin, { broker, reports }, bundle, signal)),
  ]);
  const named = partitionsOf(health);
  for (const [index, name] of named.slice(0, EXPLAINED_MAX).entries()) {
    const { topic, partition } = parsePartition(name);
    await bundle.add(`why/${fileName(topic, index)}-${partition}.json`, () =>
      askWhy(admin, { topic, partition }, signal),
    );
  }
  const more = named.length - EXPLAINED_MAX;
  if (more > 0)
    bundle.missing.push({ file: 'why/', reason: `${more} more partitions with findings` });
}

function partitionsOf({ findings }: Health): string[] {
  const named = findings.filter(({ subject }) => subject === 'partition').map(({ name }) => name);
  return [...new Set(named)];
}

const TOPIC_NAME_MAX = 50;

/** Names of topics may be longer than one in the archive: a number keeps them apart. */
function fileName(topic: string, index: number): string {
  return topic.length <= TOPIC_NAME_MAX ? topic : `${topic.slice(0, TOPIC_NAME_MAX)}~${index}`;
}

async function addBroker(
  admin: Admin,
  { broker, reports }: Pick<ClusterLook, 'reports'> & { readonly broker: Broker },
  bundle: Bundle,
  signal: AbortSignal,
): Promise<void> {
  const { brokerId } = broker;
  const folder = `brokers/${brokerId}`;
  const known = reports.get(brokerId);
  // One that is fenced may be alive, and has most to tell.
  let report = known;
  await bundle.add(`${folder}/broker.json`, async () => {
    report ??= await admin.describeBroker(brokerId, { signal: soon(signal) });
    return report;
  });
  await bundle.add(`${folder}/metrics.txt`, () => metricsOf(broker, report, soon(signal)));
}

/** Long enough for any broker that lives, and short beside the whole. */
const ANSWER_MS_MAX = 5_000;

function soon(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
}

async function metricsOf(
  { host }: Broker,
  report: DescribeBrokerResponse | undefined,
  signal: AbortSignal,
): Promise<string> {
  const port = Number(report?.options.find(({ name }) => name === 'http-port')?.value ?? 0);
  if (report === undefined)
    throw new CliError('UNREACHABLE', 'the broker did not say at which port its metrics are');
  if (port === 0) throw new CliError('REFUSED', 'the broker has no http-port');
  return await httpText(host, port, '/metrics', signal);
}

/** The text of a page, as far as a file of the bundle may reach. */
function httpText(
  hostname: string,
  port: number,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(new CliError('UNREACHABLE', `${hostname}:${port}${path}: ${error.message}`));
    const request = get({ hostname, port, path, signal }, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        fail(new Error(`status ${response.statusCode}`));
        return;
      }
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        // One byte more, so that it is told that the file was cut.
        if (text.length > FILE_BYTES_MAX) {
          response.destroy();
          resolve(text);
        }
      });
      response.on('end', () => resolve(text));
      response.on('error', fail);
    });
    request.on('error', fail);
  });
}
