/**
 * A LogCluster as a person has it: the operator from its chart, a manifest that is applied again
 * and again, and a status that is read. What the operator did, and in which order, is taken from
 * its log.
 */
import type {
  DescribeClusterResponse,
  ListTopicsResponse,
  Topic,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { when } from '../cluster/harness/wait.ts';
import type { Kube, KubeObject, LoadVerdict, Pod, RunningLoad } from './harness.ts';
import { BROKER_PORT } from './objects.ts';

const NAME = 'log';
const RELEASE = 'tidemark';
/** A roll or a move of replicas, on a machine that others work on too. */
const WORK_DEADLINE_MS = 240_000;

/** What nobody may see of an orderly change: a failed append, or a record lost. */
export const UNHARMED = { refused: 0, unknown: 0, violations: [], failures: [] };

/** A LogCluster or LogTopic, as far as tests look at it. */
export interface Resource extends KubeObject {
  readonly metadata: KubeObject['metadata'] & { readonly generation: number };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
      readonly observedGeneration: number;
    }[];
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly updatedReplicas?: number;
    readonly templateHash?: string;
    readonly step?: string;
    readonly waitingFor?: string;
    readonly durability?: string;
    readonly minInSyncReplicas?: number;
    readonly topicId?: string;
    readonly listeners?: readonly {
      readonly name: string;
      readonly bootstrap?: string;
      readonly brokers: readonly {
        readonly broker: number;
        readonly address?: string;
        readonly advertised: boolean;
      }[];
    }[];
  };
}

/** A line of the operator's log: an action that it was about to carry out. */
export interface Act {
  readonly action: string;
  readonly brokerId?: number;
  readonly brokerIds?: readonly number[];
  readonly name?: string;
  readonly replicas?: number;
}

export class OperatedCluster {
  readonly name = NAME;
  /** The Service that clients use. */
  readonly server = `${NAME}:${BROKER_PORT}`;
  readonly #kube: Kube;

  constructor(kube: Kube) {
    this.#kube = kube;
  }

