/**
 * The `FileSystem` port on a simulated volume. A {@link SimDisk} is one volume with its faults;
 * each process that runs on it mounts it for itself. Calls take time of the scheduler, are in
 * effect somewhere within that time, and are answered at its end. A process that is killed leaves
 * calls that had their effect, a part of it, or none; none of them is ever answered. Everything
 * follows from the seed.
 */
import { assert } from '../../../base/assert.ts';
import type { Clock } from '../../../base/clock.ts';
import type { Random } from '../../../base/random.ts';
import type {
  FileStatus,
  FileSystem,
  OpenMode,
  VolumeStatus,
} from '../../../broker/storage/file-system.ts';
import { DiskFaults, SOUND_DISK } from './disk-faults.ts';
import type { DiskProfile, Fault, Operation, OperationKind } from './disk-faults.ts';
import type { NameLoss, SimFile, SimNode } from './sim-inode.ts';
import { fileError, SimVolume } from './sim-volume.ts';

export interface SimDiskOptions {
  readonly random: Random;
  readonly scheduler: Pick<Clock, 'after' | 'wallMs'>;
  readonly profile?: DiskProfile;
  readonly capacityBytes?: number;
  readonly device?: number;
  readonly nameLoss?: NameLoss;
  /** Every call, and what became of it, in a line. */
  readonly onOperation?: (line: string) => void;
}

/** A volume, its faults, and the processes that have it mounted. */
export class SimDisk {
  readonly volume: SimVolume;
  readonly faults: DiskFaults;
  readonly #options: SimDiskOptions;
  readonly #random: Random;
  readonly #mounts = new Set<SimFileSystem>();
  #operations = 0;

