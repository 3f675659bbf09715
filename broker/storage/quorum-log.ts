/**
 * The metadata log on disk: term, vote, entries and snapshot, always durable before a write
 * resolves (P1). All writes that queue while one sync runs go out together in the next: group
 * commit. The bytes are described in `quorum-file.ts`.
 *
 * No thread of its own (docs/divergence.md). These calls do not pass the data gate, which leaves
 * half of libuv's pool free (see `io-gate.ts`); at most one of them is in flight, so it always
 * finds a thread. A worker thread would keep the same rule with a message hop each way and a second
 * failure to handle. Never behind dirty data: the file is preallocated, and fdatasync writes its
 * own pages only.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerEpoch } from '../../base/units.ts';
import type { Durable, Entry, HardState, RaftWrite, Snapshot } from '../raft/types.ts';
import { isShortage, STARTS_PER_EPOCH } from '../runtime/ports.ts';
import type { QuorumLog } from '../runtime/ports.ts';
import { readFile, replaceFile, storageError, writeFully } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import { requireFollows, decodeHead, decodeSnapshot, decodeWrites } from './quorum-content.ts';
import type { Head, Incarnation, IncarnationWrite, LogWrite } from './quorum-content.ts';
import {
  BLOCK_BYTES,
  encodeConfirmation,
  encodeQuorumFrame,
  FRAMES_AT,
  readQuorumFile,
} from './quorum-file.ts';
import { reasonOf } from '../../base/reason.ts';

export interface QuorumLogOptions {
  readonly files: FileSystem;
  /** Folder of its own. */
  readonly folder: string;
  /**
   * Whether the directory is formatted: then a missing log is damage. Else what is there is the
   * rest of an unfinished format.
   */
  readonly isFormatted: boolean;
  readonly onFailure: (error: BrokerError) => void;
  /** A write lacks space or descriptors: call {@link FileQuorumLog.retry} now and then. */
  readonly onShortage: (error: BrokerError) => void;
}

/** Bytes by which the file grows, written with zeros and synced before use. */
const CHUNK_BYTES = 4 * 1024 * 1024;

interface Request {
  readonly writes: readonly (RaftWrite | IncarnationWrite)[];
  readonly resolve: () => void;
  readonly reject: (error: BrokerError) => void;
}

/** {@link QuorumLog} in files. */
export class FileQuorumLog implements QuorumLog {
  readonly #options: QuorumLogOptions;
  readonly #files: FileSystem;
  readonly #path: string;
  #hardState: HardState = { term: 0, vote: null };
  #snapshot: { readonly index: number; readonly term: number } | null = null;
  #entries: Entry[] = [];
  #incarnation: Incarnation = { brokerEpoch: 0, starts: 0 };
  #file: number | null = null;
  #sequence = 0;
  #position = FRAMES_AT;
  #allocated = 0;
  #queue: Request[] = [];
  #isPumping = false;
  #idle: Promise<void> = Promise.resolve();
  #isClosing = false;
  /** The log that is being begun. */
  #beginning: Promise<void> | null = null;
  /** Work that waits for space or descriptors. */
  readonly #waiting: (() => void)[] = [];
  #failure: BrokerError | null = null;

  constructor(options: QuorumLogOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#path = `${options.folder}/log`;
  }

