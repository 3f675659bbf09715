/**
 * What a test on a real Kubernetes works with: a namespace of its own, kubectl and helm with JSON,
 * waiting that says what it saw, a pod with the `tidemark` command, and a load with the history
 * checker that runs in a pod.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import { ROOT } from '../cluster/harness/child.ts';
import type { Violation } from '../cluster/harness/history.ts';
import { type Found, type Note, waitFor, when } from '../cluster/harness/wait.ts';
import { type Provided, tool } from './cluster.ts';
import { noteGap } from './gaps.ts';
import { signalContainer } from './launcher/cgroups.ts';
import {
  type ProgramPod,
  programPod,
  programsConfigMap,
  testNamespace,
  TOOLS_POD,
} from './objects.ts';
import { programCommand, programFiles } from './programs.ts';

/** Any Kubernetes object, as far as every one has these. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

/** A pod, as far as tests look at it. */
export interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      /** `containerd://` and the id. */
      readonly containerID?: string;
    }[];
  };
}

/** What a load found out. Nothing was lost where `violations` is empty. */
export interface LoadVerdict {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly unacknowledgedPresent: number;
  readonly violations: readonly Violation[];
  /** Longest time that one partition went without an acknowledgement. */
  readonly longestGapMs: number;
  readonly retries: number;
  /** The first few appends that ended otherwise than acknowledged. */
  readonly failures: readonly object[];
}

/** A load that runs. */
export interface RunningLoad {
  /** Resolves when every partition has acknowledged so many more records. */
  readonly progress: (records?: number) => Promise<void>;
  /** Ends it and resolves to what it found out. */
  readonly stop: () => Promise<LoadVerdict>;
}

/** Where a load runs and what it appends to. */
export interface LoadPlace {
  readonly topic: string;
  readonly partitions: number;
  readonly server: string;
  /** Keeps the load off a node that the test takes down. */
  readonly node?: string;
  /** What its pod has besides. */
  readonly dressed?: (pod: ProgramPod) => ProgramPod;
}

const DEADLINE_MS = 120_000;
const LOOK_MS = 300;
const LOG_LINES = 25;

export class Kube {
  readonly image: string;
  readonly namespace = `test-${randomUUID().slice(0, 8)}`;
  readonly #kind: 'launched' | 'named';
  readonly #releases: string[] = [];
  #loads = 0;

  constructor(kind: 'launched' | 'named', image: string) {
    this.#kind = kind;
    this.image = image;
  }

  /** Whether nodes and containers may be broken from outside. */
  get isOurs(): boolean {
    return this.#kind === 'launched';
  }

  /**
   * Makes the namespace, restricted as strictly as Kubernetes can, and the pod with the `tidemark`
   * command.
   */
  async open(): Promise<void> {
    await this.apply(testNamespace(this.namespace));
    await this.apply(programsConfigMap(await programFiles()));
    await this.apply(programPod(TOOLS_POD, this.image, ['sleep', 'infinity']));
    await this.waitPodReady(TOOLS_POD);
  }

  /**
   * Removes what helm installed and the namespace, with everything in it. Definitions belong to a
   * release, so the next one finds none.
   */
  async close(): Promise<void> {
    for (const release of this.#releases) {
      // Brokers go before whoever looks after them.
      await this.kubectl('delete', 'logtopic,logcluster', '--all', '--wait', '--timeout=90s');
      await this.helm('uninstall', release, '--wait', '--timeout=90s');
    }
    await this.kubectl('delete', 'namespace', this.namespace, '--wait', '--timeout=90s');
  }

  /** Runs kubectl in the namespace. Resolves to what it printed. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return this.#run('kubectl', args);
  }

  /** Runs helm in the namespace. Resolves to what it printed. */
  async helm(...args: readonly string[]): Promise<string> {
    return this.#run('helm', args);
  }

  /**
   * `helm install` of the chart with the image under test. What it installs goes with the
   * namespace.
   *
   * @param how values as `name=value`, and options of helm
   */
  async installChart(release: string, ...how: readonly string[]): Promise<void> {
    const values = how.filter((each) => !each.startsWith('--'));
    const options = how.filter((each) => each.startsWith('--'));
    const [, repository = '', tag = ''] = /^(.*):([^:/]+)$/.exec(this.image) ?? [];
    const image = [`image.repository=${repository}`, `image.tag=${tag}`];
    const set = ['--set', [...image, 'crds.keep=false', ...values].join(',')];
    this.#releases.push(release);
    const chart = join(ROOT, 'charts', 'tidemark');
    await this.helm('install', release, chart, ...set, ...options, '--wait', '--timeout=120s');
  }

  /** `helm uninstall` of what {@link installChart} installed. */
  async uninstallChart(release: string): Promise<void> {
    await this.helm('uninstall', release, '--wait', '--timeout=90s');
    this.#releases.splice(this.#releases.indexOf(release), 1);
  }

