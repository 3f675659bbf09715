/**
 * A file that is read again when it changes, as `process/tls-files.ts` does for certificates: what
 * cannot be used is told once and passed over, and the last content that was good stays.
 */
import { readFile } from 'node:fs/promises';
import { reasonOf } from '../../base/reason.ts';

/** Pause between looks. */
const LOOK_MS = 1_000;

export interface WatchedFileOptions<Content> {
  readonly path: string;
  /** Throws where the text is no such content. */
  readonly parse: (text: string) => Content;
  /** A file that is missing is one without text. Default: it cannot be read. */
  readonly mayBeMissing?: boolean;
  readonly onChanged: (content: Content) => void;
  readonly onRefused: (reason: string) => void;
}

export class WatchedFile<Content> {
  readonly #options: WatchedFileOptions<Content>;
  #content: Content;
  #seen: string;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: WatchedFileOptions<Content>, text: string) {
    this.#options = options;
    this.#seen = text;
    this.#content = options.parse(text);
    this.#lookLater();
  }

  /** Rejects where it cannot be read, or used. */
  static async open<Content>(options: WatchedFileOptions<Content>): Promise<WatchedFile<Content>> {
    return new WatchedFile(options, await read(options));
  }

  /** The newest that is good. */
  get content(): Content {
    return this.#content;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Looks now. */
  async look(): Promise<void> {
    const { path, parse, onChanged, onRefused } = this.#options;
    let seen = '';
    try {
      seen = await read(this.#options);
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#content = parse(seen);
    } catch (error) {
      const reason = `${path}: ${reasonOf(error)}`;
      if (seen === '' && this.#seen === reason) return;
      if (seen === '') this.#seen = reason;
      onRefused(reason);
      return;
    }
    onChanged(this.#content);
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      const later = (): void => this.#lookLater();
      this.look().then(later, later);
    }, LOOK_MS).unref();
  }
}

async function read({
  path,
  mayBeMissing = false,
}: Pick<WatchedFileOptions<unknown>, 'path' | 'mayBeMissing'>): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
