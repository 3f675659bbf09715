/**
 * Files and folders of a simulated volume: what the page cache holds, what the disk holds, and the
 * changes that lie between them. Knows no paths, no faults and no time. After "Files are a black
 * box" (Pillai et al., ALICE, 2014): a sync of the file makes its bytes durable, a sync of the
 * folder its names, and nothing else promises anything.
 */
import type { Random } from '../../../base/random.ts';

export const PAGE_BYTES = 4096;

/** Never changed once it stands in an image, so that images share it. Null: a hole. */
type Page = Uint8Array | null;

const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

/** Bytes of one file. */
export class FileImage {
  readonly pages: Page[];
  bytes: number;

  constructor(pages: Page[] = [], bytes = 0) {
    this.pages = pages;
    this.bytes = bytes;
  }

  copy(): FileImage {
    return new FileImage([...this.pages], this.bytes);
  }

  /** Pages that take room. */
  pageCount(): number {
    let count = 0;
    for (const page of this.pages) if (page !== null) count += 1;
    return count;
  }

  /** Bytes copied, 0 at or behind the end. */
  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.bytes - position));
    for (let done = 0; done < count; ) {
      const index = Math.floor((position + done) / PAGE_BYTES);
      const from = (position + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - from, count - done);
      const page = this.pages[index] ?? ZERO_PAGE;
      into.set(page.subarray(from, from + length), done);
      done += length;
    }
    return count;
  }

  /** The whole content. */
  content(): Uint8Array {
    const bytes = new Uint8Array(this.bytes);
    this.read(bytes, 0);
    return bytes;
  }

  /** Puts bytes at `position`; returns the pages that took room by it. */
  write(bytes: Uint8Array, position: number): number {
    let taken = 0;
    for (let done = 0; done < bytes.length; ) {
      const index = Math.floor((position + done) / PAGE_BYTES);
      const from = (position + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - from, bytes.length - done);
      const part = bytes.subarray(done, done + length);
      this.#grow(index + 1);
      const page = this.pages[index] ?? null;
      if (page === null) taken += 1;
      this.pages[index] = pageWith(page, part, from);
      done += length;
    }
    if (bytes.length > 0) this.bytes = Math.max(this.bytes, position + bytes.length);
    return taken;
  }

  /** Another length; returns the pages that took room and are gone. */
  truncate(bytes: number): number {
    const pageCount = Math.ceil(bytes / PAGE_BYTES);
    let freed = 0;
    for (const page of this.pages.splice(pageCount)) if (page !== null) freed += 1;
    const last = this.pages[pageCount - 1] ?? null;
    const kept = bytes % PAGE_BYTES;
    if (last !== null && kept > 0 && pageCount === this.pages.length) {
      const page = new Uint8Array(PAGE_BYTES);
      page.set(last.subarray(0, kept));
      this.pages[pageCount - 1] = page;
    }
    this.bytes = bytes;
    return freed;
  }

  setPage(index: number, page: Page): void {
    this.#grow(index + 1);
    this.pages[index] = page;
  }

  #grow(pageCount: number): void {
    while (this.pages.length < pageCount) this.pages.push(null);
  }
}

function pageWith(page: Page, part: Uint8Array, from: number): Uint8Array {
  if (part.length === PAGE_BYTES && Buffer.compare(part, ZERO_PAGE) === 0) return ZERO_PAGE;
  const next = new Uint8Array(PAGE_BYTES);
  if (page !== null && part.length < PAGE_BYTES) next.set(page);
  next.set(part, from);
  return next;
}

/** A change of a file that no sync has covered: the pages as they were after it. */
interface FileChange {
  readonly firstPage: number;
  readonly pages: readonly Page[];
  /** Pages behind the last one are gone. */
  readonly isTruncation: boolean;
  /** Length of the file after it. */
  readonly bytes: number;
  /** Where the written bytes begin and end; a torn write ends in between. */
  readonly from: number;
  readonly to: number;
  /** A sync that failed has dropped it: no later sync writes it. */
  isForsaken: boolean;
}

