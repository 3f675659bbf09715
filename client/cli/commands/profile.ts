/** Profiles: set, list, show, delete, use. */
import { resolve } from 'node:path';
import { connect } from '../../index.ts';
import { CliError } from '../exit.ts';
import { Output, type OutputFormat, type Surroundings } from '../output.ts';
import {
  faultOfName,
  profileNamed,
  profilesFile,
  type Profiles,
  readProfiles,
  writeProfiles,
} from '../profiles.ts';
import { chooseServers } from '../servers.ts';
import { givenTls, readTls, type TlsPaths } from '../tls.ts';

/** Options of every `profile` command. */
export interface ProfileOptions {
  readonly output: OutputFormat;
}

/** Options of `profile set`. */
export interface SetOptions extends ProfileOptions, TlsPaths {
  readonly server: string;
  readonly tokenFile?: string;
}

/** Options of `profile use`. */
export interface UseOptions extends ProfileOptions {
  readonly none?: boolean;
}

export async function setProfile(
  name: string,
  { server, output, tokenFile: given, ...files }: SetOptions,
  around: Surroundings,
): Promise<void> {
  const wrong = faultOfName(name);
  if (wrong !== undefined) throw new CliError('INVALID_ARGUMENT', `Cannot set profile: ${wrong}`);
  // Opens nothing, and refuses what is no list of servers.
  const tls = absolute(givenTls(files) ?? {});
  await connect({ servers: server, ...(await readTls(givenTls(tls))) }).close();
  const { use, profiles } = await readProfiles(around.env);
  const tokenFile = given === undefined ? {} : { tokenFile: resolve(given) };
  const next = new Map(profiles).set(name, { server, ...tls, ...tokenFile });
  await writeProfiles(around.env, { use, profiles: next });
  const out = new Output(output, around);
  out.result(rowOf(name, { use, profiles: next }), () =>
    out.line(
      `Profile "${name}" is ${server}${use === name ? '' : `; to take it: --profile ${name}, or for every command: tidemark profile use ${name}`}`,
    ),
  );
}

export async function listProfiles(
  { output }: ProfileOptions,
  around: Surroundings,
): Promise<void> {
  const found = await readProfiles(around.env);
  const rows = [...found.profiles.keys()].toSorted().map((name) => rowOf(name, found));
  const out = new Output(output, around);
  out.result(rows, () => {
    if (rows.length === 0) {
      out.note(
        'There are no profiles; make one with: tidemark profile set <name> --server host:port',
      );
      return;
    }
    const cells = rows.map(({ name, server, inUse }) => [inUse ? '*' : '', name, server]);
    out.table(['IN USE', 'PROFILE', 'SERVERS'], cells);
  });
}

/** Without a name: what a command without options would take. */
export async function showProfile(
  name: string | undefined,
  { output }: ProfileOptions,
  around: Surroundings,
): Promise<void> {
  const out = new Output(output, around);
  const file = profilesFile(around.env);
  if (name !== undefined) {
    const found = await readProfiles(around.env);
    const { server, ...tls } = profileNamed(name, found);
    out.result({ ...rowOf(name, found), ...tls, file }, () =>
      out.line(`Profile "${name}" is ${server}`),
    );
    return;
  }
  const { server, source, profile } = await chooseServers({}, around);
  const from = {
    option: '',
    environment: 'from TIDEMARK_SERVER',
    profile: `from profile "${profile ?? ''}" in ${file ?? ''}`,
    default: 'by default',
  }[source];
  out.result({ server, source, profile, file }, () => out.line(`${server}, ${from}`));
}

export async function deleteProfile(
  name: string,
  { output }: ProfileOptions,
  around: Surroundings,
): Promise<void> {
  const found = await readProfiles(around.env);
  profileNamed(name, found);
  const profiles = new Map(found.profiles);
  profiles.delete(name);
  const use = found.use === name ? undefined : found.use;
  await writeProfiles(around.env, { use, profiles });
  const out = new Output(output, around);
  out.result({ deleted: name }, () =>
    out.line(`Deleted profile "${name}"${found.use === name ? ', which was in use' : ''}`),
  );
}

export async function useProfile(
  name: string | undefined,
  { none, output }: UseOptions,
  around: Surroundings,
): Promise<void> {
  if ((name === undefined) !== (none === true))
    throw new CliError('INVALID_ARGUMENT', 'either a profile or --none is required, and not both');
  const { profiles, use: before } = await readProfiles(around.env);
  if (name !== undefined) profileNamed(name, { profiles, use: before });
  await writeProfiles(around.env, { use: name, profiles });
  const out = new Output(output, around);
  out.result({ use: name ?? null }, () =>
    out.line(name === undefined ? 'No profile is in use' : `Profile "${name}" is in use`),
  );
}

/** A command takes a profile wherever it is started. */
function absolute(tls: TlsPaths): TlsPaths {
  return Object.fromEntries(
    Object.entries(tls).map(([name, file]) => [name, resolve(String(file))]),
  );
}

function rowOf(
  name: string,
  { use, profiles }: Profiles,
): { name: string; server: string; inUse: boolean } {
  return { name, server: profiles.get(name)?.server ?? '', inUse: name === use };
}
