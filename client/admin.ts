/** Administration: `AdminService` as promises, asked of any server that answers. Shapes are those of `proto/tidemark/v1/admin.proto`. */
import {
  AdminServiceService as Admins,
  type AlterTopicRequest,
  type CheckDisruptionResponse,
  type CreateTopicRequest,
  type DescribeBrokerResponse,
  type DescribeClusterResponse,
  type DescribeQuorumResponse,
  type ElectLeaderRequest,
  type ElectLeaderResponse,
  type PrepareStopResponse,
  type Topic,
} from '../proto/gen/tidemark/v1/admin.ts';
import type { Cluster } from './cluster.ts';
import { TidemarkError } from './errors.ts';

const READ = { isRead: true } as const;
/** Draining moves every leadership of a broker. */
const PREPARE_STOP_TIMEOUT_MS = 60_000;

/** Made by `Tidemark.admin()`. Every method rejects with a {@link TidemarkError}. */
export class Admin {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Brokers, controller, loss reports. */
  async describeCluster(): Promise<DescribeClusterResponse> {
    const answer = await this.#cluster.call(Admins.describeCluster, {}, READ);
    this.#cluster.learnBrokers(answer.brokers);
    return answer;
  }

  /** One broker's own view of its replicas, their lag, its disk. */
  describeBroker(brokerId: number): Promise<DescribeBrokerResponse> {
    return this.#cluster.call(Admins.describeBroker, { brokerId }, READ);
  }

  /** The metadata quorum as its leader sees it. */
  describeQuorum(): Promise<DescribeQuorumResponse> {
    return this.#cluster.call(Admins.describeQuorum, {}, READ);
  }

  /** All topics, or those named; an unknown name fails. */
  async listTopics(names: readonly string[] = []): Promise<Topic[]> {
    const { topics } = await this.#cluster.call(Admins.listTopics, { names: [...names] }, READ);
    return topics;
  }

  /** One topic. */
  async describeTopic(name: string): Promise<Topic> {
    const [topic] = await this.listTopics([name]);
    if (topic === undefined)
      throw new TidemarkError('UNKNOWN_TOPIC', `Cannot describe "${name}": no topic has this name`);
    return topic;
  }

  /** Makes a topic; 0 partitions and replicas mean the cluster's defaults. */
  async createTopic(
    request: Partial<CreateTopicRequest> & { readonly name: string },
  ): Promise<Topic> {
    const { topic } = await this.#cluster.call(Admins.createTopic, {
      partitions: 0,
      replicationFactor: 0,
      config: undefined,
      assignments: [],
      validateOnly: false,
      ...request,
    });
    return topicOf(topic, request.name);
  }

  /** Changes settings or adds partitions, live. */
  async alterTopic(
    request: Partial<AlterTopicRequest> & { readonly name: string },
  ): Promise<Topic> {
    const { topic } = await this.#cluster.call(Admins.alterTopic, {
      config: undefined,
      partitions: 0,
      ...request,
    });
    return topicOf(topic, request.name);
  }

  /** Deletes a topic and its records. */
  async deleteTopic(name: string): Promise<void> {
    await this.#cluster.call(Admins.deleteTopic, { name });
  }

  /** Moves leadership of a partition. */
  electLeader(
    request: Partial<ElectLeaderRequest> & { readonly topic: string; readonly partition: number },
  ): Promise<ElectLeaderResponse> {
    return this.#cluster.call(Admins.electLeader, { unclean: false, givenUp: [], ...request });
  }

  /** Would stopping these brokers together hurt? */
  checkDisruption(brokerIds: readonly number[]): Promise<CheckDisruptionResponse> {
    return this.#cluster.call(Admins.checkDisruption, { brokerIds: [...brokerIds] }, READ);
  }

  /** Drains leadership from a broker so that it can be stopped without a failed append. */
  prepareStop(brokerId: number): Promise<PrepareStopResponse> {
    return this.#cluster.call(
      Admins.prepareStop,
      { brokerId },
      { timeoutMs: PREPARE_STOP_TIMEOUT_MS },
    );
  }
}

function topicOf(topic: Topic | undefined, name: string): Topic {
  if (topic === undefined)
    throw new TidemarkError(
      'INTERNAL',
      `Cannot read the answer about "${name}": it holds no topic`,
    );
  return topic;
}
