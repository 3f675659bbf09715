/** A control group of Linux with a bound of memory, made by root, of version 2 or 1. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';

interface Files {
  readonly folder: string;
  readonly limit: string;
}

export class Cgroup {
  readonly #files: Files;

  private constructor(files: Files) {
    this.#files = files;
  }

  /** Makes one; or says why that cannot be done here. */
  static make(name: string, bytes: number): Cgroup | string {
    const isSecond = existsSync(join(ROOT, 'cgroup.controllers'));
    const files = isSecond
      ? { folder: join(ROOT, name), limit: 'memory.max' }
      : { folder: join(ROOT, 'memory', name), limit: 'memory.limit_in_bytes' };
    try {
      mkdirSync(files.folder);
    } catch (error) {
      return `no control group can be made here: ${String(error)}`;
    }
    try {
      writeFileSync(join(files.folder, files.limit), `${bytes}`);
      if (isSecond && existsSync(join(files.folder, 'memory.swap.max')))
        writeFileSync(join(files.folder, 'memory.swap.max'), '0');
    } catch (error) {
      rmdirSync(files.folder);
      return `memory cannot be bounded here: ${String(error)}`;
    }
    return new Cgroup(files);
  }

  /** The line of a shell that puts its process in. */
  get entry(): string {
    return `echo $$ > ${join(this.#files.folder, 'cgroup.procs')}`;
  }

  /** False: a process of it has not ended. */
  remove(): boolean {
    try {
      rmdirSync(this.#files.folder);
      return true;
    } catch {
      return false;
    }
  }
}
