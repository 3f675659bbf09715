/** Which servers a command tries, and who said so. */
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';
import { profileNamed, readProfiles } from './profiles.ts';

/** What a command line may say of it. */
export interface ServerOptions {
  readonly server?: string;
  readonly profile?: string;
}

/** Servers, and where they come from. */
export interface ServerChoice {
  /** `host:port,...` */
  readonly server: string;
  readonly source: 'option' | 'environment' | 'profile' | 'default';
  /** Name of the profile, where it is one's. */
  readonly profile: string | undefined;
}

/** Where `npm start` listens by default. */
const SERVERS_DEFAULT = '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643';

/**
 * In this order: --server, --profile, TIDEMARK_SERVER, TIDEMARK_PROFILE, the profile in use, the
 * default. Throws INVALID_ARGUMENT for a profile that there is not.
 */
export async function chooseServers(
  { server, profile }: ServerOptions,
  { env }: Pick<Surroundings, 'env'>,
): Promise<ServerChoice> {
  if (server !== undefined && profile !== undefined)
    throw new CliError('INVALID_ARGUMENT', 'option --server cannot be used with option --profile');
  if (server !== undefined && server !== '')
    return { server, source: 'option', profile: undefined };
  const ofEnv = env['TIDEMARK_SERVER'] ?? '';
  if (profile === undefined && ofEnv !== '')
    return { server: ofEnv, source: 'environment', profile: undefined };
  const profiles = await readProfiles(env);
  const nameOfEnv = env['TIDEMARK_PROFILE'] ?? '';
  const name = profile ?? (nameOfEnv === '' ? profiles.use : nameOfEnv);
  return name === undefined
    ? { server: SERVERS_DEFAULT, source: 'default', profile: undefined }
    : { server: profileNamed(name, profiles).server, source: 'profile', profile: name };
}
