/** `tidemark page`. */
import type { Command } from 'commander';
import type { PageOptions } from '../commands/page.ts';
import type { Surroundings } from '../output.ts';
import { PORT_MAX } from '../../../base/limits.ts';
import { parseCount } from '../units.ts';
import { common, examples } from './shared.ts';

/** Where `npm start` shows the page, too. */
const PORT_DEFAULT = 9_640;

/** Adds `page`. */
export function addPage(program: Command, around: Surroundings): void {
  const page = common(program.command('page'))
    .description(
      'a page that shows the cluster as it is, on this machine alone, until Ctrl-C: brokers, partitions, what changed. It changes nothing',
    )
    .option(
      '--port <port>',
      'port of 127.0.0.1; 0: any that is free',
      parseCount(0, PORT_MAX),
      PORT_DEFAULT,
    );
  examples(page, 'page', 'page --server orders-0.orders:9641 --port 8080').action(
    async (options: PageOptions) => (await import('../commands/page.ts')).page(options, around),
  );
}