  /**
   * Runs kubectl. Resolves to the complaint with which it refused; @throws Error where it did not
   * refuse
   */
  async refused(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.#try('kubectl', args, input);
    if (code === 0) throw new Error(`kubectl ${args.join(' ')} was accepted: ${stdout}`);
    return stderr.trim();
  }

  /** Evicts a pod as a drain does: again and again until its budget lets it go. */
  async evict(pod: string): Promise<void> {
    const body = JSON.stringify({
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod, namespace: this.namespace },
    });
    const path = `/api/v1/namespaces/${this.namespace}/pods/${pod}/eviction`;
    const command = ['create', '--raw', path, '--filename=-'];
    await this.wait(`pod ${pod} to be evicted`, async (note) => {
      const { code, stderr } = await this.#try('kubectl', command, body);
      note(stderr);
      return when(code === 0);
    });
  }

  /** Node on which a pod runs. */
  async nodeOf(pod: string): Promise<string> {
    const { spec } = await this.get<Pod>('pod', pod);
    if (spec.nodeName === undefined) throw new Error(`pod ${pod} is on no node yet`);
    return spec.nodeName;
  }

  /** Reads one object. */
  async get<T extends KubeObject>(kind: string, name: string): Promise<T> {
    return JSON.parse(await this.kubectl('get', kind, name, '-o', 'json')) as T;
  }

  /** Reads all objects of a kind that a label selector matches. */
  async list<T extends KubeObject>(kind: string, selector = ''): Promise<T[]> {
    const found = await this.kubectl('get', kind, '-o', 'json', `--selector=${selector}`);
    return (JSON.parse(found) as { items: T[] }).items;
  }

  /** Creates an object in another namespace. */
  async create(manifest: string, namespace: string): Promise<void> {
    await this.#run('kubectl', ['create', `--namespace=${namespace}`, '--filename=-'], manifest);
  }

  /** Server-side apply of objects, or of a manifest's text. */
  async apply(...manifests: readonly (object | string)[]): Promise<void> {
    for (const manifest of manifests) {
      const input = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
      await this.#run('kubectl', ['apply', '--server-side', '--filename=-'], input);
    }
  }

  /** Runs a command in a pod. Resolves to what it printed. */
  async exec(pod: string, command: readonly string[], input = ''): Promise<string> {
    return this.#run('kubectl', ['exec', '--stdin', pod, '--', ...command], input);
  }

  /** Runs the `tidemark` command in the pod for it, against a Service or broker. */
  async tidemark(server: string, args: readonly string[], input = ''): Promise<string> {
    return this.exec(TOOLS_POD, ['env', `TIDEMARK_SERVER=${server}`, 'tidemark', ...args], input);
  }

  /**
   * One call of the Admin service to each of these brokers. Resolves to their answers, in this
   * order.
   */
  async call<T>(method: string, addresses: readonly string[], request: object = {}): Promise<T[]> {
    const args = [method, addresses.join(','), JSON.stringify(request)];
    return JSON.parse(await this.exec(TOOLS_POD, [...programCommand('call'), ...args])) as T[];
  }

  /**
   * {@link waitFor}; in vain, the message holds the pods, what happened to them, and the end of
   * their logs.
   */
  async wait<T extends Found>(
    what: string,
    look: (note: Note) => Promise<T | undefined> | T | undefined,
    deadlineMs = DEADLINE_MS,
  ): Promise<T> {
    try {
      return await waitFor(what, look, { deadlineMs, lookMs: LOOK_MS });
    } catch (error) {
      throw new Error(`${String(error)}\n${await this.diagnosis()}`, { cause: error });
    }
  }

  /** Resolves to a pod that is Ready and, where `after` is given, another one than that. */
  waitPodReady(name: string, after?: KubeObject): Promise<Pod> {
    return this.wait(`pod ${name} to be ready`, async (note) => {
      const pod = await this.get<Pod>('pod', name);
      note(pod.status);
      const isReady = pod.status.conditions?.some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      );
      return isReady === true && pod.metadata.uid !== after?.metadata.uid ? pod : undefined;
    });
  }

  /** Sends a signal to a pod's container. Resolves to how often it was started again before. */
  async signalContainer(name: string, signal: NodeJS.Signals): Promise<number> {
    const { status } = await this.get<Pod>('pod', name);
    const [container] = status.containerStatuses ?? [];
    signalContainer(container?.containerID?.replace('containerd://', '') ?? '', signal);
    return container?.restartCount ?? 0;
  }

  /**
   * Resolves when the container of a pod was started again more than `restarts` times, and is
   * ready.
   */
  async waitRestarted(name: string, restarts: number): Promise<void> {
    await this.wait(`the container of ${name} to be started again`, async (note) => {
      const { status } = await this.get<Pod>('pod', name);
      note(status);
      return when((status.containerStatuses?.[0]?.restartCount ?? 0) > restarts);
    });
    await this.waitPodReady(name);
  }

  /**
   * SIGKILL of a pod's container: the pod stays, its kubelet starts the container again. Resolves
   * when it is ready again.
   */
  async killContainer(name: string): Promise<void> {
    await this.waitRestarted(name, await this.signalContainer(name, 'SIGKILL'));
  }

  /** Appends to a topic from a pod, several producers with keys, until stopped. */
  async startLoad(place: LoadPlace): Promise<RunningLoad> {
    const { topic, partitions, server, node, dressed = (pod: ProgramPod) => pod } = place;
    this.#loads += 1;
    const name = `load-${this.#loads}`;
    const command = [...programCommand('load'), topic, server];
    await this.apply(dressed(programPod(name, this.image, command, node)));
    const last = async (): Promise<LoadLine> =>
      JSON.parse(await this.kubectl('logs', name, '--tail=1')) as LoadLine;
    const progress = async (records = 20): Promise<void> => {
      const before = await this.wait(`${name} to run`, last);
      // The fewest may not be the same partition later, so this waits for as much from all of them,
      // or a little more.
      await this.wait(`${records} more records of each partition`, async (note) => {
        const line = await last();
        note(line);
        const isMore = (line.fewest ?? 0) >= (before.fewest ?? 0) + records;
        return when(isMore && line.partitions === partitions);
      });
    };
    const stop = async (): Promise<LoadVerdict> => {
      await this.exec(name, ['sh', '-c', 'kill -TERM 1']);
      const verdict = await this.wait(`the verdict of ${name}`, async (note) => {
        const line = await last();
        note(line);
        return line.verdict;
      });
      const { acknowledged, refused, unknown, violations, longestGapMs } = verdict;
      const failed = refused + unknown;
      noteGap({ acknowledged, failed, violations: violations.length, longestGapMs });
      return verdict;
    };
    await progress();
    return { progress, stop };
  }

  /** Pods, events, and the end of every log: what a person would look at first. */
  async diagnosis(): Promise<string> {
    const sections = [
      ['get', 'pods', '-o', 'wide'],
      ['get', 'events', '--sort-by=.lastTimestamp'],
      ...(await this.#podNames()).flatMap((pod) => [
        ['logs', pod, `--tail=${LOG_LINES}`],
        ['logs', pod, `--tail=${LOG_LINES}`, '--previous'],
      ]),
    ];
    const texts = [];
    for (const args of sections) {
      const { code, stdout } = await this.#try('kubectl', args);
      if (code === 0) texts.push(`--- kubectl ${args.join(' ')}\n${stdout}`);
    }
    return texts.join('\n');
  }

  async #podNames(): Promise<string[]> {
    const { stdout } = await this.#try('kubectl', ['get', 'pods', '-o', 'name']);
    return stdout.split('\n').filter((name) => name !== '');
  }

  #try(program: 'kubectl' | 'helm', args: readonly string[], input = ''): ReturnType<typeof tool> {
    return tool(this.#kind, program, [`--namespace=${this.namespace}`, ...args], { input });
  }

  async #run(program: 'kubectl' | 'helm', args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.#try(program, args, input);
    if (code === 0) return stdout;
    throw new Error(`${program} ${args.join(' ')}: exit code ${code}: ${stderr}${stdout}`);
  }
}

