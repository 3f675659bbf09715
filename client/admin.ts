/**
 * Administration: `AdminService` as promises, asked of any server that answers. Shapes are those of
 * `proto/tidemark/v1/admin.proto`, with words in place of its numbers for commit modes.
 */
import {
  AdminServiceService as Admins,
  type CheckDisruptionResponse,
  type DescribeBrokerResponse,
  type DescribeQuorumResponse,
  type ElectLeaderRequest,
  type ElectLeaderResponse,
  type Partition,
  type PrepareStopResponse,
  type Topic as WireTopic,
} from '../proto/gen/tidemark/v1/admin.ts';
import { LogServiceService as Logs, type PartitionOffset } from '../proto/gen/tidemark/v1/log.ts';
import type {
  DescribeSpreadResponse,
  PlanRebalanceResponse,
} from '../proto/gen/tidemark/v1/balance.ts';
import type { ExplainPartitionResponse } from '../proto/gen/tidemark/v1/explain.ts';
import {
  ACCESS_QUESTION,
  ACCESS_REVOCATION,
  ACCESS_RULE,
  type AccessAnswer,
  type AccessQuestion,
  type AccessRevocation,
  type AccessRule,
  type KeptAccessRule,
  operationsToWire,
  resourceToWire,
  ruleFromWire,
} from './access.ts';
import {
  limitsFromWire,
  QUOTA,
  type Quota,
  quotaFromWire,
  type QuotaList,
  quotaToWire,
} from './quotas.ts';
import type { CallControl } from './abort.ts';
import { ask } from './ask.ts';
import {
  type ClusterDescription,
  type ClusterSettings,
  configToWire,
  ELECTION,
  modeToWire,
  needsCompaction,
  SETTINGS,
  settingsFromWire,
  TOPIC_CHANGE,
  TOPIC_REQUEST,
  type Topic,
  type TopicChange,
  type TopicConfig,
  topicFromWire,
  type TopicRequest,
} from './admin-types.ts';
import {
  checkArgument,
  count,
  flag,
  listOf,
  named,
  optional,
  present,
  shape,
  signal as isSignal,
  size,
} from './check.ts';
import type { CallOptions, Cluster } from './cluster.ts';
import type { UnaryMethod } from './connections.ts';
import { START } from './consumer/options.ts';
import { startPoint } from './consumer/offsets.ts';
import type { StartFrom } from './consumer/types.ts';
import { fromWire, TidemarkError } from './errors.ts';

const READ = { isRead: true } as const;
/** Draining moves every leadership of a broker. */
const PREPARE_STOP_TIMEOUT_MS = 60_000;
/** What a change may take beside the time that it was told to wait. */
const ALTER_TIMEOUT_MS = 15_000;
/** Feature level of compacted topics, and of retention by number of records. */
const LEVEL_OF_COMPACTION = 12;
/** Partitions that are trimmed at a time. */
const TRIMS_AT_ONCE = 32;
/** Sizes are asked of every broker. */
const PLAN_TIMEOUT_MS = 10_000;

type Control = CallControl | undefined;

/** What {@link Admin.listTopics} takes beside names. */
export interface ListTopicsControl extends CallControl {
  /** Of all topics those of the cluster's own too, whose names begin with `__`. Default false. */
  readonly internal?: boolean;
}

/** Options of {@link Admin.listOffsets}. */
export interface ListOffsetsOptions {
  readonly at?: StartFrom;
  readonly partitions?: readonly number[];
}

/** Offsets of one partition; without an error all are set. */
export interface ListedOffset extends Omit<PartitionOffset, 'error'> {
  readonly error?: TidemarkError;
}

/** Where a partition is to begin: see {@link Admin.trimTopic}. */
export interface TrimRequest {
  readonly partition: number;
  readonly offset: number;
}

/** Where a partition begins now; without an error it is set. */
export interface Trimmed {
  readonly partition: number;
  readonly logStart?: number;
  readonly error?: TidemarkError;
}

/** Options of {@link Admin.explainPartition}. */
export interface ExplainOptions {
  /** Whose memory is asked. */
  readonly brokerId?: number;
}