  constructor(options: SimDiskOptions, volume: SimVolume | null = null) {
    this.#options = options;
    this.faults = new DiskFaults(options.random.fork('faults'), options.profile ?? SOUND_DISK);
    this.volume = volume ?? new SimVolume(this.#volumeOptions(options.random.fork('volume')));
    this.#random = options.random.fork('crashes');
  }

  /** Calls so far, over all processes. */
  get operations(): number {
    return this.#operations;
  }

  /**
   * A process's view. It ends with {@link crash}, {@link losePower} or `SimFileSystem.unmount`.
   * @param loop brings answers to the process; the time of the disk itself unless given
   */
  mount(loop?: Pick<Clock, 'after'>): SimFileSystem {
    const { scheduler } = this.#options;
    const files = new SimFileSystem({
      volume: this.volume,
      faults: this.faults,
      scheduler,
      loop: loop ?? scheduler,
      random: this.#random,
      nextNumber: () => (this.#operations += 1),
      trace: (line) => this.trace(line),
      onEnd: () => this.#mounts.delete(files),
    });
    this.#mounts.add(files);
    return files;
  }

  /** Every process that has it mounted is killed. The page cache stays. */
  crash(): void {
    for (const files of [...this.#mounts]) files.crash();
  }

  /** The power goes, and with it a part of what was not synced. */
  losePower(): void {
    this.crash();
    this.trace('power lost');
    this.volume.losePower((line) => this.trace(`  ${line}`));
  }

  /** A copy of it with other device and inode numbers. */
  clone(options: SimDiskOptions): SimDisk {
    const random = options.random.fork('clone');
    return new SimDisk(
      options,
      this.volume.clone({ random, wallMs: () => options.scheduler.wallMs() }),
    );
  }

  trace(line: string): void {
    this.#options.onOperation?.(line);
  }

  #volumeOptions(random: Random): ConstructorParameters<typeof SimVolume>[0] {
    const { scheduler, capacityBytes, device, nameLoss } = this.#options;
    return {
      random,
      wallMs: () => scheduler.wallMs(),
      ...(capacityBytes === undefined ? {} : { capacityBytes }),
      ...(device === undefined ? {} : { device }),
      ...(nameLoss === undefined ? {} : { nameLoss }),
    };
  }
}

interface Mount {
  readonly volume: SimVolume;
  readonly faults: DiskFaults;
  readonly scheduler: Pick<Clock, 'after'>;
  readonly loop: Pick<Clock, 'after'>;
  readonly random: Random;
  readonly nextNumber: () => number;
  readonly trace: (line: string) => void;
  readonly onEnd: () => void;
}

interface Descriptor {
  readonly node: SimNode;
  readonly mode: OpenMode;
  readonly path: string;
}

/** What an operation does to the volume. */
interface Effect<T> {
  readonly run: () => T;
  /** A part of it, for a torn or failed operation; without one it happens fully or not at all. */
  readonly part?: (random: Random) => T;
  /** What its failure does beside failing. */
  readonly fail?: () => void;
}

/** A call that has had no effect yet. */
interface Pending {
  readonly operation: Operation;
  readonly label: string;
  readonly effect: Effect<unknown>;
}

/** Descriptors begin here, as in a process with the usual three. */
const FIRST_DESCRIPTOR = 3;

/** {@link FileSystem} of one process. */
export class SimFileSystem implements FileSystem {
  readonly #mount: Mount;
  readonly #descriptors = new Map<number, Descriptor>();
  readonly #pending = new Set<Pending>();
  #isEnded = false;

  constructor(mount: Mount) {
    this.#mount = mount;
  }

  /** The process is killed. What its calls in flight did is drawn; none of them is answered. */
  crash(): void {
    const { random, trace } = this.#mount;
    const pending = [...this.#pending];
    while (pending.length > 0 && !this.#isEnded) {
      const [call] = pending.splice(random.below(pending.length), 1);
      const draw = random.below(3);
      if (call === undefined || draw === 0) continue;
      const { run, part } = call.effect;
      trace(`${call.label} in flight: ${draw === 1 ? 'done' : 'torn'}`);
      try {
        if (draw === 1) run();
        else part?.(random);
      } catch {
        // Its error would have been told to a process that is no more.
      }
    }
    this.unmount();
  }

  /** The process has ended in order, or its calls in flight had no effect. */
  unmount(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const { node } of this.#descriptors.values()) this.#mount.volume.release(node);
    this.#descriptors.clear();
    this.#pending.clear();
    this.#mount.onEnd();
  }

  /** Files that are open. */
  openPaths(): string[] {
    return [...this.#descriptors.values()].map(({ path }) => path);
  }

  open(path: string, mode: OpenMode): Promise<number> {
    return this.#call('open', path, ` to ${mode}`, {
      run: () => {
        if (this.#descriptors.size >= this.#mount.faults.profile.descriptorsMax)
          throw fileError('EMFILE', 'open', path);
        const node = this.#mount.volume.openFile(path, mode === 'write');
        let file = FIRST_DESCRIPTOR;
        while (this.#descriptors.has(file)) file += 1;
        this.#descriptors.set(file, { node, mode, path });
        return file;
      },
    });
  }

  writev(file: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    const path = this.#pathOf(file);
    let length = 0;
    for (const buffer of buffers) length += buffer.length;
    const put = (count: number): number => {
      const target = this.#fileOf(file, 'writev', 'write');
      const whole = buffers.length === 1 ? buffers[0]! : Buffer.concat(buffers);
      const bytes = whole.subarray(0, count);
      return this.#mount.volume.write(target, path, bytes, position);
    };
    return this.#call('writev', path, ` ${length} bytes at ${position}`, {
      run: () => put(length),
      part: (random) => put(random.below(length)),
    });
  }

  read(file: number, into: Uint8Array, position: number): Promise<number> {
    return this.#call('read', this.#pathOf(file), ` ${into.length} bytes at ${position}`, {
      run: () => this.#fileOf(file, 'read').cache.read(into, position),
    });
  }

  datasync(file: number): Promise<void> {
    const path = this.#pathOf(file);
    const mark = this.#nodeOf(file)?.mark ?? 0;
    return this.#call('datasync', path, '', {
      run: () => {
        const target = this.#fileOf(file, 'fdatasync');
        // What is written while it runs may be covered or not.
        target.sync(this.#mount.random.chance(0.5) ? target.mark : mark);
      },
      fail: () => {
        const node = this.#nodeOf(file);
        if (node?.kind === 'file') node.forsake();
      },
    });
  }

  truncate(file: number, bytes: number): Promise<void> {
    return this.#call('truncate', this.#pathOf(file), ` to ${bytes}`, {
      run: () => {
        if (this.#descriptors.get(file)?.mode === 'read')
          throw fileError('EINVAL', 'ftruncate', this.#pathOf(file));
        this.#mount.volume.truncate(this.#fileOf(file, 'ftruncate'), bytes);
      },
    });
  }

