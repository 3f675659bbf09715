/**
 * Named connections of one user, in a file of theirs. Unknown fields are refused by name: an older
 * command must not pass over what a newer one was told. Must not know what a connection is for.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { type Check, fault, named, optional, recordOf, shape } from '../check.ts';
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';
import type { TlsPaths } from './tls.ts';
import { reasonOf } from '../../base/reason.ts';

/** What a profile says; of TLS, names of PEM files. */
export interface Profile extends TlsPaths {
  /** `host:port,...` */
  readonly server: string;
  /** File of the token to show: its name, never what is in it. */
  readonly tokenFile?: string;
}

/** Content of the file. */
export interface Profiles {
  /** The profile that is taken where nothing else is said. */
  readonly use: string | undefined;
  readonly profiles: ReadonlyMap<string, Profile>;
}

type Env = Surroundings['env'];

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const NAME_ALLOWED = '1 to 63 of a-z A-Z 0-9 . _ -, and begin with a letter or a digit';
const VERSION = 1;

const version: Check = (value, name) =>
  value === VERSION ? [] : [fault(name, value, `${VERSION}`)];

const FILE = shape({
  version,
  use: optional(named),
  profiles: recordOf(
    shape({
      server: named,
      tlsCa: optional(named),
      tlsCert: optional(named),
      tlsKey: optional(named),
      tokenFile: optional(named),
    }),
  ),
});

const NONE: Profiles = { use: undefined, profiles: new Map() };

/**
 * Where the profiles are: below XDG_CONFIG_HOME, else ~/.config. Undefined where the environment
 * names neither. Source: XDG Base Directory Specification 0.8, which has relative paths ignored.
 */
export function profilesFile(env: Env): string | undefined {
  const config = env['XDG_CONFIG_HOME'] ?? '';
  const home = env['HOME'] ?? '';
  if (isAbsolute(config)) return join(config, 'tidemark', 'profiles.json');
  return isAbsolute(home) ? join(home, '.config', 'tidemark', 'profiles.json') : undefined;
}

/** All profiles; none where there is no file. Throws INVALID_ARGUMENT with file and field. */
export async function readProfiles(env: Env): Promise<Profiles> {
  const file = profilesFile(env);
  if (file === undefined) return NONE;
  const content = await contentOf(file);
  return content === undefined ? NONE : parsed(file, content);
}

/** Takes the place of all profiles, at once or not at all. */
export async function writeProfiles(env: Env, { use, profiles }: Profiles): Promise<string> {
  const file = profilesFile(env);
  if (file === undefined)
    throw new CliError(
      'INVALID_ARGUMENT',
      'Cannot keep profiles: neither XDG_CONFIG_HOME nor HOME is an absolute path',
    );
  const content = { version: VERSION, use, profiles: Object.fromEntries(profiles) };
  try {
    await replace(file, `${JSON.stringify(content, null, 2)}\n`);
  } catch (error) {
    throw new CliError(
      'INVALID_ARGUMENT',
      `Cannot write profiles to "${file}": ${reasonOf(error)}`,
    );
  }
  return file;
}

/** The profile of this name. Throws INVALID_ARGUMENT. */
export function profileNamed(name: string, { profiles }: Profiles): Profile {
  const profile = profiles.get(name);
  if (profile !== undefined) return profile;
  const known = [...profiles.keys()].join(', ');
  throw new CliError(
    'INVALID_ARGUMENT',
    known === ''
      ? `there is no profile "${name}", and no other; make it with: tidemark profile set ${name} --server host:port`
      : `there is no profile "${name}", must be one of ${known}`,
  );
}

/** What is wrong with a profile's name; undefined: nothing. */
export function faultOfName(name: string): string | undefined {
  return NAME.test(name) ? undefined : fault('name', name, NAME_ALLOWED);
}

async function contentOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new CliError(
      'INVALID_ARGUMENT',
      `Cannot read profiles in "${file}": ${reasonOf(error)}; --server and TIDEMARK_SERVER do without`,
    );
  }
}

function parsed(file: string, content: string): Profiles {
  const refuse = (reason: string): never => {
    throw new CliError('INVALID_ARGUMENT', `Cannot read profiles in "${file}": ${reason}`);
  };
  let found: unknown;
  try {
    found = JSON.parse(content);
  } catch (error) {
    return refuse(`it is no JSON: ${reasonOf(error)}`);
  }
  const faults = FILE(found, '');
  if (faults.length > 0) return refuse(faults.join('; '));
  const { use, profiles: all } = found as {
    readonly use?: string;
    readonly profiles: Readonly<Record<string, Profile>>;
  };
  const profiles = new Map(Object.entries(all));
  for (const name of profiles.keys()) {
    const wrong = faultOfName(name);
    if (wrong !== undefined) return refuse(`profiles: ${wrong}`);
  }
  if (use !== undefined && !profiles.has(use)) return refuse(fault('use', use, 'one of profiles'));
  return { use, profiles };
}

/** Renamed into place, so that a reader finds the old content or the new. */
async function replace(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // A link stays one: people keep such files elsewhere.
  const target = await realpath(file).catch(() => file);
  const temporary = `${target}.${randomUUID()}`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
