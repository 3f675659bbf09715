/** Administration: `AdminService` as promises, asked of any server that answers. Shapes are those of `proto/tidemark/v1/admin.proto`. */
import {
  AdminServiceService as Admins,
  type AlterTopicRequest,
  type CheckDisruptionResponse,
  type ClusterSettings,
  type CreateTopicRequest,
  type DescribeBrokerResponse,
  type DescribeClusterResponse,
  type DescribeQuorumResponse,
  type DescribeSpreadResponse,
  type ElectLeaderRequest,
  type ElectLeaderResponse,
  type Partition,
  type PlanRebalanceResponse,
  type PrepareStopResponse,
  type Topic,
} from '../proto/gen/tidemark/v1/admin.ts';
import type { Cluster } from './cluster.ts';
import { TidemarkError } from './errors.ts';

const READ = { isRead: true } as const;
/** Draining moves every leadership of a broker. */
const PREPARE_STOP_TIMEOUT_MS = 60_000;
/** What a change may take beside the time that it was told to wait. */
const ALTER_TIMEOUT_MS = 15_000;
/** Sizes are asked of every broker. */
const PLAN_TIMEOUT_MS = 10_000;

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

  /** Changes settings, adds partitions or changes the number of copies, live. `waitMs`: how long to wait for what does not happen at once. */
  async alterTopic(
    request: Partial<AlterTopicRequest> & { readonly name: string },
  ): Promise<Topic> {
    const message = {
      config: undefined,
      partitions: 0,
      replicationFactor: 0,
      waitMs: 0,
      ...request,
    };
    const timeoutMs = ALTER_TIMEOUT_MS + message.waitMs;
    const { topic } = await this.#cluster.call(Admins.alterTopic, message, { timeoutMs });
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

  /** Takes {@link prepareStop} back: the broker may lead again. */
  async cancelStop(brokerId: number): Promise<void> {
    await this.#cluster.call(Admins.cancelStop, { brokerId });
  }

  /** Moves replicas of one partition; resolves once that has begun. No replicas: cancels what is under way. */
  async reassignPartition(
    topic: string,
    partition: number,
    replicas: readonly number[],
  ): Promise<Partition> {
    const request = { topic, partition, replicas: [...replicas] };
    const answer = await this.#cluster.call(Admins.reassignPartition, request);
    if (answer.partition !== undefined) return answer.partition;
    throw new TidemarkError(
      'INTERNAL',
      `Cannot read the answer about ${topic}/${partition}: it holds no partition`,
    );
  }

  /** Cordons a broker and moves everything away from it. Resolves, once that has begun, with the number of replicas that it still holds. */
  async decommission(brokerId: number): Promise<number> {
    const { replicasLeft } = await this.#cluster.call(Admins.decommission, { brokerId });
    return replicasLeft;
  }

  /** Takes a decommission back. */
  async recommission(brokerId: number): Promise<void> {
    await this.#cluster.call(Admins.recommission, { brokerId });
  }

  /** Forgets a broker that is gone for good. */
  async removeBroker(brokerId: number): Promise<void> {
    await this.#cluster.call(Admins.removeBroker, { brokerId });
  }

  /** Changes settings of the cluster, live; resolves with all of them. */
  async setClusterSettings(change: Partial<ClusterSettings>): Promise<ClusterSettings> {
    const none = { brokerOptions: {}, topicDefaults: undefined };
    const settings = { ...none, ...change };
    const answer = await this.#cluster.call(Admins.setClusterSettings, { settings });
    return answer.settings ?? none;
  }

  /** The moves that would balance the cluster. Changes nothing: submit them with {@link reassignPartition}. */
  planRebalance(): Promise<PlanRebalanceResponse> {
    return this.#cluster.call(
      Admins.planRebalance,
      {},
      { isRead: true, timeoutMs: PLAN_TIMEOUT_MS },
    );
  }

  /** Partitions whose replicas do not span racks, and why. */
  describeSpread(): Promise<DescribeSpreadResponse> {
    return this.#cluster.call(Admins.describeSpread, {}, READ);
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
