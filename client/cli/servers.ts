/** Which servers a command tries, and who said so. */
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';
import { givenTls, type TlsPaths, tlsOfEnvironment } from './tls.ts';
import { profileNamed, readProfiles } from './profiles.ts';

/** What a command line may say of it. */
export interface ServerOptions {
  readonly server?: string;
  readonly profile?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly token?: string;
  readonly tokenFile?: string;
}

/** Servers, and where they come from. */
export interface ServerChoice {
  /** `host:port,...` */
  readonly server: string;
  readonly source: 'option' | 'environment' | 'profile' | 'default';
  /** Name of the profile, where it is one's. */
  readonly profile: string | undefined;
  /** Files of TLS; undefined: no TLS. */
  readonly tls: TlsPaths | undefined;
  /** File of the token that the profile names. */
  readonly tokenFile?: string;
}

/** Where `npm start` listens by default. */
const SERVERS_DEFAULT = '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643';

/**
 * In this order: --server, --profile, TIDEMARK_SERVER, TIDEMARK_PROFILE, the profile in use, the
 * default. Throws INVALID_ARGUMENT for a profile that there is not.
 */
export async function chooseServers(
  { server, profile, ...files }: ServerOptions,
  { env }: Pick<Surroundings, 'env'>,
): Promise<ServerChoice> {
  if (server !== undefined && profile !== undefined)
    throw new CliError('INVALID_ARGUMENT', 'option --server cannot be used with option --profile');
  const own = givenTls(files);
  const tls = own ?? tlsOfEnvironment(env);
  if (server !== undefined && server !== '')
    return { server, source: 'option', profile: undefined, tls };
  const ofEnv = env['TIDEMARK_SERVER'] ?? '';
  if (profile === undefined && ofEnv !== '')
    return { server: ofEnv, source: 'environment', profile: undefined, tls };
  const profiles = await readProfiles(env);
  const nameOfEnv = env['TIDEMARK_PROFILE'] ?? '';
  const name = profile ?? (nameOfEnv === '' ? profiles.use : nameOfEnv);
  if (name === undefined)
    return { server: SERVERS_DEFAULT, source: 'default', profile: undefined, tls };
  const { server: ofProfile, tokenFile, ...saved } = profileNamed(name, profiles);
  // A profile says all of its cluster: another cluster's files are of no use there.
  return {
    server: ofProfile,
    source: 'profile',
    profile: name,
    tls: own ?? givenTls(saved),
    ...(tokenFile === undefined ? {} : { tokenFile }),
  };
}
