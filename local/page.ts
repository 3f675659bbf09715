/** The page of `npm start`: it may append, and do to brokers what `tidemark local` does. */
import { resolve } from 'node:path';
import { reasonOf } from '../base/reason.ts';
import { aboutOf } from '../client/cli/page/about.ts';
import { pageFolder, PageServer } from '../client/cli/page/server.ts';
import { pageUser, type ProcessControl } from '../client/cli/page/user.ts';
import type { Tidemark } from '../client/index.ts';
import { DATA_DEFAULT, PORT_DEFAULT } from './options.ts';
import type { Processes } from './processes.ts';

/** What the page is of. */
export interface LocalPage {
  readonly pagePort: number;
  /** Of the first broker. */
  readonly port: number;
  readonly dataDir: string;
  readonly servers: readonly string[];
  /** Of the authority that clients trust; null: no TLS. */
  readonly caFile: string | null;
}

/** Resolves with what to tell a person: where it is, or why there is none; null: none is wanted. */
export async function servePage(
  { pagePort, port, dataDir, servers, caFile }: LocalPage,
  tidemark: Tidemark,
  processes: Processes,
): Promise<{ readonly url: string } | { readonly fault: string } | null> {
  const folder = pageFolder();
  if (pagePort === 0 || folder === null) return null;
  const about = aboutOf(
    {
      servers: servers.join(','),
      isDefault: port === PORT_DEFAULT,
      tls: caFile === null ? undefined : { tlsCa: caFile },
      tokenFile: undefined,
    },
    { read: true, append: true, processes: true },
    dataDir === resolve(DATA_DEFAULT) ? '' : dataDir,
  );
  const user = pageUser(tidemark, about, { processes: controlOf(processes) });
  try {
    return { url: await new PageServer(folder, user).listen(pagePort) };
  } catch (error) {
    return { fault: reasonOf(error) };
  }
}

const SIGNALS = { kill: 'SIGKILL', pause: 'SIGSTOP', stop: 'SIGTERM' } as const;

function controlOf(processes: Processes): ProcessControl {
  return {
    status: () => processes.status().map(({ brokerId, state, pid }) => ({ brokerId, state, pid })),
    carryOut: (brokerId, deed) => {
      if (deed === 'start') {
        processes.start(brokerId);
        return `broker ${brokerId} starts`;
      }
      processes.kill(brokerId, SIGNALS[deed]);
      return `broker ${brokerId} was sent ${SIGNALS[deed]}`;
    },
  };
}
