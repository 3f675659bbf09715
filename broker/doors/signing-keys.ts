/**
 * The public keys of an issuer of tokens: a JSON Web Key Set (RFC 7517) in a file, or at an address
 * that is asked again from time to time and when a token names a key that is not there. The last
 * good copy is kept on disk, so that a broker that starts while the issuer is away knows its
 * callers. A set that cannot be read changes nothing.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { get as getPlain, type RequestOptions } from 'node:http';
import { get as getSecure } from 'node:https';
import { dirname } from 'node:path';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { reasonOf } from '../../base/reason.ts';
import { WatchedFile } from './watched-file.ts';

/** Pause between questions that nobody asked for. */
const REFRESH_MS = 5 * 60_000;
/** Least pause between questions: tokens with keys that nobody has must not drive them. */
const ASK_PAUSE_MS = 5_000;
const ANSWER_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 256 * 1024;
/** Keys of one set. */
const KEYS_MAX = 100;

export interface SigningKeysOptions {
  /** `https://…`, `http://…` or a file. */
  readonly source: string;
  /** Authorities of the server, a PEM file; empty: those that Node trusts. */
  readonly caFile: string;
  /** Token that is shown to the server, a file; empty: none. */
  readonly bearerFile: string;
  /** Where the last good copy is kept. */
  readonly storeFile: string;
  /** The keys cannot be taken. Told once for each reason. */
  readonly onRefused: (reason: string) => void;
  readonly nowMs: () => number;
}

interface KeySet {
  readonly text: string;
  readonly key: JWTVerifyGetKey;
}

const NO_KEYS: KeySet = { text: '', key: createLocalJWKSet({ keys: [] }) };

export class SigningKeys {
  readonly #options: SigningKeysOptions;
  #set: KeySet = NO_KEYS;
  #file: WatchedFile<KeySet> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | null = null;
  #askedMs = -Infinity;
  #told = '';

  private constructor(options: SigningKeysOptions) {
    this.#options = options;
  }

  /** Rejects where a file cannot be used. An address that does not answer is asked again. */
  static async open(options: SigningKeysOptions): Promise<SigningKeys> {
    const keys = new SigningKeys(options);
    if (/^https?:/.test(options.source)) await keys.#openAddress();
    else
      keys.#file = await WatchedFile.open({
        path: options.source,
        parse: parseKeys,
        onChanged: () => {},
        onRefused: (reason) => options.onRefused(reason),
      });
    return keys;
  }

  /** As `jwtVerify` asks for the key of a token. */
  readonly find: JWTVerifyGetKey = async (...asked) => {
    try {
      return await this.#present.key(...asked);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      return await this.#present.key(...asked);
    }
  };

  close(): void {
    this.#file?.close();
    clearTimeout(this.#timer);
  }

  get #present(): KeySet {
    return this.#file?.content ?? this.#set;
  }

  async #openAddress(): Promise<void> {
    await this.#refresh();
    if (this.#set === NO_KEYS) {
      const kept = await readFile(this.#options.storeFile, 'utf8').then(parseKeys, () => null);
      if (kept !== null && this.#set === NO_KEYS) this.#set = kept;
    }
    this.#askLater();
  }

  #askLater(): void {
    const pauseMs = this.#set === NO_KEYS || this.#told !== '' ? ASK_PAUSE_MS : REFRESH_MS;
    this.#timer = setTimeout(() => {
      void this.#refresh().finally(() => this.#askLater());
    }, pauseMs).unref();
  }

  #refresh(): Promise<void> {
    if (this.#file !== null) return this.#file.look();
    if (this.#asking !== null) return this.#asking;
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#askedMs < ASK_PAUSE_MS) return Promise.resolve();
    this.#askedMs = nowMs;
    this.#asking = this.#ask()
      .catch((error: unknown) => {
        const reason = `${this.#options.source}: ${reasonOf(error)}`;
        if (reason !== this.#told) this.#options.onRefused(reason);
        this.#told = reason;
      })
      .finally(() => {
        this.#asking = null;
      });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { source, caFile, bearerFile, storeFile } = this.#options;
    const ca = caFile === '' ? undefined : await readFile(caFile, 'utf8');
    const bearer = bearerFile === '' ? '' : (await readFile(bearerFile, 'utf8')).trim();
    const text = await fetched(source, {
      headers: {
        accept: 'application/jwk-set+json, application/json',
        ...(bearer === '' ? {} : { authorization: `Bearer ${bearer}` }),
      },
      ...(ca === undefined ? {} : { ca }),
    });
    const set = parseKeys(text);
    this.#told = '';
    if (set.text === this.#set.text) return;
    this.#set = set;
    await mkdir(dirname(storeFile), { recursive: true });
    await writeFile(`${storeFile}.new`, text);
    await rename(`${storeFile}.new`, storeFile);
  }
}

/** Throws where the text is no set of public keys. */
function parseKeys(text: string): KeySet {
  const set = JSON.parse(text) as JSONWebKeySet;
  if (!Array.isArray(set.keys) || set.keys.length === 0 || set.keys.length > KEYS_MAX)
    throw new Error(`keys must be a list of 1 to ${KEYS_MAX}`);
  // A secret key would let whoever reads it sign.
  if (set.keys.some(({ kty }) => kty === 'oct')) throw new Error('keys must all be public keys');
  return { text, key: createLocalJWKSet(set) };
}

/** Follows no redirection. */
function fetched(
  source: string,
  options: RequestOptions & { readonly ca?: string },
): Promise<string> {
  const get = source.startsWith('https:') ? getSecure : getPlain;
  return new Promise((resolve, reject) => {
    const request = get(source, { ...options, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX)
          request.destroy(new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`it answers with status ${response.statusCode ?? 0}`));
      });
    });
  });
}