const EXPLAIN = shape({ brokerId: optional(count) });

const OFFSETS = shape({ at: optional(START), partitions: optional(listOf(count)) });

const TRIMS = listOf(shape({ partition: count, offset: size }));

const IDS = listOf(count);

const LIST_TOPICS = shape({ signal: optional(isSignal), internal: optional(flag) });

/**
 * Made by `Tidemark.admin()`. Every method rejects with a {@link TidemarkError}, and takes a signal
 * last: what was asked of a change that is aborted may be done all the same.
 */
export class Admin {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Brokers, controller, loss reports. */
  async describeCluster(control?: Control): Promise<ClusterDescription> {
    const answer = await this.#call('describe cluster', Admins.describeCluster, {}, control, READ);
    this.#cluster.learnBrokers(answer.brokers);
    const { settings } = answer;
    return { ...answer, settings: settings === undefined ? undefined : settingsFromWire(settings) };
  }

  /** One broker's own view of its replicas, their lag, its disk. */
  async describeBroker(brokerId: number, control?: Control): Promise<DescribeBrokerResponse> {
    const doing = 'describe broker';
    checkArgument(doing, count, brokerId, 'brokerId');
    return this.#call(doing, Admins.describeBroker, { brokerId }, control, READ);
  }

  /** The metadata quorum as its leader sees it. */
  async describeQuorum(control?: Control): Promise<DescribeQuorumResponse> {
    return this.#call('describe quorum', Admins.describeQuorum, {}, control, READ);
  }

  /** All topics, or those named; an unknown name fails. */
  async listTopics(names: readonly string[] = [], control?: ListTopicsControl): Promise<Topic[]> {
    const doing = 'list topics';
    checkArgument(doing, listOf(named), names, 'names');
    checkArgument(doing, optional(LIST_TOPICS), control);
    const request = { names: [...names], includeInternal: control?.internal ?? false };
    const { signal } = control ?? {};
    const { topics } = await this.#call(doing, Admins.listTopics, request, { signal }, READ);
    return topics.map(topicFromWire);
  }

  /**
   * Where partitions begin and end, by what their leaders say, and the offset of `at` (default
   * `latest`): of a timestamp, that of the first record at or after it, else the end. No
   * partitions: all. A partition that cannot be asked has an `error`.
   */
  async listOffsets(
    topic: string,
    options: ListOffsetsOptions = {},
    control?: Control,
  ): Promise<ListedOffset[]> {
    const doing = 'list offsets';
    checkArgument(doing, named, topic, 'topic');
    checkArgument(doing, OFFSETS, options);
    const { at = 'latest', partitions = [] } = options;
    const request = { topic, partitions: [...partitions], start: startPoint(at) };
    const { offsets } = await this.#call(doing, Logs.listOffsets, request, control, READ);
    return offsets.map(({ error, ...one }) => ({
      ...one,
      ...(error === undefined ? {} : { error: fromWire(error) }),
    }));
  }

  /** One topic. */
  async describeTopic(name: string, control?: Control): Promise<Topic> {
    checkArgument('describe topic', named, name, 'name');
    const [topic] = await this.listTopics([name], control);
    if (topic === undefined)
      throw new TidemarkError('UNKNOWN_TOPIC', `Cannot describe "${name}": no topic has this name`);
    return topic;
  }

  /** Makes a topic; 0 partitions and replicas mean the cluster's defaults. */
  async createTopic(request: TopicRequest, control?: Control): Promise<Topic> {
    const doing = 'create topic';
    checkArgument(doing, TOPIC_REQUEST, request);
    await this.#requireCompaction(doing, request.config, control);
    const message = {
      partitions: 0,
      replicationFactor: 0,
      assignments: [],
      validateOnly: false,
      ...present(request),
      config: configToWire(request.config),
    };
    const { topic } = await this.#call(doing, Admins.createTopic, message, control);
    return topicOf(topic, request.name);
  }

