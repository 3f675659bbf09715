/** `tidemark debug`. */
import type { Command } from 'commander';
import type { BundleOptions } from '../commands/debug.ts';
import type { Surroundings } from '../output.ts';
import { common, examples } from './shared.ts';

/** Adds `debug bundle`. */
export function addDebug(program: Command, around: Surroundings): void {
  const debug = program.command('debug').description('for whoever is asked for help');
  const bundle = common(debug.command('bundle'))
    .description(
      'one archive of what the cluster says of itself: brokers, topics, quorum, losses, options, health, metrics, and why of each partition with findings. No records. What cannot be had is named in its manifest.json',
    )
    .option('-f, --file <path>', 'where to write it; default: tidemark-bundle-<time>.tar.gz here');
  examples(bundle, 'debug bundle', 'debug bundle --file /tmp/orders.tar.gz').action(
    async (options: BundleOptions) =>
      (await import('../commands/debug.ts')).debugBundle(options, around),
  );
}
