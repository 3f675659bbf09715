/** The page of a cluster on this machine, until Ctrl-C. */
import { once } from 'node:events';
import { type CommonOptions, withCluster } from '../context.ts';
import { looksAt } from '../page/looks.ts';
import { pageFolder, PageServer } from '../page/server.ts';
import { CliError } from '../exit.ts';
import type { Surroundings } from '../output.ts';
import { reasonOf } from '../../../base/reason.ts';

/** Options of `page`. */
export interface PageOptions extends CommonOptions {
  readonly port: number;
}

export async function page(options: PageOptions, around: Surroundings): Promise<void> {
  const folder = pageFolder();
  if (folder === null)
    throw new CliError(
      'INVALID_ARGUMENT',
      'this installation holds no page: run it in a checkout or in the image',
    );
  await withCluster(options, around, async (client, { out }) => {
    const server = new PageServer(folder, looksAt(client.admin()));
    const url = await server.listen(options.port).catch((error: unknown) => {
      const reason = reasonOf(error);
      throw new CliError(
        'INVALID_ARGUMENT',
        `--port is ${options.port}, must be one that is free: ${reason}`,
      );
    });
    try {
      out.result({ url }, () => out.line(`open ${url}`));
      if (!around.interrupted.aborted) await once(around.interrupted, 'abort');
    } finally {
      await server.close();
    }
  });
}
