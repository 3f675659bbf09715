/**
 * Certificate, key and authorities of one listener, read from files and again when these change, so
 * that a rotation needs no restart. What cannot be used is told and passed over: the last that was
 * good stays. Knows no gRPC.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { TlsPaths } from '../base/tls-paths.ts';
import { reasonOf } from '../base/reason.ts';

/** What was read, and fits together. */
export interface TlsMaterial {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
  readonly certificate: X509Certificate;
}

export interface TlsFilesOptions {
  readonly paths: TlsPaths;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Why a certificate of its own is none for this process, or null. */
  readonly fault: (certificate: X509Certificate) => string | null;
  /** New files are in use. */
  readonly onLoaded: (material: TlsMaterial) => void;
  /** Changed files cannot be used. Told once for each change. */
  readonly onRefused: (reason: string) => void;
}

/** Pause between looks: short beside the time that a rotation gives its steps. */
const LOOK_MS = 1_000;

export class TlsFiles {
  readonly #options: TlsFilesOptions;
  /** What was looked at last, good or not. */
  #seen = '';
  #material: TlsMaterial;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: TlsFilesOptions, seen: string, material: TlsMaterial) {
    this.#options = options;
    this.#seen = seen;
    this.#material = material;
    this.#lookAgain();
  }

  /** Rejects with what is wrong with the files. */
  static async open(options: TlsFilesOptions): Promise<TlsFiles> {
    const texts = await read(options.paths);
    return new TlsFiles(options, texts.join(), load(texts, options));
  }

  /** The newest that is good. */
  get material(): TlsMaterial {
    return this.#material;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #lookAgain(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      const again = (): void => this.#lookAgain();
      this.#look().then(again, again);
    }, LOOK_MS).unref();
  }

  async #look(): Promise<void> {
    let seen = '';
    try {
      const texts = await read(this.#options.paths);
      seen = texts.join();
      if (seen === this.#seen) return;
      this.#material = load(texts, this.#options);
      this.#seen = seen;
      this.#options.onLoaded(this.#material);
    } catch (error) {
      const reason = reasonOf(error);
      if (seen === '') seen = reason;
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#options.onRefused(reason);
    }
  }
}

type Texts = readonly [cert: string, key: string, ca: string];

async function read({ cert, key, ca }: TlsPaths): Promise<Texts> {
  return Promise.all([
    readFile(cert, 'utf8'),
    readFile(key, 'utf8'),
    ca === null ? '' : readFile(ca, 'utf8'),
  ]);
}

/** Throws where they do not fit together: key and certificate are two files, and change apart. */
function load([cert, key, ca]: Texts, { paths, minVersion, fault }: TlsFilesOptions): TlsMaterial {
  const certificate = within(paths.cert, () => new X509Certificate(cert));
  const reason = fault(certificate);
  if (reason !== null) throw new Error(`${paths.cert}: ${reason}`);
  const options = { cert, key, minVersion, ...(paths.ca === null ? {} : { ca }) };
  const context = within(`${paths.cert} with ${paths.key}`, () => createSecureContext(options));
  return { options, context, certificate };
}

function within<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`${file}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