  /**
   * Changes settings, adds partitions or changes the number of copies, live. `waitMs`: how long to
   * wait for what does not happen at once.
   */
  async alterTopic(request: TopicChange, control?: Control): Promise<Topic> {
    const doing = 'alter topic';
    checkArgument(doing, TOPIC_CHANGE, request);
    await this.#requireCompaction(doing, request.config, control);
    const message = {
      partitions: 0,
      replicationFactor: 0,
      waitMs: 0,
      ...present(request),
      config: configToWire(request.config),
    };
    const timeoutMs = ALTER_TIMEOUT_MS + message.waitMs;
    const topicId = await this.#topicId(request.name, control);
    const change = { ...message, topicId };
    const { topic } = await this.#call(doing, Admins.alterTopic, change, control, { timeoutMs });
    return topicOf(topic, request.name);
  }

  /** Deletes a topic and its records. */
  async deleteTopic(name: string, control?: Control): Promise<void> {
    checkArgument('delete topic', named, name, 'name');
    const topicId = await this.#topicId(name, control);
    await this.#call('delete topic', Admins.deleteTopic, { name, topicId }, control);
  }

  /**
   * Makes partitions begin at these offsets, each at most the end of what is committed. Resolves
   * with where each begins: within a batch, where that begins, and at or above the offset where
   * the log began above already. It holds whoever leads from then on, and may be repeated. What
   * lies below is gone for readers (of a replica that lags, once it has heard of it), and from
   * disks with the segments that end there.
   * Partitions fail apart from each other: one that was not trimmed has an `error`.
   */
  async trimTopic(
    topic: string,
    trims: readonly TrimRequest[],
    control?: Control,
  ): Promise<Trimmed[]> {
    const doing = 'trim topic';
    checkArgument(doing, named, topic, 'topic');
    checkArgument(doing, TRIMS, trims, 'trims');
    const topicId = await this.#topicId(topic, control);
    const trimOne = async ({ partition, offset }: TrimRequest): Promise<Trimmed> => {
      const request = { topic, topicId, partition, offset };
      try {
        const { logStart } = await this.#call(doing, Admins.trimTopic, request, control);
        return { partition, logStart };
      } catch (error) {
        const isAborted = control?.signal?.aborted === true;
        if (isAborted || !(error instanceof TidemarkError)) throw error;
        return { partition, error };
      }
    };
    const trimmed: Trimmed[] = [];
    for (let at = 0; at < trims.length; at += TRIMS_AT_ONCE)
      trimmed.push(...(await Promise.all(trims.slice(at, at + TRIMS_AT_ONCE).map(trimOne))));
    return trimmed;
  }

  /** Moves leadership of a partition. */
  async electLeader(
    request: Partial<ElectLeaderRequest> & { readonly topic: string; readonly partition: number },
    control?: Control,
  ): Promise<ElectLeaderResponse> {
    checkArgument('elect leader', ELECTION, request);
    const topicId = await this.#topicId(request.topic, control);
    const message = { unclean: false, givenUp: [], ...present(request), topicId };
    return this.#call('elect leader', Admins.electLeader, message, control);
  }

  /** Would stopping these brokers together hurt? */
  async checkDisruption(
    brokerIds: readonly number[],
    control?: Control,
  ): Promise<CheckDisruptionResponse> {
    const doing = 'check disruption';
    checkArgument(doing, IDS, brokerIds, 'brokerIds');
    const request = { brokerIds: [...brokerIds] };
    return this.#call(doing, Admins.checkDisruption, request, control, READ);
  }

  /** Drains leadership from a broker so that it can be stopped without a failed append. */
  async prepareStop(brokerId: number, control?: Control): Promise<PrepareStopResponse> {
    const options = { timeoutMs: PREPARE_STOP_TIMEOUT_MS };
    return this.#ofBroker('prepare stop', Admins.prepareStop, brokerId, control, options);
  }

  /** Takes {@link prepareStop} back: the broker may lead again. */
  async cancelStop(brokerId: number, control?: Control): Promise<void> {
    await this.#ofBroker('cancel stop', Admins.cancelStop, brokerId, control);
  }

