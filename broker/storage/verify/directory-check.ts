/**
 * Checks a broker's data directory, or the folder of one partition, without a broker: what it
 * holds, and whatever a broker did not leave so. Changes nothing and keeps nobody out; a directory
 * that a broker has open is refused, since it changes while it is read.
 */
import { BrokerError } from '../../../base/errors.ts';
import { partitionKey } from '../../../base/units.ts';
import type { PartitionKey } from '../../../base/units.ts';
import { Checkpoint } from '../checkpoint.ts';
import { isDirectoryHeld } from '../directory-lock.ts';
import { folderOf, nodeFileSystem, readFile } from '../file-system.ts';
import type { FileSystem } from '../file-system.ts';
import { partitionOf, partitionOfFolder } from '../partition-folders.ts';
import type { PartitionId } from '../partition-folders.ts';
import { loadCleanFlag, loadSession } from '../session.ts';
import { Findings } from './findings.ts';
import { checkPartition } from './partition-check.ts';
import type { PartitionCheck, PartitionReport } from './partition-check.ts';
import { checkQuorum } from './quorum-check.ts';
import type { QuorumReport } from './quorum-check.ts';
import { namesIn, readOnly } from './read-only.ts';
import { reasonOf } from '../../../base/reason.ts';

export interface DirectoryCheck {
  /** A data directory or a partition's folder, without a slash at its end. */
  readonly path: string;
  /** Called with each partition that was read. */
  readonly onPartition: (report: PartitionReport) => void;
  /** For tests. */
  readonly files?: FileSystem;
}

/** What is not of one partition. */
export interface DirectoryReport {
  readonly kind: 'directory' | 'partition';
  readonly clusterId: string | null;
  readonly brokerId: number | null;
  readonly directoryId: string | null;
  readonly quorum: QuorumReport | null;
  readonly findings: Findings;
}

/** What a broker and the system put into a data directory. */
const NAMES: ReadonlySet<string> = new Set([
  'lock',
  'meta.json',
  'session.json',
  'clean',
  'checkpoint.json',
  'quorum',
  'partitions',
  'reserve',
  'lost+found',
]);
const FORMAT_VERSION = 1;

/**
 * Reads everything. Rejects with REFUSED where a broker has the directory open, or opened it
 * meanwhile, with INVALID_ARGUMENT where the path is neither kind of folder, and as the file system
 * does where a folder cannot be read.
 */
export async function checkDirectory(check: DirectoryCheck): Promise<DirectoryReport> {
  const files = readOnly(check.files ?? nodeFileSystem);
  const { path } = check;
  const id = partitionOfFolder(path.slice(path.lastIndexOf('/') + 1));
  const names = await namesIn(files, path).catch((error: unknown) => {
    throw new BrokerError('INVALID_ARGUMENT', `Cannot verify "${path}": ${reasonOf(error)}`);
  });
  if (names === null)
    throw new BrokerError('INVALID_ARGUMENT', `Cannot verify "${path}": there is no such folder`);
  if (id === null && !names.includes('meta.json') && !names.includes('partitions')) {
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot verify "${path}": it must be a broker's data directory, or a partition's folder named <topic id>-<partition>`,
    );
  }
  const dataDir = id === null ? path : folderOf(folderOf(path));
  refuseHeld(dataDir, 'a broker has it open');
  const report =
    id === null
      ? await checkWhole(files, { ...check, names })
      : await checkOne(files, { ...check, dataDir, id });
  refuseHeld(dataDir, 'a broker opened it meanwhile, so what was read is of no one moment');
  return report;
}

function refuseHeld(dataDir: string, why: string): void {
  if (!isDirectoryHeld(dataDir)) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot verify "${dataDir}": ${why}; stop the broker, or verify a copy or a snapshot of its volume`,
  );
}

async function checkOne(
  files: FileSystem,
  check: DirectoryCheck & { readonly dataDir: string; readonly id: PartitionId },
): Promise<DirectoryReport> {
  const { path, dataDir, id } = check;
  const findings = new Findings();
  const checkpoint = await loadCheckpoint(files, dataDir, null);
  const shown = path.slice(path.lastIndexOf('/') + 1);
  const line = lineOf(checkpoint, partitionKey(id.topicId, id.partition));
  check.onPartition(await checkPartition({ files, folder: path, shown, ...id, line }));
  return {
    kind: 'partition',
    clusterId: null,
    brokerId: null,
    directoryId: null,
    quorum: null,
    findings,
  };
}

async function checkWhole(
  files: FileSystem,
  check: DirectoryCheck & { readonly names: readonly string[] },
): Promise<DirectoryReport> {
  const { path, names, onPartition } = check;
  const findings = new Findings();
  for (const name of names) {
    if (NAMES.has(name)) continue;
    if (name.endsWith('.tmp')) findings.note(name, 'an unfinished file', 'nothing');
    else findings.fault(name, null, 'a stray file', 'only what a broker keeps');
  }
  const meta = await checkMeta(files, path, findings);
  await checkSession(files, { path, names, meta, findings });
  const checkpoint = await loadCheckpoint(files, path, findings);
  const quorum = await checkQuorum(files, `${path}/quorum`, findings);
  for (const id of await partitionsOf(files, { path, checkpoint, findings })) {
    const key = partitionKey(id.topicId, id.partition);
    if (checkpoint?.isDeleting(key) === true) {
      findings.note(`partitions/${id.topicId}-${id.partition}`, 'a half deleted log', 'nothing');
      continue;
    }
    const shown = `partitions/${id.topicId}-${id.partition}`;
    const line = lineOf(checkpoint, key);
    onPartition(await checkPartition({ files, folder: `${path}/${shown}`, shown, ...id, line }));
  }
  return { kind: 'directory', ...meta, quorum, findings };
}