  close(file: number): Promise<void> {
    return this.#call('close', this.#pathOf(file), '', {
      run: () => {
        const descriptor = this.#descriptors.get(file);
        if (descriptor === undefined) throw fileError('EBADF', 'close', '');
        this.#descriptors.delete(file);
        this.#mount.volume.release(descriptor.node);
      },
    });
  }

  stat(path: string): Promise<FileStatus> {
    return this.#call('stat', path, '', { run: () => this.#mount.volume.stat(path) });
  }

  volume(path: string): Promise<VolumeStatus> {
    return this.#call('volume', path, '', { run: () => this.#mount.volume.status(path) });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call('rename', from, ` to ${to}`, {
      run: () => this.#mount.volume.rename(from, to),
    });
  }

  remove(path: string): Promise<void> {
    return this.#call('remove', path, '', {
      run: () => this.#mount.volume.remove(path),
      part: (random) => this.#mount.volume.remove(path, random.below(4)),
    });
  }

  makeFolder(path: string): Promise<void> {
    return this.#call('makeFolder', path, '', { run: () => this.#mount.volume.makeFolder(path) });
  }

  list(path: string): Promise<readonly string[]> {
    return this.#call('list', path, '', {
      // A folder has no order that anyone may count on.
      run: () => shuffled(this.#mount.volume.list(path), this.#mount.random),
    });
  }

  syncFolder(path: string): Promise<void> {
    let mark = 0;
    try {
      mark = this.#mount.volume.node(path).mark;
    } catch {
      // It may be made before the call takes effect.
    }
    return this.#call('syncFolder', path, '', {
      run: () => {
        const node = this.#mount.volume.node(path);
        node.sync(this.#mount.random.chance(0.5) ? node.mark : Math.min(mark, node.mark));
      },
    });
  }

  #call<T>(kind: OperationKind, path: string, detail: string, effect: Effect<T>): Promise<T> {
    if (this.#isEnded) return new Promise(() => {});
    const operation = { number: this.#mount.nextNumber(), kind, path };
    const label = `#${operation.number} ${kind} ${path}${detail}`;
    const pending: Pending = { operation, label, effect };
    this.#pending.add(pending);
    const [effectMs, answerMs] = this.#mount.faults.delays(operation);
    return new Promise((resolve, reject) => {
      this.#mount.scheduler.after(effectMs, () => {
        if (this.#isEnded) return;
        const answer = this.#takeEffect(pending, effect, { resolve, reject });
        if (answer === null) return;
        this.#mount.loop.after(answerMs, () => {
          if (!this.#isEnded) answer();
        });
      });
    });
  }

  /** Carries an operation out. Returns how it is answered, or null when the process is no more. */
  #takeEffect<T>(
    pending: Pending,
    effect: Effect<T>,
    call: { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void },
  ): (() => void) | null {
    const { trace, faults } = this.#mount;
    const fault = faults.judge(pending.operation);
    this.#pending.delete(pending);
    if (fault?.kind === 'crash') {
      this.#crashIn(pending, fault);
      return null;
    }
    try {
      const value = this.#outcome(pending, effect, fault);
      trace(`${pending.label} -> ${describe(value)}`);
      return () => call.resolve(value);
    } catch (error) {
      trace(`${pending.label} -> ${(error as { code?: string }).code ?? String(error)}`);
      return () => call.reject(error);
    }
  }

  #outcome<T>(pending: Pending, effect: Effect<T>, fault: Fault | null): T {
    const { random } = this.#mount;
    if (fault?.kind === 'error') {
      // A call that fails may have done a part of its work.
      if (random.chance(0.5)) effect.part?.(random);
      effect.fail?.();
      throw fileError(fault.code, pending.operation.kind, pending.operation.path);
    }
    if (fault?.kind === 'short-write' && effect.part !== undefined) {
      const value = effect.part(random);
      // A short write writes something; nothing at all would be an error.
      if (typeof value === 'number' && value > 0) return value;
    }
    return effect.run();
  }

  #crashIn(pending: Pending, fault: Extract<Fault, { kind: 'crash' }>): void {
    this.#mount.trace(`${pending.label}: crash ${fault.when}`);
    try {
      if (fault.when === 'after') pending.effect.run();
      if (fault.when === 'torn') pending.effect.part?.(this.#mount.random);
    } catch {
      // Nobody is left to hear of it.
    }
    fault.run();
    assert(this.#isEnded, 'a crash must end the process that made the call');
  }

  #nodeOf(file: number): SimNode | null {
    return this.#descriptors.get(file)?.node ?? null;
  }

  #pathOf(file: number): string {
    return this.#descriptors.get(file)?.path ?? `descriptor ${file}`;
  }

  #fileOf(file: number, call: string, mode: OpenMode = 'read'): SimFile {
    const descriptor = this.#descriptors.get(file);
    if (descriptor === undefined || (mode === 'write' && descriptor.mode !== 'write'))
      throw fileError('EBADF', call, this.#pathOf(file));
    if (descriptor.node.kind === 'folder') throw fileError('EISDIR', call, descriptor.path);
    return descriptor.node;
  }
}

function shuffled(names: string[], random: Random): string[] {
  for (let index = names.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    const name = names[index]!;
    names[index] = names[other]!;
    names[other] = name;
  }
  return names;
}

function describe(value: unknown): string {
  if (value === undefined) return 'done';
  return Array.isArray(value) ? `${value.length} names` : JSON.stringify(value);
}