  /**
   * Begins an empty log, durable, in place of whatever was there. Callers at the same time get the
   * same one.
   */
  create(): Promise<void> {
    this.#beginning ??= this.#create().finally(() => {
      this.#beginning = null;
    });
    return this.#beginning;
  }

  async #create(): Promise<void> {
    await this.#idle;
    try {
      await this.#closeFile();
      await this.#files.makeFolder(this.#options.folder);
      this.#hardState = { term: 0, vote: null };
      this.#snapshot = null;
      this.#entries = [];
      this.#incarnation = { brokerEpoch: 0, starts: 0 };
      await this.#beginFile();
      await this.#removeOldSnapshots();
    } catch (error) {
      const failure = storageError(`create the quorum log in "${this.#options.folder}"`, error);
      throw isShortage(failure) ? failure : this.#fail(failure);
    }
  }

  /**
   * Begins an empty log unless this process has one open: for a directory that is being formatted.
   */
  async ensure(): Promise<void> {
    await this.#idle;
    if (this.#beginning !== null || this.#file === null) await this.create();
  }

  /**
   * What is durable; empty in an unformatted directory. Rejects with DATA_CORRUPT when something
   * that was durable is gone or changed: this replica must neither vote nor acknowledge, and
   * returns as a learner with a new directory id.
   */
  async load(): Promise<Durable> {
    try {
      const bytes = await readFile(this.#files, this.#path);
      if (this.#file === null && !this.#options.isFormatted)
        return { hardState: this.#hardState, snapshot: null, entries: [] };
      if (bytes === null) throw this.#damage('the file is missing');
      const snapshot = await this.#replay(bytes);
      return { hardState: this.#hardState, snapshot, entries: [...this.#entries] };
    } catch (error) {
      throw storageError(`load the quorum log "${this.#path}"`, error);
    }
  }

  async write(writes: readonly RaftWrite[]): Promise<void> {
    if (this.#file === null && !this.#options.isFormatted) await this.ensure();
    await this.#enqueue(writes);
  }

  async beginIncarnation(): Promise<number> {
    const { brokerEpoch, starts } = this.#incarnation;
    return await this.#changeIncarnation({ brokerEpoch, starts: starts + 1 });
  }

  noteBrokerEpoch(brokerEpoch: BrokerEpoch): Promise<number> {
    return this.#changeIncarnation({ brokerEpoch, starts: 0 });
  }

  async #changeIncarnation(incarnation: Incarnation): Promise<number> {
    await this.#enqueue([{ kind: 'incarnation', incarnation }]);
    return incarnation.brokerEpoch * STARTS_PER_EPOCH + incarnation.starts;
  }

  #enqueue(writes: Request['writes']): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    assert(this.#file !== null, 'the quorum log must be created or loaded before it is written');
    return new Promise((resolve, reject) => {
      this.#queue.push({ writes, resolve, reject });
      if (this.#isPumping) return;
      this.#isPumping = true;
      this.#idle = this.#pump();
    });
  }

  /** Tries again what lacked space or descriptors. */
  retry(): void {
    for (const again of this.#waiting.splice(0)) again();
  }

  /** Waits for what is queued and closes the file. What lacks space by then is rejected. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.retry();
    await this.#idle;
    await this.#closeFile();
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const requests = this.#queue;
      this.#queue = [];
      try {
        if (this.#failure !== null) throw this.#failure;
        await this.#writeAll(requests.flatMap(({ writes }) => writes));
        for (const { resolve } of requests) resolve();
      } catch (error) {
        const failure = this.#fail(storageError(`write the quorum log "${this.#path}"`, error));
        for (const { reject } of requests) reject(failure);
      }
    }
    this.#isPumping = false;
  }

  /** One frame for every run of writes between snapshots. */
  async #writeAll(writes: Request['writes']): Promise<void> {
    let run: LogWrite[] = [];
    for (const write of writes) {
      if (write.kind !== 'snapshot') {
        run.push(write);
        continue;
      }
      // The new file's head holds what the run would have written.
      for (const earlier of run) this.#apply(earlier);
      run = [];
      await this.#takeSnapshot(write.snapshot, write.keepSuffix);
    }
    if (run.length === 0) return;
    for (const write of run) this.#apply(write);
    await this.#writeFrame(JSON.stringify(run));
  }

  async #writeFrame(payload: string): Promise<void> {
    assert(this.#file !== null, 'the quorum log must be open');
    const frame = encodeQuorumFrame(this.#sequence + 1, payload);
    if (this.#position + frame.length > this.#allocated) await this.#grow(frame.length);
    const file = this.#file;
    await this.#whenPossible(async () => {
      await writeFully(this.#files, file, [frame], this.#position);
      await this.#files.datasync(file);
    });
    this.#sequence += 1;
    this.#position += frame.length;
    // Not synced: after a process crash it is there, after power loss it may be one frame behind.
    // See quorum-file.ts.
    const confirmation = encodeConfirmation(this.#sequence);
    await this.#whenPossible(() =>
      writeFully(this.#files, file, [confirmation.bytes], confirmation.position),
    );
  }

  /**
   * Makes file calls that may be made again, and again until they do not lack space or descriptors:
   * a full volume makes this log slow, not wrong. A sync is repeated with the write before it.
   */
  async #whenPossible<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const failure = storageError(`write the quorum log "${this.#path}"`, error);
        if (!isShortage(failure) || this.#isClosing) throw failure;
        this.#options.onShortage(failure);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }

  async #grow(bytes: number): Promise<void> {
    assert(this.#file !== null, 'the quorum log must be open');
    const zeros = new Uint8Array(Math.ceil(bytes / CHUNK_BYTES) * CHUNK_BYTES);
    const file = this.#file;
    await this.#whenPossible(async () => {
      await writeFully(this.#files, file, [zeros], this.#allocated);
      await this.#files.datasync(file);
    });
    this.#allocated += zeros.length;
  }

  async #takeSnapshot(snapshot: Snapshot, keepSuffix: boolean): Promise<void> {
    const body = Buffer.from(JSON.stringify(snapshot));
    const bytes = Buffer.concat([Buffer.from(`${checksum(body)}\n`), body]);
    await this.#whenPossible(() =>
      replaceFile(this.#files, this.#snapshotPath(snapshot), bytes, 'durable'),
    );
    this.#snapshot = { index: snapshot.index, term: snapshot.term };
    this.#entries = keepSuffix ? this.#entries.filter(({ index }) => index > snapshot.index) : [];
    await this.#whenPossible(() => this.#beginFile());
    await this.#whenPossible(() => this.#removeOldSnapshots());
  }

  /**
   * Begins a new file with the present state in its first frame, and puts it in the old one's place
   * in one step.
   */
  async #beginFile(): Promise<void> {
    const head: Head = {
      hardState: this.#hardState,
      snapshot: this.#snapshot,
      entries: this.#entries,
      incarnation: this.#incarnation,
    };
    const sequence = this.#sequence + 1;
    const frame = encodeQuorumFrame(sequence, JSON.stringify(head));
    const content = new Uint8Array(
      Math.ceil((FRAMES_AT + frame.length + BLOCK_BYTES) / CHUNK_BYTES) * CHUNK_BYTES,
    );
    content.set(frame, FRAMES_AT);
    const confirmation = encodeConfirmation(sequence);
    content.set(confirmation.bytes, confirmation.position);
    await replaceFile(this.#files, this.#path, content, 'durable');
    // There is an open file at all times: a write that comes meanwhile queues.
    const old = this.#file;
    this.#file = await this.#files.open(this.#path, 'write');
    if (old !== null) await this.#files.close(old);
    this.#sequence = sequence;
    this.#position = FRAMES_AT + frame.length;
    this.#allocated = content.length;
  }

  async #replay(bytes: Uint8Array): Promise<Snapshot | null> {
    const content = readQuorumFile(bytes);
    if (content.kind === 'damaged') throw this.#damage(content.reason);
    const [first, ...rest] = content.frames;
    assert(first !== undefined, 'a whole quorum file has a first frame');
    const head = this.#judged(FRAMES_AT, () => decodeHead(first.payload));
    this.#hardState = head.hardState;
    this.#snapshot = head.snapshot;
    this.#entries = [...head.entries];
    this.#incarnation = head.incarnation;
    const snapshot = await this.#loadSnapshot();
    let position = first.endPosition;
    for (const { payload, endPosition } of rest) {
      this.#judged(position, () => {
        for (const write of decodeWrites(payload)) {
          if (write.kind === 'append') requireFollows(this.#snapshot, this.#entries, write);
          this.#apply(write);
        }
      });
      position = endPosition;
    }
    await this.#closeFile();
    this.#file = await this.#files.open(this.#path, 'write');
    this.#sequence = first.sequence + rest.length;
    this.#position = content.endPosition;
    this.#allocated = bytes.length;
    if (content.isTailDirty) {
      // A torn frame must not lie behind the ones to come.
      await writeFully(
        this.#files,
        this.#file,
        [new Uint8Array(bytes.length - this.#position)],
        this.#position,
      );
    }
    // After a crash, what was read may be in the page cache only; it is about to be answered for.
    // A sync that failed has left the last frame there for good, marked as written (P3): it is
    // written again. The frames before were synced before it was begun.
    const lastFrom = content.frames.at(-2)?.endPosition ?? FRAMES_AT;
    const last = bytes.subarray(lastFrom, content.endPosition);
    await writeFully(this.#files, this.#file, [last], lastFrom);
    await this.#files.datasync(this.#file);
    await this.#files.syncFolder(this.#options.folder);
    return snapshot;
  }

  #apply(write: LogWrite): void {
    if (write.kind === 'hard-state') {
      this.#hardState = write.hardState;
      return;
    }
    if (write.kind === 'incarnation') {
      this.#incarnation = write.incarnation;
      return;
    }
    const kept = write.firstIndex - ((this.#snapshot?.index ?? 0) + 1);
    assert(
      kept >= 0 && kept <= this.#entries.length,
      `append at index ${write.firstIndex} leaves a gap in the quorum log`,
    );
    this.#entries.length = kept;
    for (const entry of write.entries) this.#entries.push(entry);
  }

  /** Reads what the frame at a position holds; its checksum is right. */
  #judged<T>(position: number, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw this.#damage(`the frame at byte ${position}: ${reasonOf(error)}`);
    }
  }

  async #loadSnapshot(): Promise<Snapshot | null> {
    if (this.#snapshot === null) return null;
    const path = this.#snapshotPath(this.#snapshot);
    const bytes = await readFile(this.#files, path);
    if (bytes === null) throw this.#damage(`snapshot "${path}" is missing`);
    const body = bytes.subarray(9);
    if (Buffer.from(bytes.subarray(0, 9)).toString() !== `${checksum(body)}\n`)
      throw this.#damage(`snapshot "${path}" fails its checksum`);
    try {
      return decodeSnapshot(Buffer.from(body).toString(), this.#snapshot);
    } catch (error) {
      throw this.#damage(`snapshot "${path}": ${reasonOf(error)}`);
    }
  }

  #snapshotPath(snapshot: { readonly index: number; readonly term: number }): string {
    return `${this.#options.folder}/snapshot-${snapshot.index}-${snapshot.term}`;
  }

  async #removeOldSnapshots(): Promise<void> {
    const present =
      this.#snapshot === null ? null : `snapshot-${this.#snapshot.index}-${this.#snapshot.term}`;
    for (const name of await this.#files.list(this.#options.folder)) {
      if (name.startsWith('snapshot-') && name !== present)
        await this.#files.remove(`${this.#options.folder}/${name}`);
    }
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (file !== null) await this.#files.close(file);
  }

  #damage(reason: string): BrokerError {
    return new BrokerError('DATA_CORRUPT', `Cannot load the quorum log "${this.#path}": ${reason}`);
  }

  #fail(error: BrokerError): BrokerError {
    if (this.#failure === null) {
      this.#failure = error;
      this.#options.onFailure(error);
    }
    return this.#failure;
  }
}

function checksum(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}
