/**
 * One simulated volume: a tree of files and folders that outlives the processes that mount it.
 * Processes see the page cache; power loss leaves what was synced and a random part of the rest.
 * The volume can be copied, rolled back, emptied and damaged. Calls, delays and faults of calls are
 * in `sim-file-system.ts`.
 */
import { assert } from '../../../base/assert.ts';
import type { Random } from '../../../base/random.ts';
import type { FileStatus, VolumeStatus } from '../../../broker/storage/file-system.ts';
import { FileImage, PAGE_BYTES, SimFile, SimFolder } from './sim-inode.ts';
import type { NameLoss, SimNode } from './sim-inode.ts';

export interface SimVolumeOptions {
  readonly random: Random;
  /** Time of inodes; Unix ms. */
  readonly wallMs: () => number;
  readonly device?: number;
  readonly capacityBytes?: number;
  readonly nameLoss?: NameLoss;
}

/** What statfs says of XFS. */
const VOLUME_TYPE = 0x58465342;
const CAPACITY_BYTES = 2 ** 40;
/** An inode number that no test writes by accident. */
const FIRST_INODE = 131;

/** An error as Node makes it. */
export function fileError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${call} '${path}'`), {
    code,
    syscall: call,
    path,
  });
}

/** The whole volume at one moment, as a frozen filesystem is copied. */
export interface VolumeSnapshot {
  readonly root: SimFolder;
}

/** Files and folders, and the room they take. */
export class SimVolume {
  readonly device: number;
  nameLoss: NameLoss;
  #capacityBytes: number;
  readonly #random: Random;
  readonly #wallMs: () => number;
  #root: SimFolder;
  #nextInode = FIRST_INODE;
  #usedPages = 0;

  constructor(options: SimVolumeOptions) {
    this.#random = options.random;
    this.#wallMs = options.wallMs;
    this.device = options.device ?? 64_768;
    this.#capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.nameLoss = options.nameLoss ?? 'ordered';
    this.#root = new SimFolder(this.#takeInode(), this.#wallMs());
  }

  // What processes do. Each call has its effect at once, in the page cache.

  /** The file, made when it is absent and `isMade`. Counts a reference: see {@link release}. */
  openFile(path: string, isMade: boolean): SimNode {
    const { folder, name } = this.#parent(path, 'open');
    const node = folder === null ? this.#root : folder.names.get(name);
    if (node !== undefined) {
      if (isMade && node.kind === 'folder') throw fileError('EISDIR', 'open', path);
      if (node.kind === 'file') node.references += 1;
      return node;
    }
    if (!isMade || folder === null) throw fileError('ENOENT', 'open', path);
    const file = new SimFile(this.#takeInode(), this.#wallMs());
    this.#rename(folder, [[name, file]]);
    file.references += 1;
    return file;
  }

  /** A descriptor is closed. */
  release(node: SimNode): void {
    if (node.kind === 'folder') return;
    node.references -= 1;
    if (node.references === 0) this.#usedPages -= node.cache.pageCount();
  }

  /** Returns the bytes written: fewer than asked where the volume fills up. */
  write(file: SimFile, path: string, bytes: Uint8Array, position: number): number {
    const room = this.#roomFor(file, position, bytes.length);
    if (room === 0 && bytes.length > 0) throw fileError('ENOSPC', 'writev', path);
    this.#usedPages += file.write(bytes.subarray(0, room), position);
    file.changedMs = this.#wallMs();
    return room;
  }

  truncate(file: SimFile, bytes: number): void {
    this.#usedPages -= file.truncate(bytes);
    file.changedMs = this.#wallMs();
  }

  stat(path: string): FileStatus {
    const node = this.#find(path, 'stat');
    return {
      bytes: node.kind === 'file' ? node.cache.bytes : PAGE_BYTES,
      device: this.device,
      inode: node.inode,
      changedMs: node.changedMs,
      createdMs: node.createdMs,
    };
  }

  status(path: string): VolumeStatus {
    this.#find(path, 'statfs');
    const { freeBytes } = this;
    return { type: VOLUME_TYPE, freeBytes, totalBytes: this.#capacityBytes };
  }

  get usedBytes(): number {
    return this.#usedPages * PAGE_BYTES;
  }

  get freeBytes(): number {
    return Math.max(0, this.#capacityBytes - this.#usedPages * PAGE_BYTES);
  }

  rename(from: string, to: string): void {
    const source = this.#parent(from, 'rename');
    const target = this.#parent(to, 'rename');
    const node = source.folder?.names.get(source.name);
    if (source.folder === null || target.folder === null || node === undefined)
      throw fileError('ENOENT', 'rename', from);
    const replaced = target.folder.names.get(target.name);
    if (replaced === node) return;
    checkReplace(node, replaced, from);
    node.changedMs = this.#wallMs();
    if (source.folder === target.folder) {
      this.#rename(source.folder, [
        [source.name, null],
        [target.name, node],
      ]);
      return;
    }
    this.#rename(target.folder, [[target.name, node]]);
    this.#rename(source.folder, [[source.name, null]]);
  }

  /** Removes a file, or a folder from its leaves up; ends early after `stepsMax` names. */
  remove(path: string, stepsMax = Number.POSITIVE_INFINITY): void {
    const { folder, name } = this.#parent(path, 'rm', true);
    const node = folder?.names.get(name);
    if (folder === null || node === undefined) return;
    const steps: [SimFolder, string][] = [];
    collectNames(folder, name, node, steps);
    for (const [parent, child] of steps.slice(0, stepsMax)) this.#rename(parent, [[child, null]]);
  }

  makeFolder(path: string): void {
    let folder = this.#root;
    const names = namesOf(path);
    for (const [depth, name] of names.entries()) {
      const node = folder.names.get(name);
      if (node?.kind === 'file')
        throw fileError(depth === names.length - 1 ? 'EEXIST' : 'ENOTDIR', 'mkdir', path);
      const next = node ?? new SimFolder(this.#takeInode(), this.#wallMs());
      if (node === undefined) this.#rename(folder, [[name, next]]);
      folder = next;
    }
  }

  list(path: string): string[] {
    const node = this.#find(path, 'scandir');
    if (node.kind === 'file') throw fileError('ENOTDIR', 'scandir', path);
    return [...node.names.keys()];
  }

  /** A file or folder, for a sync. */
  node(path: string): SimNode {
    return this.#find(path, 'open');
  }

  // What happens to volumes.

  /**
   * Every file keeps what was synced and a random part of the rest, every folder likewise.
   * Descriptors must be gone.
   */
  losePower(trace: (line: string) => void = () => undefined): void {
    this.#losePowerOf(this.#root, '', trace);
    this.#recount();
  }

  /** A copy of the volume as it is now, everything in it durable. */
  snapshot(): VolumeSnapshot {
    return { root: this.#copyFolder(this.#root, false) };
  }

  /** The volume is as it was then; inodes too, as when a snapshot of a block device is put back. */
  restore(snapshot: VolumeSnapshot): void {
    this.#root = this.#copyFolder(snapshot.root, false);
    this.#recount();
  }

  /**
   * Another volume with the same files, as a person copies them: its own device, inodes and times.
   */
  clone(options: SimVolumeOptions): SimVolume {
    const clone = new SimVolume({ device: this.device + 1, ...options });
    clone.#root = clone.#copyFolder(this.#root, true);
    clone.#recount();
    return clone;
  }

  /** Everything is gone. */
  empty(): void {
    this.#root = new SimFolder(this.#takeInode(), this.#wallMs());
    this.#recount();
  }

  /** A file or folder is gone, on the disk too. */
  lose(path: string): void {
    const { folder, name } = this.#parent(path, 'lose');
    assert(folder !== null && folder.names.has(name), `"${path}" must be there to be lost`);
    const names = new Map(folder.names);
    names.delete(name);
    folder.replace(names);
    this.#recount();
  }

  /** Changes a file's bytes, on the disk too. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const node = this.#find(path, 'damage');
    assert(node.kind === 'file', `"${path}" must be a file`);
    const image = new FileImage();
    image.write(change(node.cache.content()), 0);
    node.replace(image);
    this.#recount();
  }

  /** Turns one bit of a file over. Returns its byte's position, -1 in an empty file. */
  flipBit(path: string, position?: number): number {
    let at = -1;
    this.damage(path, (bytes) => {
      if (bytes.length === 0) return bytes;
      at = position ?? this.#random.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#random.below(8));
      return bytes;
    });
    return at;
  }

  /** Bytes of a file as processes see them, or null. */
  contentOf(path: string): Uint8Array | null {
    const node = this.#lookUp(path);
    return node?.kind === 'file' ? node.cache.content() : null;
  }

  /** Paths of all files, in order. */
  files(): string[] {
    const paths: string[] = [];
    const walk = (folder: SimFolder, path: string): void => {
      for (const [name, node] of folder.names)
        if (node.kind === 'file') paths.push(`${path}/${name}`);
        else walk(node, `${path}/${name}`);
    };
    walk(this.#root, '');
    return paths.sort();
  }

  setCapacity(bytes: number): void {
    this.#capacityBytes = bytes;
  }

  #takeInode(): number {
    this.#nextInode += 1;
    return this.#nextInode;
  }

  /** Bytes of a write that find room. */
  #roomFor(file: SimFile, position: number, length: number): number {
    let pages = Math.floor(this.freeBytes / PAGE_BYTES);
    const end = position + length;
    for (let at = position; at < end; at = (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES) {
      if ((file.cache.pages[Math.floor(at / PAGE_BYTES)] ?? null) !== null) continue;
      if (pages === 0) return at - position;
      pages -= 1;
    }
    return length;
  }

  /** Changes names of a folder, and counts the references they are. */
  #rename(folder: SimFolder, change: readonly (readonly [string, SimNode | null])[]): void {
    const gone: SimNode[] = [];
    for (const [name, node] of change) {
      const old = folder.names.get(name);
      if (old !== undefined) gone.push(old);
      if (node?.kind === 'file') node.references += 1;
    }
    folder.change(change);
    folder.changedMs = this.#wallMs();
    for (const node of gone) this.release(node);
  }

  #losePowerOf(folder: SimFolder, path: string, trace: (line: string) => void): void {
    trace(`${path}/: ${folder.losePower(this.#random, this.nameLoss)}`);
    for (const [name, node] of folder.names) {
      if (node.kind === 'folder') this.#losePowerOf(node, `${path}/${name}`, trace);
      else {
        trace(`${path}/${name}: ${node.losePower(this.#random)}`);
        node.references = 1;
      }
    }
  }

  /** What the tree takes after it was changed by force. */
  #recount(): void {
    this.#usedPages = 0;
    const walk = (folder: SimFolder): void => {
      for (const node of folder.names.values()) {
        if (node.kind === 'folder') {
          walk(node);
          continue;
        }
        this.#usedPages += node.cache.pageCount();
      }
    };
    walk(this.#root);
  }

  /** A durable copy; with `isFresh` it has inodes and times of its own. */
  #copyFolder(folder: SimFolder, isFresh: boolean): SimFolder {
    const inode = (node: SimNode): number => (isFresh ? this.#takeInode() : node.inode);
    const createdMs = (node: SimNode): number => (isFresh ? this.#wallMs() : node.createdMs);
    const names = new Map<string, SimNode>();
    for (const [name, node] of folder.names) {
      const copy =
        node.kind === 'folder'
          ? this.#copyFolder(node, isFresh)
          : node.copy(inode(node), createdMs(node));
      if (!isFresh) copy.changedMs = node.changedMs;
      names.set(name, copy);
    }
    return SimFolder.of(inode(folder), createdMs(folder), names);
  }

  #find(path: string, call: string): SimNode {
    const node = this.#lookUp(path);
    if (node === null) throw fileError('ENOENT', call, path);
    return node;
  }

  #lookUp(path: string): SimNode | null {
    let node: SimNode = this.#root;
    for (const name of namesOf(path)) {
      const next: SimNode | undefined = node.kind === 'folder' ? node.names.get(name) : undefined;
      if (next === undefined) return null;
      node = next;
    }
    return node;
  }

  /**
   * The folder that holds a path; null for the root itself, and, where `isAbsentFine`, for a path
   * that leads nowhere.
   */
  #parent(
    path: string,
    call: string,
    isAbsentFine = false,
  ): { readonly folder: SimFolder | null; readonly name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) return { folder: null, name: '' };
    const folder = this.#lookUp(`/${names.join('/')}`);
    if (folder?.kind === 'folder') return { folder, name };
    if (isAbsentFine && folder === null) return { folder: null, name };
    throw fileError(folder === null ? 'ENOENT' : 'ENOTDIR', call, path);
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function checkReplace(node: SimNode, replaced: SimNode | undefined, path: string): void {
  if (replaced === undefined) return;
  if (node.kind === 'file' && replaced.kind === 'folder') throw fileError('EISDIR', 'rename', path);
  if (node.kind === 'folder' && replaced.kind === 'file')
    throw fileError('ENOTDIR', 'rename', path);
  if (replaced.kind === 'folder' && replaced.names.size > 0)
    throw fileError('ENOTEMPTY', 'rename', path);
}

/** Names that go when `name` goes, leaves first. */
function collectNames(
  folder: SimFolder,
  name: string,
  node: SimNode,
  into: [SimFolder, string][],
): void {
  if (node.kind === 'folder')
    for (const [child, below] of node.names) collectNames(node, child, below, into);
  into.push([folder, name]);
}
