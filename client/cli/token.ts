/** The token that a command shows, and where it comes from. */
import { access, readFile } from 'node:fs/promises';
import type { ConnectOptions } from '../index.ts';
import { reasonOf } from '../../base/reason.ts';
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';

/** Where pods of the documentation mount the token of their account. */
export const TOKEN_FILE_OF_POD = '/var/run/secrets/tokens/tidemark';

export interface TokenOptions {
  readonly token?: string;
  readonly tokenFile?: string;
}

/** What the library is given, and its file; an empty one: it is of no file. */
export interface ChosenToken extends Pick<ConnectOptions, 'token'> {
  readonly file?: string;
}

/**
 * What the library is given: --token, --token-file, TIDEMARK_TOKEN, TIDEMARK_TOKEN_FILE, the file
 * of the profile, the file of a pod; else none. A file is read again when the token in it ends.
 * Throws INVALID_ARGUMENT with the file that cannot be read, and never with what is in it.
 */
export async function chooseToken(
  { token, tokenFile }: TokenOptions,
  { env }: Pick<Surroundings, 'env'>,
  ofProfile: string | undefined,
  isTls: boolean,
): Promise<ChosenToken> {
  if (token !== undefined) return { token, file: '' };
  if (tokenFile !== undefined) return ofFile(tokenFile);
  const ofEnv = env['TIDEMARK_TOKEN'] ?? '';
  if (ofEnv !== '') return { token: ofEnv, file: '' };
  const fileOfEnv = env['TIDEMARK_TOKEN_FILE'] ?? '';
  if (fileOfEnv !== '') return ofFile(fileOfEnv);
  if (ofProfile !== undefined) return ofFile(ofProfile);
  // Nobody asked for it: without TLS it stays where it is.
  if (!isTls) return {};
  const isThere = await access(TOKEN_FILE_OF_POD).then(
    () => true,
    () => false,
  );
  return isThere ? ofFile(TOKEN_FILE_OF_POD) : {};
}

async function ofFile(file: string): Promise<ChosenToken> {
  try {
    await readFile(file);
  } catch (error) {
    throw new CliError('INVALID_ARGUMENT', `Cannot read the token: ${reasonOf(error)}`);
  }
  return { token: () => readFile(file, 'utf8'), file };
}
