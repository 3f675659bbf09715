/** The page of a cluster, until Ctrl-C. */
import { once } from 'node:events';
import { reasonOf } from '../../../base/reason.ts';
import type { Allowed } from '../../../page/snapshot.ts';
import { type CommonOptions, type Context, withCluster } from '../context.ts';
import { CliError } from '../exit.ts';
import type { Surroundings } from '../output.ts';
import { aboutOf } from '../page/about.ts';
import { apiServerOfPod, readLogCluster } from '../page/log-cluster.ts';
import { pageFolder, PageServer, type PageUsers } from '../page/server.ts';
import { type PageExtras, pageUser } from '../page/user.ts';

/** Options of `page`. */
export interface PageOptions extends CommonOptions {
  readonly port: number;
  /** Address of this machine. */
  readonly listen: string;
  readonly host?: readonly string[];
  readonly allow?: readonly ('read' | 'append')[];
  readonly askToken?: boolean;
  readonly logCluster?: LogClusterName;
}

/** `namespace/name`. */
export interface LogClusterName {
  readonly namespace: string;
  readonly name: string;
}

export async function page(options: PageOptions, around: Surroundings): Promise<void> {
  const folder = pageFolder();
  if (folder === null)
    throw new CliError(
      'INVALID_ARGUMENT',
      'this installation holds no page: run it in a checkout or in the image',
    );
  await withCluster(options, around, async (client, context) => {
    const extras = extrasOf(options, around);
    const server = new PageServer(
      folder,
      options.askToken === true
        ? signingIn(options, context, extras)
        : pageUser(client, aboutOf(context.reach, allowed(options)), extras),
      { host: options.listen, names: new Set(options.host) },
    );
    try {
      const url = await server.listen(options.port).catch((error: unknown) => {
        const reason = reasonOf(error);
        throw new CliError(
          'INVALID_ARGUMENT',
          `--port is ${options.port}, must be one that is free on ${options.listen}: ${reason}`,
        );
      });
      context.out.result({ url }, () => context.out.line(`open ${url}`));
      if (!around.interrupted.aborted) await once(around.interrupted, 'abort');
    } finally {
      await server.close();
    }
  });
}

function allowed({ allow = [] }: PageOptions): Allowed {
  const append = allow.includes('append');
  // Who appends sees what was appended.
  return { read: append || allow.includes('read'), append, processes: false };
}

function extrasOf({ logCluster }: PageOptions, { env }: Surroundings): PageExtras {
  if (logCluster === undefined) return {};
  const api = apiServerOfPod(env);
  if (api === null)
    throw new CliError(
      'INVALID_ARGUMENT',
      '--log-cluster needs the account of a pod: KUBERNETES_SERVICE_HOST is not set',
    );
  const { namespace, name } = logCluster;
  return { logCluster: () => readLogCluster(api, namespace, name) };
}

/** Each user has a connection with the rights of the token that they show, and no other. */
function signingIn(
  options: PageOptions,
  { reach, connectAs }: Context,
  extras: PageExtras,
): PageUsers {
  if (reach.tls === undefined)
    throw new CliError(
      'INVALID_ARGUMENT',
      '--ask-token needs TLS to the brokers (--tls-ca): whoever listens on the way would have the tokens',
    );
  return {
    signIn: async (token) => {
      const client = connectAs(token);
      try {
        await client.admin().describeCluster();
      } catch (error) {
        await client.close();
        throw error;
      }
      const about = {
        ...aboutOf({ ...reach, tokenFile: '' }, allowed(options)),
        as: 'it has the rights of your token',
      };
      return pageUser(client, about, { ...extras, close: () => client.close() });
    },
  };
}