/** A file: bytes in the page cache, bytes on the disk. */
export class SimFile {
  readonly kind = 'file';
  readonly inode: number;
  readonly createdMs: number;
  changedMs: number;
  cache = new FileImage();
  /** Names and descriptors that keep it alive. */
  references = 0;
  #disk = new FileImage();
  #changes: FileChange[] = [];
  /** Changes that were ever made: a sync covers those before it began. */
  #changeCount = 0;

  constructor(inode: number, nowMs: number) {
    this.inode = inode;
    this.createdMs = nowMs;
    this.changedMs = nowMs;
  }

  /** Returns the pages that took room. */
  write(bytes: Uint8Array, position: number): number {
    const taken = this.cache.write(bytes, position);
    const firstPage = Math.floor(position / PAGE_BYTES);
    const pageCount = Math.ceil((position + bytes.length) / PAGE_BYTES) - firstPage;
    this.#note({
      firstPage,
      pages: this.cache.pages.slice(firstPage, firstPage + pageCount),
      isTruncation: false,
      bytes: this.cache.bytes,
      from: position,
      to: position + bytes.length,
      isForsaken: false,
    });
    return taken;
  }

  /** Returns the pages that were given back. */
  truncate(bytes: number): number {
    const freed = this.cache.truncate(bytes);
    const firstPage = Math.floor(bytes / PAGE_BYTES);
    this.#note({
      firstPage,
      pages: this.cache.pages.slice(firstPage, firstPage + 1),
      isTruncation: true,
      bytes,
      from: bytes,
      to: bytes,
      isForsaken: false,
    });
    return freed;
  }

  /** Names the present moment for {@link sync}. */
  get mark(): number {
    return this.#changeCount;
  }

  /** Makes durable what was changed before `mark`. */
  sync(mark: number): void {
    const covered = this.#changes.splice(
      0,
      Math.max(0, this.#changes.length - (this.#changeCount - mark)),
    );
    for (const change of covered) if (!change.isForsaken) apply(this.#disk, change);
    this.#changes.unshift(...covered.filter(({ isForsaken }) => isForsaken));
  }

  /** A sync failed: Linux marks the pages clean all the same, so no later sync writes them. */
  forsake(): void {
    for (const change of this.#changes) change.isForsaken = true;
  }

  /**
   * What power loss leaves; from now on the disk's only truth. Returns how it came out, in words.
   */
  losePower(random: Random): string {
    const kept = this.#changes.filter(({ isForsaken }) => !isForsaken);
    this.#changes = [];
    const outcome = kept.length === 0 ? 'synced' : survive(this.#disk, kept, random);
    this.cache = this.#disk.copy();
    return outcome;
  }

  /** The same bytes as another file, all of them durable. */
  copy(inode: number, nowMs: number): SimFile {
    const file = new SimFile(inode, nowMs);
    file.references = 1;
    file.replace(this.cache.copy());
    return file;
  }

  /** Another content, on the disk too: damage, and copies. */
  replace(image: FileImage): void {
    this.cache = image;
    this.#disk = image.copy();
    this.#changes = [];
  }

  #note(change: FileChange): void {
    this.#changes.push(change);
    this.#changeCount += 1;
  }
}

function apply(image: FileImage, change: FileChange): void {
  for (const [index, page] of change.pages.entries()) image.setPage(change.firstPage + index, page);
  if (change.isTruncation) image.pages.splice(Math.ceil(change.bytes / PAGE_BYTES));
  image.bytes = change.bytes;
}

/** Lets a part of the changes reach the disk. */
function survive(disk: FileImage, changes: readonly FileChange[], random: Random): string {
  const draw = random.below(100);
  if (draw < 25) {
    for (const change of changes) apply(disk, change);
    return 'all';
  }
  if (draw < 40) return 'none';
  if (draw < 75) return survivePrefix(disk, changes, random);
  return surviveReordered(disk, changes, random);
}

function survivePrefix(disk: FileImage, changes: readonly FileChange[], random: Random): string {
  const count = random.below(changes.length);
  for (const change of changes.slice(0, count)) apply(disk, change);
  const torn = changes[count];
  if (torn === undefined || torn.isTruncation || random.chance(0.5)) return `first ${count}`;
  const length = random.below(torn.to - torn.from);
  const image = new FileImage([], 0);
  for (const [index, page] of torn.pages.entries()) image.setPage(torn.firstPage + index, page);
  image.bytes = torn.to;
  const bytes = new Uint8Array(length);
  image.read(bytes, torn.from);
  disk.write(bytes, torn.from);
  return `first ${count} and ${length} bytes`;
}

/**
 * Pages reach the disk in any order and apart from the length, so that old and new stand side by
 * side, and holes between them.
 */
function surviveReordered(disk: FileImage, changes: readonly FileChange[], random: Random): string {
  const versions = new Map<number, Page[]>();
  for (const change of changes) {
    for (const [index, page] of change.pages.entries()) {
      const list = versions.get(change.firstPage + index) ?? [];
      list.push(page);
      versions.set(change.firstPage + index, list);
    }
  }
  const size = changes[random.below(changes.length + 1)];
  const oldBytes = disk.bytes;
  for (const [index, list] of versions) {
    const version = list[random.below(list.length + 1)];
    if (version !== undefined) disk.setPage(index, version);
  }
  disk.truncate(size?.bytes ?? oldBytes);
  return `pages in any order, ${disk.bytes} bytes`;
}

export type SimNode = SimFile | SimFolder;

/** Names that change together. */
type FolderChange = readonly (readonly [string, SimNode | null])[];

/**
 * `ordered`: a journal keeps the order of names in a folder. `any`: each change survives for
 * itself, as POSIX allows.
 */
export type NameLoss = 'ordered' | 'any';

/** A folder: names in memory, names on the disk. */
export class SimFolder {
  readonly kind = 'folder';
  readonly inode: number;
  readonly createdMs: number;
  changedMs: number;
  names = new Map<string, SimNode>();
  #disk = new Map<string, SimNode>();
  #changes: FolderChange[] = [];
  #changeCount = 0;

  constructor(inode: number, nowMs: number) {
    this.inode = inode;
    this.createdMs = nowMs;
    this.changedMs = nowMs;
  }

  /** Sets names, or takes them away, in one step. */
  change(change: FolderChange): void {
    applyNames(this.names, change);
    this.#changes.push(change);
    this.#changeCount += 1;
  }

  get mark(): number {
    return this.#changeCount;
  }

  sync(mark: number): void {
    const count = Math.max(0, this.#changes.length - (this.#changeCount - mark));
    for (const change of this.#changes.splice(0, count)) applyNames(this.#disk, change);
  }

  /** What power loss leaves of the names. Returns how it came out, in words. */
  losePower(random: Random, loss: NameLoss): string {
    const changes = this.#changes;
    this.#changes = [];
    const count = random.below(changes.length + 1);
    const kept =
      loss === 'ordered' ? changes.slice(0, count) : changes.filter(() => random.chance(0.5));
    for (const change of kept) applyNames(this.#disk, change);
    this.names = new Map(this.#disk);
    return changes.length === 0 ? 'synced' : `${kept.length} of ${changes.length} names`;
  }

  /** The same names, all of them durable. */
  static of(inode: number, nowMs: number, names: ReadonlyMap<string, SimNode>): SimFolder {
    const folder = new SimFolder(inode, nowMs);
    folder.names = new Map(names);
    folder.#disk = new Map(names);
    return folder;
  }

  /** Another set of names, on the disk too: damage. */
  replace(names: ReadonlyMap<string, SimNode>): void {
    this.names = new Map(names);
    this.#disk = new Map(names);
    this.#changes = [];
  }
}

function applyNames(names: Map<string, SimNode>, change: FolderChange): void {
  for (const [name, node] of change) {
    if (node === null) names.delete(name);
    else names.set(name, node);
  }
}
