/** Three brokers of a StatefulSet that no operator looks after. */
import { randomUUID } from 'node:crypto';
import type {
  Broker,
  DescribeClusterResponse,
  ListTopicsResponse,
  Topic,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { when } from '../cluster/harness/wait.ts';
import type { Kube, Pod } from './harness.ts';
import { BROKER_PORT, brokerAddress, brokerObjects, type BrokerSet } from './objects.ts';

const NAME = 'log';
const REPLICAS = 3;
const ZONE_LABEL = 'topology.kubernetes.io/zone';

export class BrokerPods {
  /** The Service that clients use. */
  readonly server = `${NAME}:${BROKER_PORT}`;
  readonly #kube: Kube;
  readonly #set: BrokerSet;

  constructor(kube: Kube) {
    this.#kube = kube;
    const { namespace, image } = kube;
    this.#set = { name: NAME, namespace, image, clusterId: randomUUID(), replicas: REPLICAS };
  }

  /**
   * Starts the pods, forms the cluster by one call to the first, and resolves when all serve and
   * vote.
   */
  async start(): Promise<void> {
    await this.#kube.apply(...brokerObjects(this.#set));
    await this.#kube.wait('the first broker to form the cluster', async () => {
      const { clusterId } = this.#set;
      await this.#kube.call('bootstrap', [brokerAddress(this.#set, 0)], { clusterId });
      return when(true);
    });
    await this.waitServing();
  }

  get #addresses(): string[] {
    return Array.from({ length: REPLICAS }, (_, brokerId) => brokerAddress(this.#set, brokerId));
  }

  podName(brokerId: number): string {
    return `${NAME}-${brokerId}`;
  }

  pod(brokerId: number): Promise<Pod> {
    return this.#kube.get<Pod>('pod', this.podName(brokerId));
  }

  /** The cluster as each broker sees it: one that was cut off may not know yet what it missed. */
  async views(): Promise<DescribeClusterResponse[]> {
    return this.#kube.call<DescribeClusterResponse>('describeCluster', this.#addresses);
  }

  async registered(brokerId: number): Promise<Broker> {
    const found = newest(await this.views()).brokers.find((one) => one.brokerId === brokerId);
    if (found === undefined) throw new Error(`broker ${brokerId} is not registered`);
    return found;
  }

  /** A topic as each broker sees it. */
  async topic(name: string): Promise<Topic[]> {
    const request = { names: [name] };
    const answers = await this.#kube.call<ListTopicsResponse>(
      'listTopics',
      this.#addresses,
      request,
    );
    return answers.flatMap(({ topics }) => topics);
  }

  /** Zone of the node on which a broker's pod runs. */
  async zoneOf(brokerId: number): Promise<string> {
    const { spec } = await this.pod(brokerId);
    const { metadata } = await this.#kube.get('node', spec.nodeName ?? '');
    return metadata.labels?.[ZONE_LABEL] ?? '';
  }

  /**
   * Resolves when all brokers, in the eyes of each, serve and vote, and `newer` has registered
   * anew.
   */
  async waitServing(newer?: Broker): Promise<void> {
    await this.#kube.wait('all brokers to serve and vote', async (note) => {
      const views = await this.views();
      note(views.map(({ brokers }) => brokers));
      const isServing = ({ fenced, stopping, voter, brokerId, brokerEpoch }: Broker): boolean =>
        !fenced &&
        !stopping &&
        voter &&
        (brokerId !== newer?.brokerId || brokerEpoch > newer.brokerEpoch);
      return when(
        views.every(({ brokers }) => brokers.filter(isServing).length === REPLICAS) &&
          views.every(({ controller }) => controller !== undefined),
      );
    });
  }

  /**
   * Resolves when all brokers agree on the leader of every partition, and on all of its replicas
   * being in the sync set.
   */
  async waitInSync(name: string): Promise<void> {
    await this.#kube.wait(`${name} to be in sync`, async (note) => {
      const views = await this.topic(name);
      note(views.map(({ partitions }) => partitions));
      const isInSync = views.every(({ partitions }) =>
        partitions.every(
          ({ leader, syncSet, replicas, suspects }) =>
            leader !== undefined && syncSet.length === replicas.length && suspects.length === 0,
        ),
      );
      const epochs = views.map(({ partitions }) =>
        partitions.map(({ leader, leaderEpoch }) => `${leader}@${leaderEpoch}`).join(),
      );
      return when(views.length === REPLICAS && isInSync && new Set(epochs).size === 1);
    });
  }

  /** Makes a topic of three replicas, two of which must be in sync. */
  async createTopic(name: string, partitions: number): Promise<void> {
    const shape = ['--partitions', `${partitions}`, '--min-in-sync-replicas', '2'];
    await this.#kube.tidemark(this.server, ['topic', 'create', name, ...shape]);
    await this.waitInSync(name);
  }

  /**
   * Ends a broker, by whatever `end` does to its pod, and resolves, when it or its successor is in
   * service, to the new registration.
   */
  async replace(brokerId: number, end: (pod: Pod) => Promise<void>): Promise<Broker> {
    const before = await this.registered(brokerId);
    await end(await this.pod(brokerId));
    await this.waitServing(before);
    return this.registered(brokerId);
  }
}

/** The view that has seen most registrations. */
function newest(views: readonly DescribeClusterResponse[]): DescribeClusterResponse {
  const lastEpoch = ({ brokers }: DescribeClusterResponse): number =>
    Math.max(0, ...brokers.map(({ brokerEpoch }) => brokerEpoch));
  const [first, ...rest] = views;
  if (first === undefined) throw new Error('no broker was asked');
  return rest.reduce((best, view) => (lastEpoch(view) > lastEpoch(best) ? view : best), first);
}