  /**
   * Moves replicas of one partition; resolves once that has begun. No replicas: cancels what is
   * under way.
   */
  async reassignPartition(
    topic: string,
    partition: number,
    replicas: readonly number[],
    control?: Control,
  ): Promise<Partition> {
    const doing = 'reassign partition';
    checkArgument(doing, named, topic, 'topic');
    checkArgument(doing, count, partition, 'partition');
    checkArgument(doing, IDS, replicas, 'replicas');
    const topicId = await this.#topicId(topic, control);
    const request = { topic, partition, replicas: [...replicas], topicId };
    const answer = await this.#call(doing, Admins.reassignPartition, request, control);
    if (answer.partition !== undefined) return answer.partition;
    throw new TidemarkError(
      'INTERNAL',
      `Cannot read the answer about ${topic}/${partition}: it holds no partition`,
    );
  }

  /**
   * Cordons a broker and moves everything away from it. Resolves, once that has begun, with the
   * number of replicas that it still holds.
   */
  async decommission(brokerId: number, control?: Control): Promise<number> {
    const answer = await this.#ofBroker('decommission', Admins.decommission, brokerId, control);
    return answer.replicasLeft;
  }

  /** Takes a decommission back. */
  async recommission(brokerId: number, control?: Control): Promise<void> {
    await this.#ofBroker('recommission', Admins.recommission, brokerId, control);
  }

  /** Forgets a broker that is gone for good. */
  async removeBroker(brokerId: number, control?: Control): Promise<void> {
    await this.#ofBroker('remove broker', Admins.removeBroker, brokerId, control);
  }

  /** Changes settings of the cluster, live; resolves with all of them. */
  async setClusterSettings(
    change: Partial<ClusterSettings>,
    control?: Control,
  ): Promise<ClusterSettings> {
    const doing = 'set cluster settings';
    checkArgument(doing, SETTINGS, change);
    const topicDefaults = modeToWire(change.topicDefaults);
    const settings = { brokerOptions: {}, ...present(change), topicDefaults };
    const answer = await this.#call(doing, Admins.setClusterSettings, { settings }, control);
    return settingsFromWire(answer.settings ?? { brokerOptions: {}, topicDefaults: undefined });
  }

  /**
   * The moves that would balance the cluster. Changes nothing: submit them with
   * {@link reassignPartition}.
   */
  async planRebalance(control?: Control): Promise<PlanRebalanceResponse> {
    const options = { isRead: true, timeoutMs: PLAN_TIMEOUT_MS };
    return this.#call('plan rebalance', Admins.planRebalance, {}, control, options);
  }

  /** Partitions whose replicas do not span racks, and why. */
  async describeSpread(control?: Control): Promise<DescribeSpreadResponse> {
    return this.#call('describe spread', Admins.describeSpread, {}, control, READ);
  }

  /**
   * How a partition stands, and what a broker has seen decided about it since it started, each with
   * its rule. Without `brokerId`: what the broker that answers has seen.
   */
  async explainPartition(
    topic: string,
    partition: number,
    options: ExplainOptions = {},
    control?: Control,
  ): Promise<ExplainPartitionResponse> {
    const doing = 'explain partition';
    checkArgument(doing, named, topic, 'topic');
    checkArgument(doing, count, partition, 'partition');
    checkArgument(doing, EXPLAIN, options);
    const request = { topic, partition, brokerId: options.brokerId };
    return this.#call(doing, Admins.explainPartition, request, control, READ);
  }

  /** Lets a principal do more; resolves with all that it may do there. */
  async grantAccess(rule: AccessRule, control?: Control): Promise<KeptAccessRule> {
    const doing = 'grant access';
    checkArgument(doing, ACCESS_RULE, rule);
    const wire = {
      principal: rule.principal,
      resource: resourceToWire(rule.resource),
      operations: operationsToWire(rule.operations),
      given: [],
    };
    const request = { rule: wire, forLogAccess: false };
    const answer = await this.#call(doing, Admins.grantAccess, request, control);
    return ruleFromWire(answer.rule ?? wire);
  }

  /** Takes operations of a rule back; resolves with what is left of it. */
  async revokeAccess(
    rule: AccessRevocation,
    control?: Control,
  ): Promise<KeptAccessRule | undefined> {
    const doing = 'revoke access';
    checkArgument(doing, ACCESS_REVOCATION, rule);
    const request = {
      principal: rule.principal,
      resource: resourceToWire(rule.resource),
      operations: operationsToWire(rule.operations ?? []),
      forLogAccess: false,
    };
    const answer = await this.#call(doing, Admins.revokeAccess, request, control);
    return answer.rule === undefined ? undefined : ruleFromWire(answer.rule);
  }