interface Identity {
  readonly clusterId: string | null;
  readonly brokerId: number | null;
  readonly directoryId: string | null;
}

async function checkMeta(files: FileSystem, path: string, findings: Findings): Promise<Identity> {
  const nobody = { clusterId: null, brokerId: null, directoryId: null };
  const value = await readJson(files, `${path}/meta.json`);
  if (typeof value === 'string') {
    findings.fault('meta.json', null, value, 'who this directory is');
    return nobody;
  }
  const { formatVersion, clusterId, brokerId, directoryId } = value;
  if (formatVersion !== FORMAT_VERSION)
    findings.fault('meta.json', null, `formatVersion ${said(formatVersion)}`, `${FORMAT_VERSION}`);
  const identity = {
    clusterId: typeof clusterId === 'string' ? clusterId : null,
    brokerId: Number.isSafeInteger(brokerId) ? (brokerId as number) : null,
    directoryId: typeof directoryId === 'string' ? directoryId : null,
  };
  for (const [field, text] of Object.entries(identity)) {
    if (text === null)
      findings.fault('meta.json', null, `${field} ${said(value[field])}`, 'one of a broker');
  }
  return identity;
}

async function checkSession(
  files: FileSystem,
  found: {
    readonly path: string;
    readonly names: readonly string[];
    readonly meta: Identity;
    readonly findings: Findings;
  },
): Promise<void> {
  const { path, names, meta, findings } = found;
  const session = await loadSession(files, `${path}/session.json`).catch(() => null);
  if (session === null && names.includes('session.json'))
    findings.fault('session.json', null, 'no session that can be read', 'who wrote here last');
  else if (session === null)
    findings.note('session.json', 'no file', 'who wrote here last: the next start is lossy');
  for (const field of ['clusterId', 'directoryId'] as const) {
    if (session === null || meta[field] === null || session[field] === meta[field]) continue;
    const shown = `${field} "${session[field]}"`;
    findings.fault('session.json', null, shown, `"${meta[field]}", as meta.json says`);
  }
  if (!names.includes('clean')) return;
  const clean = await loadCleanFlag(files, `${path}/clean`).catch(() => null);
  if (clean === null)
    findings.fault('clean', null, 'no flag that can be read', 'which incarnation stopped in order');
  else if (session !== null && clean.brokerEpoch !== session.brokerEpoch)
    findings.note(
      'clean',
      `the flag of broker epoch ${clean.brokerEpoch}`,
      `${session.brokerEpoch}`,
    );
}

/** The checkpoint, or null where there is none to go by. */
async function loadCheckpoint(
  files: FileSystem,
  dataDir: string,
  findings: Findings | null,
): Promise<Checkpoint | null> {
  const name = 'checkpoint.json';
  try {
    const checkpoint = await Checkpoint.load(files, `${dataDir}/${name}`);
    if (checkpoint.file === 'whole') return checkpoint;
    const found = checkpoint.file === 'absent' ? 'no file' : 'its checksum or content fails';
    findings?.fault(name, null, found, 'what must be there of each log');
  } catch (error) {
    findings?.fault(name, null, reasonOf(error), 'a file that can be read');
  }
  return null;
}

function lineOf(checkpoint: Checkpoint | null, key: PartitionKey): PartitionCheck['line'] {
  return checkpoint === null ? 'unknown' : (checkpoint.get(key) ?? 'absent');
}

/** Those that have a folder or a line, in the order of their keys. */
async function partitionsOf(
  files: FileSystem,
  found: {
    readonly path: string;
    readonly checkpoint: Checkpoint | null;
    readonly findings: Findings;
  },
): Promise<readonly PartitionId[]> {
  const { path, checkpoint, findings } = found;
  const partitions = new Map<PartitionKey, PartitionId>();
  for (const key of checkpoint?.keys() ?? []) partitions.set(key, partitionOf(key));
  for (const name of (await namesIn(files, `${path}/partitions`)) ?? []) {
    const id = partitionOfFolder(name);
    if (id !== null) partitions.set(partitionKey(id.topicId, id.partition), id);
    else if (name.endsWith('.deleted'))
      findings.note(`partitions/${name}`, 'a half deleted log', 'nothing');
    else findings.fault(`partitions/${name}`, null, 'a stray file', 'only folders of partitions');
  }
  return [...partitions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, id]) => id);
}

/** An object of JSON, or what is wrong with the file. */
async function readJson(
  files: FileSystem,
  path: string,
): Promise<Readonly<Record<string, unknown>> | string> {
  try {
    const bytes = await readFile(files, path);
    if (bytes === null) return 'no file';
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value !== 'object' || value === null) return 'no object';
    return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    return reasonOf(error);
  }
}

function said(value: unknown): string {
  return (JSON.stringify(value) ?? 'absent').slice(0, 100);
}
