/**
 * Every process of the cluster is started in a cgroup of its own, and its pods' processes below it,
 * so the kernel keeps the list of what there is to end: it is complete, it outlives a run that
 * crashed, and a process number that was given to somebody else in the meantime is never on it.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { waitFor, when } from '../../cluster/harness/wait.ts';
import { PREFIX } from './settings.ts';

const ROOT = '/sys/fs/cgroup';
/** Below a node's cgroup, beside its pods. */
export const PROGRAMS = 'programs';

/**
 * Folders in which a cgroup has to be made: one for each controller of version 1, or the only one
 * of version 2.
 */
function hierarchies(): string[] {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) return [ROOT];
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'unified')
    .map(({ name }) => join(ROOT, name));
}

/** The hierarchy whose lists of processes are read. */
function listing(): string {
  return existsSync(join(ROOT, 'cgroup.controllers')) ? ROOT : join(ROOT, 'pids');
}

/** Why cgroups cannot be used; undefined where they can. */
export function whyNoCgroups(): string | undefined {
  if (!existsSync(join(listing(), 'cgroup.procs')))
    return `no cgroups (neither version 2 at ${ROOT} nor the controller "pids" of version 1)`;
  const probe = join(listing(), `${PREFIX}-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return undefined;
  } catch (error) {
    return `${listing()} is not writable (${String(error)})`;
  }
}

/**
 * Makes the cgroup of a node or of the control plane. Returns the file that a process writes its
 * number to in order to enter it.
 */
export function makeGroup(name: string): string {
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, name);
    mkdirSync(folder, { recursive: true });
    // A cpuset of version 1 starts empty, and takes no process until it is given processors and
    // memory.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const path = join(folder, file);
      if (hierarchy !== ROOT && existsSync(path))
        writeFileSync(path, readFileSync(join(hierarchy, file)));
    }
  }
  const programs = join(listing(), name, PROGRAMS);
  mkdirSync(programs, { recursive: true });
  return join(programs, 'cgroup.procs');
}

/** Ends everything in the cgroup and removes it. Does nothing where there is none. */
export async function endGroup(name: string): Promise<void> {
  await waitFor(`the end of all processes of ${name}`, (note) => {
    const pids = processesOf(name);
    note(pids);
    for (const pid of pids) kill(pid);
    return when(pids.length === 0);
  });
  // runc also makes one in the hierarchy of version 2 that stands beside those of version 1.
  for (const hierarchy of [...hierarchies(), join(ROOT, 'unified')]) {
    const folder = join(hierarchy, name);
    for (const path of [...foldersBelow(folder), ...(existsSync(folder) ? [folder] : [])])
      rmdirSync(path);
  }
}

/** Numbers of all processes in the cgroup and below. */
export function processesOf(name: string): number[] {
  const folder = join(listing(), name);
  if (!existsSync(folder)) return [];
  return [folder, ...foldersBelow(folder)].flatMap(pidsIn);
}

function pidsIn(folder: string): number[] {
  try {
    const text = readFileSync(join(folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  } catch {
    // Removed by the kubelet between listing and reading.
    return [];
  }
}

/**
 * Sends a signal to every process of a container, by its id: SIGKILL is what the kernel's memory
 * killer does, SIGSTOP what a machine that hangs looks like.
 */
export function signalContainer(id: string, signal: NodeJS.Signals): void {
  const pids = groups().flatMap((name) =>
    foldersBelow(join(listing(), name))
      .filter((folder) => basename(folder) === id)
      .flatMap(pidsIn),
  );
  if (pids.length === 0) throw new Error(`there is no container ${id}`);
  for (const pid of pids) kill(pid, signal);
}

/** Cgroups of this cluster, also of a run that crashed. */
export function groups(): string[] {
  return readdirSync(listing()).filter((name) => name.startsWith(`${PREFIX}-`));
}

/** Deepest first. */
function foldersBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((left, right) => right.length - left.length);
}

function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended by itself in this moment.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
