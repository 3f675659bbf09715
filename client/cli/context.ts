/** What every sub-command that talks to a cluster needs: a connection, output, and an orderly end. */
import { connect, type Tidemark } from '../index.ts';
import { Output, type OutputFormat, type Surroundings } from './output.ts';

/** Options that every such command has. */
export interface CommonOptions {
  readonly server?: string;
  readonly output: OutputFormat;
}

/** Where `npm start` listens by default. */
const SERVERS_DEFAULT = '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643';

/** One run. */
export interface Context {
  readonly around: Surroundings;
  readonly out: Output;
  /** A new connection to the cluster; closed by {@link withCluster}. */
  readonly connect: () => Tidemark;
}

/** Runs `body` and closes every connection that it made. */
export async function withCluster<T>(
  options: CommonOptions,
  around: Surroundings,
  body: (cluster: Tidemark, context: Context) => Promise<T>,
): Promise<T> {
  const servers = options.server ?? around.env['TIDEMARK_SERVER'] ?? '';
  const opened: Tidemark[] = [];
  const open = (): Tidemark => {
    const cluster = connect({ servers: servers === '' ? SERVERS_DEFAULT : servers });
    opened.push(cluster);
    return cluster;
  };
  try {
    return await body(open(), { around, out: new Output(options.output, around), connect: open });
  } finally {
    for (const cluster of opened) await cluster.close();
  }
}