  /**
   * Installs the chart with these values, applies a manifest with these fields, and resolves when
   * all brokers serve.
   */
  async start(
    spec: Readonly<Record<string, unknown>> = {},
    ...values: readonly string[]
  ): Promise<void> {
    await this.#kube.installChart(RELEASE, ...values);
    await this.#kube.apply({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: { name: NAME },
      spec: { replicas: 3, minInSyncReplicas: 2, storage: { size: '1Gi' }, ...spec },
    });
    await this.waitReady();
  }

  /** Changes fields of the spec; null takes one out. */
  async change(spec: Readonly<Record<string, unknown>>): Promise<void> {
    const patch = JSON.stringify({ spec });
    await this.#kube.kubectl('patch', 'logcluster', NAME, '--type=merge', `--patch=${patch}`);
  }

  async scale(replicas: number): Promise<void> {
    await this.#kube.kubectl('scale', `logcluster/${NAME}`, `--replicas=${replicas}`);
  }

  resource(): Promise<Resource> {
    return this.#kube.get<Resource>('logcluster', NAME);
  }

  /** Resolves when the status speaks of the present spec and `isSo` of it. */
  waitStatus(
    what: string,
    isSo: (status: NonNullable<Resource['status']>) => boolean,
  ): Promise<NonNullable<Resource['status']>> {
    return this.#kube.wait(
      what,
      async (note) => {
        const { metadata, status } = await this.resource();
        note(status);
        return status?.observedGeneration === metadata.generation && isSo(status)
          ? status
          : undefined;
      },
      WORK_DEADLINE_MS,
    );
  }

  /** Resolves when everything is as the present spec wants it. */
  async waitReady(): Promise<void> {
    await this.waitStatus('the LogCluster to be Ready', ({ conditions = [] }) =>
      conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    );
  }

  /** Resolves to what the operator says that it waits for, once that holds `text`. */
  async waitWaitingFor(text: string): Promise<string> {
    const { waitingFor = '' } = await this.waitStatus(
      `the LogCluster to wait for "${text}"`,
      ({ waitingFor: said = '' }) => said.includes(text),
    );
    return waitingFor;
  }

  podName(brokerId: number): string {
    return `${NAME}-${brokerId}`;
  }

  pod(brokerId: number): Promise<Pod> {
    return this.#kube.get<Pod>('pod', this.podName(brokerId));
  }

  /** Pods of brokers, by number. */
  async pods(): Promise<Pod[]> {
    const pods = await this.#kube.list<Pod>('pod', `app.kubernetes.io/instance=${NAME}`);
    return pods
      .filter(({ metadata }) => metadata.name.startsWith(`${NAME}-`))
      .sort((left, right) => (left.metadata.name < right.metadata.name ? -1 : 1));
  }

  /** UIDs of the brokers' pods, by number: another one is another pod. */
  async podUids(): Promise<string[]> {
    return (await this.pods()).map(({ metadata }) => metadata.uid);
  }

  /** The cluster as a broker sees it. */
  async described(): Promise<DescribeClusterResponse> {
    const [found] = await this.#kube.call<DescribeClusterResponse>('describeCluster', [
      this.server,
    ]);
    if (found === undefined) throw new Error('no broker answered');
    return found;
  }

  async topics(...names: readonly string[]): Promise<readonly Topic[]> {
    const request = { names: [...names] };
    const [found] = await this.#kube.call<ListTopicsResponse>('listTopics', [this.server], request);
    return found?.topics ?? [];
  }

  /** Brokers that hold a replica of anything. */
  async holders(): Promise<ReadonlySet<number>> {
    const topics = await this.topics();
    return new Set(
      topics.flatMap(({ partitions }) => partitions.flatMap(({ replicas }) => replicas)),
    );
  }

  /** Makes a topic with these options, and resolves when all of its replicas are in sync. */
  async createTopic(name: string, ...options: readonly string[]): Promise<void> {
    await this.#kube.tidemark(this.server, ['topic', 'create', name, ...options]);
    await this.waitInSync(name);
  }

  /** Resolves when all replicas of a topic are in sync. */
  async waitInSync(name: string): Promise<void> {
    await this.#kube.wait(`${name} to be in sync`, async (note) => {
      const [topic] = await this.topics(name);
      note(topic);
      return when(
        topic?.partitions.every(
          ({ leader, syncSet, replicas }) =>
            leader !== undefined && syncSet.length === replicas.length,
        ) === true,
      );
    });
  }

  /** Appends to a topic of its own while `work` is done. Resolves to what the history says. */
  async underLoad(
    topic: string,
    work: (load: RunningLoad) => Promise<void>,
    { node, partitions = 3 }: { readonly node?: string; readonly partitions?: number } = {},
  ): Promise<LoadVerdict> {
    await this.createTopic(topic, '--partitions', `${partitions}`);
    const place = {
      topic,
      partitions,
      server: this.server,
      ...(node === undefined ? {} : { node }),
    };
    const load = await this.#kube.startLoad(place);
    await work(load);
    await load.progress();
    const verdict = await load.stop();
    console.log(
      `  ${topic}: ${verdict.acknowledged} acknowledged, ${verdict.refused + verdict.unknown} failed, ` +
        `${verdict.violations.length} violations, longest gap ${Math.round(verdict.longestGapMs)} ms`,
    );
    return verdict;
  }

  /**
   * Every action that the copies of the operator that run now have begun, in its order; one that
   * was begun several times in a row counts once.
   */
  async acts(...actions: readonly string[]): Promise<Act[]> {
    const selector = `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/component=operator`;
    const log = await this.#kube.kubectl('logs', `--selector=${selector}`, '--tail=-1');
    const all = log
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Partial<Act> & { readonly time: string })
      .sort((left, right) => Date.parse(left.time) - Date.parse(right.time))
      .flatMap(({ action, brokerId, brokerIds, name, replicas }): Act[] =>
        action === undefined || !actions.includes(action)
          ? []
          : [
              {
                action,
                ...(brokerId === undefined ? {} : { brokerId }),
                ...(brokerIds === undefined ? {} : { brokerIds }),
                ...(name === undefined ? {} : { name }),
                ...(replicas === undefined ? {} : { replicas }),
              },
            ],
      );
    return all.filter((act, index) => JSON.stringify(act) !== JSON.stringify(all[index - 1]));
  }

  /** Notes of the events of one reason, oldest first. */
  async notes(reason: string): Promise<string[]> {
    const found = await this.#kube.kubectl(
      ...['get', 'events.events.k8s.io', '-o', 'json', `--field-selector=reason=${reason}`],
    );
    const { items } = JSON.parse(found) as { items: { note: string; eventTime: string }[] };
    return items
      .toSorted((left, right) => (left.eventTime < right.eventTime ? -1 : 1))
      .map(({ note }) => note);
  }
}
