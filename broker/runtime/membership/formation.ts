/**
 * How a directory becomes part of a cluster (docs/rules.md#formation): one explicit bootstrap, or
 * joining the cluster that a seed knows. An unformatted broker never forms a cluster by itself, so
 * an emptied disk can never start a second one.
 */
import type { OnFact } from '../../../base/events.ts';
import { assert } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { bootstrap } from '../../raft/raft.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { Address, DirectoryMeta, Disk, NodeInfo, Peers } from '../ports.ts';

/** Pause between looks at the seeds. */
const LOOK_INTERVAL_MS = 100;
const PROBE_DEADLINE_MS = 1_000;

export interface FormationOptions {
  readonly brokerId: BrokerId;
  /** Other brokers' addresses, as configured; may contain this broker's own. */
  readonly seeds: readonly Address[];
  readonly clock: Clock;
  readonly disk: Disk;
  readonly peers: Peers;
  readonly newUuid: () => string;
  readonly onFormatted: (meta: DirectoryMeta) => void;
  readonly onFact: OnFact;
}

export class Formation {
  readonly #options: FormationOptions;
  #isFormatting = false;
  #isDone = false;
  #cancel: Cancel = () => {};

  constructor(options: FormationOptions) {
    this.#options = options;
  }

  /** Looks at the seeds until one knows a cluster, then formats and joins. */
  start(): void {
    this.#look();
  }

  close(): void {
    this.#isDone = true;
    this.#cancel();
  }

  /**
   * @throws BrokerError CLUSTER_EXISTS when any peer that answers knows a cluster, or formatting is
   * under way
   */
  async bootstrap(clusterId: string): Promise<{ readonly directoryId: string }> {
    if (this.#isFormatting || this.#isDone) {
      throw new BrokerError(
        'CLUSTER_EXISTS',
        `Cannot bootstrap broker ${this.#options.brokerId}: its directory is formatted, or being so`,
      );
    }
    this.#isFormatting = true;
    try {
      const known = (await this.#askSeeds()).find((info) => info.clusterId !== '');
      if (known !== undefined) {
        throw new BrokerError(
          'CLUSTER_EXISTS',
          `Cannot bootstrap: broker ${known.brokerId} belongs to cluster ${known.clusterId}`,
        );
      }
      const meta = this.#newMeta(clusterId);
      const { hardState, snapshot } = bootstrap({
        brokerId: meta.brokerId,
        directoryId: meta.directoryId,
      });
      assert(snapshot !== null, 'a bootstrapped quorum begins with a snapshot of its voters');
      // The voters first, meta.json last: a crash in between leaves an unformatted directory, which
      // may be bootstrapped again.
      await this.#options.disk.quorum.write([
        { id: 1, kind: 'hard-state', hardState },
        { id: 2, kind: 'snapshot', snapshot, keepSuffix: false },
      ]);
      await this.#format(meta);
      return { directoryId: meta.directoryId };
    } finally {
      this.#isFormatting = false;
    }
  }

  #newMeta(clusterId: string): DirectoryMeta {
    const { brokerId, newUuid } = this.#options;
    return { formatVersion: 1, clusterId, brokerId, directoryId: newUuid() };
  }

  async #format(meta: DirectoryMeta): Promise<void> {
    await this.#options.disk.format(meta);
    this.close();
    this.#options.onFormatted(meta);
  }

  #look(): void {
    if (this.#isDone) return;
    const again = (): void => {
      if (this.#isDone) return;
      this.#cancel = this.#options.clock.after(LOOK_INTERVAL_MS, () => {
        this.#look();
      });
    };
    this.#join().then(again, again);
  }

  async #join(): Promise<void> {
    if (this.#isFormatting) return;
    const infos = await this.#askSeeds();
    const clusterIds = [...new Set(infos.map((info) => info.clusterId).filter((id) => id !== ''))];
    const [clusterId] = clusterIds;
    if (clusterIds.length > 1) {
      this.#options.onFact('seeds-disagree', { clusterIds: clusterIds.join(', ') });
      return;
    }
    if (clusterId === undefined || this.#isFormatting || this.#isDone) return;
    this.#isFormatting = true;
    try {
      await this.#format(this.#newMeta(clusterId));
    } catch (error) {
      this.#options.onFact('format-failed', { reason: String(error) });
    } finally {
      this.#isFormatting = false;
    }
  }

  async #askSeeds(): Promise<readonly NodeInfo[]> {
    return await askAll(this.#options.peers, this.#options.seeds, this.#options.brokerId);
  }
}

/**
 * Who answers at these addresses, this broker itself left out. Silence and refusal are no answer.
 */
export async function askAll(
  peers: Pick<Peers, 'probe'>,
  addresses: readonly Address[],
  self: BrokerId,
): Promise<readonly (NodeInfo & { readonly address: Address })[]> {
  const answers = await Promise.allSettled(
    addresses.map(async (address) => ({
      address,
      info: await peers.probe(address, PROBE_DEADLINE_MS),
    })),
  );
  return answers.flatMap((answer) => {
    if (
      answer.status === 'rejected' ||
      answer.value.info === null ||
      answer.value.info.brokerId === self
    )
      return [];
    return [{ ...answer.value.info, address: answer.value.address }];
  });
}
