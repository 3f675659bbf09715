/**
 * What every sub-command that talks to a cluster needs: a connection, output, and an orderly end.
 */
import { connect, type Tidemark } from '../index.ts';
import { Patience } from './patience.ts';
import type { Reach } from './page/about.ts';
import { Output, type OutputFormat, type Surroundings } from './output.ts';
import { chooseServers } from './servers.ts';
import { readTls } from './tls.ts';
import { chooseToken } from './token.ts';

/** Options that every such command has. */
export interface CommonOptions {
  readonly server?: string;
  readonly profile?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly output: OutputFormat;
}

/** One run. */
export interface Context {
  readonly around: Surroundings;
  readonly out: Output;
  /** `host:port,...` */
  readonly servers: string;
  /** A new connection to the cluster; closed by {@link withCluster}. */
  readonly connect: () => Tidemark;
  /** The same to these servers alone. */
  readonly connectTo: (servers: string) => Tidemark;
  /** The same with this token instead of any other, which its caller closes. */
  readonly connectAs: (token: string) => Tidemark;
  /** How the cluster is reached. */
  readonly reach: Reach;
}

/** {@link withCluster}, telling what is waited for; `heard` is called whenever something came. */
export async function withPatience<T>(
  options: CommonOptions,
  around: Surroundings,
  body: (cluster: Tidemark, context: Context & { readonly heard: () => void }) => Promise<T>,
): Promise<T> {
  return withCluster(options, around, async (cluster, context) => {
    const patience = new Patience(cluster.admin(), context.servers, context.out);
    try {
      return await body(cluster, { ...context, heard: () => patience.heard() });
    } finally {
      patience.stop();
    }
  });
}

/** Runs `body` and closes every connection that it made. */
export async function withCluster<T>(
  options: CommonOptions,
  around: Surroundings,
  body: (cluster: Tidemark, context: Context) => Promise<T>,
): Promise<T> {
  const { server: servers, source, tls, tokenFile } = await chooseServers(options, around);
  const { file, ...token } = await chooseToken(options, around, tokenFile, tls !== undefined);
  const trusted = await readTls(tls);
  const secure = { ...trusted, ...token };
  const opened: Tidemark[] = [];
  const connectTo = (to: string): Tidemark => {
    const cluster = connect({ servers: to, ...secure });
    opened.push(cluster);
    return cluster;
  };
  const open = (): Tidemark => connectTo(servers);
  try {
    return await body(open(), {
      around,
      out: new Output(options.output, around),
      servers,
      connect: open,
      connectTo,
      connectAs: (other) => connect({ servers, ...trusted, token: other }),
      reach: { servers, isDefault: source === 'default', tls, tokenFile: file },
    });
  } finally {
    for (const cluster of opened) await cluster.close();
  }
}