  /** All rules, and who may do everything by the options of the broker that answers. */
  async listAccess(
    control?: Control,
  ): Promise<{ readonly rules: KeptAccessRule[]; readonly administrators: string[] }> {
    const answer = await this.#call('list access', Admins.listAccess, {}, control, READ);
    return { rules: answer.rules.map(ruleFromWire), administrators: answer.administrators };
  }

  /** Whether a principal may do something, and why. */
  async checkAccess(question: AccessQuestion, control?: Control): Promise<AccessAnswer> {
    const doing = 'check access';
    checkArgument(doing, ACCESS_QUESTION, question);
    const request = {
      principal: question.principal ?? '',
      operation: operationsToWire([question.operation])[0] ?? 0,
      resource: resourceToWire(question.resource),
    };
    const answer = await this.#call(doing, Admins.checkAccess, request, control, READ);
    const { rule, ...rest } = answer;
    return rule === undefined ? rest : { ...rest, rule: ruleFromWire(rule) };
  }

  /** Sets limits of a principal beside those that it has; resolves with all of them. */
  async setQuota(quota: Quota, control?: Control): Promise<Quota> {
    const doing = 'set a quota';
    checkArgument(doing, QUOTA, quota);
    const wire = quotaToWire(quota);
    const answer = await this.#call(doing, Admins.setQuota, { quota: wire }, control);
    return quotaFromWire(answer.quota ?? wire);
  }

  /** Takes all limits of a principal away. */
  async deleteQuota(principal: string, control?: Control): Promise<void> {
    const doing = 'delete a quota';
    checkArgument(doing, named, principal, 'principal');
    await this.#call(doing, Admins.deleteQuota, { principal }, control);
  }

  /** All quotas, and what holds where there is none. */
  async listQuotas(control?: Control): Promise<QuotaList> {
    const answer = await this.#call('list quotas', Admins.listQuotas, {}, control, READ);
    const { quotas, defaults } = answer;
    return { quotas: quotas.map(quotaFromWire), defaults: limitsFromWire(defaults ?? {}) };
  }

  /** By it an attempt that arrives late never meets a topic that was made anew under the name. */
  async #topicId(name: string, control: Control): Promise<Uint8Array> {
    const { topicId } = await this.describeTopic(name, control);
    return Buffer.from(topicId.replaceAll('-', ''), 'hex');
  }

  /** A broker of an older build would not see these configs, and do without. */
  async #requireCompaction(
    doing: string,
    config: TopicConfig | undefined,
    control: Control,
  ): Promise<void> {
    if (config === undefined || !needsCompaction(config)) return;
    const { featureLevel } = await this.#call(doing, Admins.describeCluster, {}, control, READ);
    if (featureLevel >= LEVEL_OF_COMPACTION) return;
    throw new TidemarkError(
      'REFUSED',
      `Cannot ${doing}: cleanup and retentionRecords need feature level ${LEVEL_OF_COMPACTION}, the cluster is at ${featureLevel}`,
    );
  }

  #ofBroker<Response>(
    doing: string,
    method: UnaryMethod<{ brokerId: number }, Response>,
    brokerId: number,
    control: Control,
    options: CallOptions = {},
  ): Promise<Response> {
    checkArgument(doing, count, brokerId, 'brokerId');
    return this.#call(doing, method, { brokerId }, control, options);
  }

  #call<Request, Response>(
    doing: string,
    method: UnaryMethod<Request, Response>,
    request: Request,
    control?: Control,
    options?: CallOptions,
  ): Promise<Response> {
    return ask(this.#cluster, doing, method, request, control, options);
  }
}

function topicOf(topic: WireTopic | undefined, name: string): Topic {
  if (topic === undefined)
    throw new TidemarkError(
      'INTERNAL',
      `Cannot read the answer about "${name}": it holds no topic`,
    );
  return topicFromWire(topic);
}
