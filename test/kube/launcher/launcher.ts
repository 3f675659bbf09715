/**
 * A real Kubernetes of three nodes in three zones on one machine, without Docker. Everything it
 * knows is on disk, in cgroups and in network namespaces, so whoever has its run folder can work
 * with it, and `down` ends also what a run that was killed left behind.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { applyAddons, applyVolumes, volumeNames } from './addons.ts';
import { endGroup, groups } from './cgroups.ts';
import { startControlPlane } from './control-plane.ts';
import { makePauseImage } from './image.ts';
import { tail } from '../../cluster/harness/child.ts';
import { waitFor, when } from '../../cluster/harness/wait.ts';
import { kubectl } from './kubectl.ts';
import { cut, heal, makeNetwork, removeNetwork } from './network.ts';
import { startNode, stopNode } from './node.ts';
import { ensurePrograms } from './programs.ts';
import { type NodePlace, nodeNamed, NODES, RUN_DIR, runFile } from './settings.ts';
import { join } from 'node:path';

const OWNER_FILE = runFile('owner');
const NODES_DEADLINE_MS = 60_000;

/**
 * Starts the cluster on behalf of this process; removes first whatever an earlier run left. @throws
 * Error where another process that still runs has one up
 */
export async function up(report: (step: string) => void): Promise<void> {
  const owner = ownerAlive();
  if (owner !== undefined)
    throw new Error(`process ${owner} has a cluster up in ${RUN_DIR}; only one fits at a time`);
  await down();
  await ensurePrograms(report);
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o755 });
  writeFileSync(OWNER_FILE, `${process.pid} ${startOf(process.pid) ?? ''}`);
  try {
    report('starting the control plane');
    await makeNetwork();
    await startControlPlane();
    report('starting three nodes');
    await makePauseImage();
    await Promise.all(NODES.map(startNode));
    await applyAddons();
    await waitReady(NODES);
  } catch (error) {
    await down();
    throw error;
  }
}

/** Ends every process of the cluster and removes every trace of it. Safe to call at any time. */
export async function down(): Promise<void> {
  // Kubelets and runtimes first: they would start again what was ended.
  for (const group of groups()) await endGroup(group);
  await removeNetwork();
  rmSync(RUN_DIR, { recursive: true, force: true });
  removeIfEmpty('/var/lib/kubelet');
}

/** Resolves when these nodes are Ready. */
export async function waitReady(nodes: readonly NodePlace[]): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    const names = nodes.map(({ name }) => name);
    await kubectl(['wait', '--for=condition=Ready', 'node', ...names, '--timeout=5s']);
    return when(true);
  };
  const context = (): string =>
    nodes.map(({ dir }) => tail(join(dir, 'kubelet.log'), 8)).join('\n');
  await waitFor('nodes to be ready', look, { deadlineMs: NODES_DEADLINE_MS, context });
}

/** Takes a node's network away. */
export function cutNode(name: string): Promise<void> {
  return cut(nodeNamed(name));
}

/** Gives it back, also to a node that is registered no more. */
export function reconnectNode(name: string): Promise<void> {
  return heal(nodeNamed(name));
}

/** Gives it back, and resolves when the node is Ready. */
export async function healNode(name: string): Promise<void> {
  await reconnectNode(name);
  await waitReady([nodeNamed(name)]);
}

/** A power cut of one node; its disks stay. */
export async function crashNode(name: string): Promise<void> {
  await stopNode(nodeNamed(name));
}

/** The node is started again with the disks it had. */
export async function startNodeAgain(name: string): Promise<void> {
  const node = nodeNamed(name);
  await startNode(node);
  await waitReady([node]);
}

/**
 * A machine that is gone for good, and its disks with it: the node is no more, nor are its volumes
 * and what was on them.
 */
export async function deleteNode(name: string): Promise<void> {
  const node = nodeNamed(name);
  await stopNode(node);
  await kubectl(['delete', 'node', name]);
  const volumes = volumeNames(node);
  await kubectl(['delete', 'persistentvolume', ...volumes, '--wait=false', '--ignore-not-found']);
  // A bound volume stays until its claim is gone: whoever deletes the claim finds no disk below it.
  rmSync(join(node.dir, 'volumes'), { recursive: true, force: true });
}

/** A new machine under the name of a deleted one, with empty disks. */
export async function replaceNode(name: string): Promise<void> {
  const node = nodeNamed(name);
  await applyVolumes(node);
  await startNodeAgain(name);
}

/** Whether a cluster is up, by whomever. */
export function isUp(): boolean {
  return existsSync(OWNER_FILE);
}

function ownerAlive(): string | undefined {
  if (!isUp()) return undefined;
  const [pid = '', start] = readFileSync(OWNER_FILE, 'utf8').split(' ');
  return start !== undefined && start !== '' && startOf(Number(pid)) === start ? pid : undefined;
}

/**
 * When a process was started, in the kernel's ticks: with it a number that was used again is told
 * apart (proc(5), field 22).
 */
function startOf(pid: number): string | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else's kubelet lives there, or nobody's ever did.
  }
}
