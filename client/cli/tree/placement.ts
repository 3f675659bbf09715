/**
 * `tidemark cluster
 * rebalance|reassign|elect|decommission|recommission|remove-broker|prepare-stop|cancel-stop|limit`.
 */
import { Argument, type Command } from 'commander';
import type {
  DecommissionOptions,
  ElectOptions,
  LimitOptions,
  RebalanceOptions,
  ReassignOptions,
} from '../commands/placement.ts';
import type { CommonOptions } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { parseCount, parseCounts, parseRate } from '../units.ts';
import { common, examples } from './shared.ts';

/** Adds them to `cluster`. */
export function addPlacement(
  cluster: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  addMoves(cluster, around);
  addBrokers(cluster, around, finish);
}

const load = () => import('../commands/placement.ts');

function addMoves(cluster: Command, around: Surroundings): void {
  const rebalance = common(cluster.command('rebalance'))
    .description('give every broker its share: prints the plan with the bytes to move, then begins')
    .option('--dry-run', 'print the plan and move nothing');
  examples(rebalance, 'cluster rebalance --dry-run', 'cluster rebalance').action(
    async (options: RebalanceOptions) => (await load()).rebalance(options, around),
  );
  const reassign = common(
    cluster
      .command('reassign')
      .argument('<topic>')
      .addArgument(new Argument('<partition>', 'its number').argParser(parseCount(0))),
  )
    .description('move the replicas of one partition, or cancel the move under way')
    .option('--replicas <brokers>', 'brokers wanted, preferred leader first', parseCounts(0))
    .option('--cancel', 'go back to where the replicas were');
  examples(
    reassign,
    'cluster reassign orders 0 --replicas 1,2,3',
    'cluster reassign orders 0 --cancel',
  ).action(async (topic: string, partition: number, options: ReassignOptions) =>
    (await load()).reassign(topic, partition, options, around),
  );
  addElect(cluster, around);
  const limit = common(cluster.command('limit'))
    .description('limit what reassignments may copy; holds at once, for those under way too')
    .requiredOption(
      '--move-bytes-per-second <size>',
      'for each broker that leads, for example 50MiB; or none',
      parseRate,
    );
  examples(
    limit,
    'cluster limit --move-bytes-per-second 50MiB',
    'cluster limit --move-bytes-per-second none',
  ).action(async (options: LimitOptions) => (await load()).limit(options, around));
}

function addElect(cluster: Command, around: Surroundings): void {
  const elect = common(
    cluster
      .command('elect')
      .argument('<topic>')
      .addArgument(new Argument('<partition>', 'its number').argParser(parseCount(0))),
  )
    .description(
      'move the leadership of one partition; or give it a leader although no copy is trusted',
    )
    .option('--leader <broker>', 'who should lead (default: the preferred replica)', parseCount(0))
    .option(
      '--unclean',
      'without a trusted copy: the best log is taken, and what may be lost is reported; the topic must allow it (--unclean-election true)',
    )
    .option(
      '--given-up <brokers>',
      'with --unclean: replicas that are gone for ever, and are not waited for',
      parseCounts(0),
    );
  examples(
    elect,
    'cluster elect orders 0 --leader 2',
    'cluster elect orders 0 --unclean --given-up 3',
  ).action(async (topic: string, partition: number, options: ElectOptions) =>
    (await load()).elect(topic, partition, options, around),
  );
}

function addBrokers(
  cluster: Command,
  around: Surroundings,
  finish: (exitCode: number) => void,
): void {
  const ofBroker = (name: string): Command =>
    common(
      cluster
        .command(name)
        .addArgument(new Argument('<broker>', 'its id').argParser(parseCount(0))),
    );
  const decommission = ofBroker('decommission')
    .description('give a broker nothing new, and move everything away from it')
    .option('--wait', 'until it holds nothing more');
  examples(decommission, 'cluster decommission 4 --wait').action(
    async (brokerId: number, options: DecommissionOptions) =>
      (await load()).decommission(brokerId, options, around),
  );
  const recommission = ofBroker('recommission').description('take a decommission back');
  examples(recommission, 'cluster recommission 4').action(
    async (brokerId: number, options: CommonOptions) =>
      (await load()).recommission(brokerId, options, around),
  );
  const prepare = ofBroker('prepare-stop').description(
    'let other brokers lead, so that this one can be stopped without a failed append; it stays up, and leads nothing. Exit code 1: it still leads',
  );
  examples(prepare, 'cluster prepare-stop 2').action(
    async (brokerId: number, options: CommonOptions) =>
      finish(await (await load()).prepareStop(brokerId, options, around)),
  );
  const cancel = ofBroker('cancel-stop').description(
    'take a prepared stop back: leaderships come home within seconds',
  );
  examples(cancel, 'cluster cancel-stop 2').action(
    async (brokerId: number, options: CommonOptions) =>
      (await load()).cancelStop(brokerId, options, around),
  );
  const remove = ofBroker('remove-broker').description(
    'forget a broker that is gone for good; refused while its partitions need it',
  );
  examples(remove, 'cluster remove-broker 4').action(
    async (brokerId: number, options: CommonOptions) =>
      (await load()).removeBroker(brokerId, options, around),
  );
}