/** A line of `pod/load.ts`. */
interface LoadLine {
  readonly fewest?: number;
  readonly partitions?: number;
  readonly verdict?: LoadVerdict;
}

/**
 * Gives the tests of a `describe` block one namespace on the cluster and whatever `prepare` makes
 * there, and skips them, with the reason, where there is no cluster. `needs: 'launched'` is for
 * tests that take nodes down, which a cluster from KUBECONFIG does not allow.
 */
export function useKube<T>(
  prepare: (kube: Kube) => Promise<T>,
  { needs = 'any' }: { needs?: 'any' | 'launched' } = {},
): () => T {
  const provided = inject('kube');
  const reason = whySkipped(provided, needs);
  let kube: Kube | undefined;
  let prepared: { readonly value: T } | undefined;
  beforeAll(async () => {
    if (reason !== undefined || provided.kind === 'none') return;
    kube = new Kube(provided.kind, provided.image);
    await kube.open();
    prepared = { value: await prepare(kube) };
  });
  beforeEach(({ skip }) => {
    if (reason !== undefined) skip(reason);
  });
  afterAll(() => kube?.close());
  return () => {
    if (prepared === undefined) throw new Error('a test of a cluster runs inside `it` only');
    return prepared.value;
  };
}

function whySkipped(provided: Provided, needs: 'any' | 'launched'): string | undefined {
  if (provided.kind === 'none') return provided.reason;
  if (needs === 'any' || provided.kind === 'launched') return undefined;
  return 'it takes nodes down, and those of the cluster that KUBECONFIG names are not ours';
}
