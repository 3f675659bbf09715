/** The first line: one sentence, and the numbers beside it. */
import { useContext } from 'preact/hooks';
import { capital } from '../../base/sentence.ts';
import { copiesOfCluster } from '../model/copies.ts';
import type { Point } from '../model/history.ts';
import { counted, durationText, latencyText, LEVEL_WORDS, rateText } from '../model/words.ts';
import type { ClusterSeen, Snapshot } from '../snapshot.ts';
import { CopyButton } from './copy.tsx';
import { ToolsContext } from './tools.ts';

interface HeadProps {
  readonly last: Snapshot;
  readonly known: Snapshot | null;
  readonly point: Point | null;
  /** The server of this page does not answer. */
  readonly isLate: boolean;
}

export function Head({ last, known, point, isLate }: HeadProps) {
  const level = isLate ? 'failing' : last.level;
  const { sign, word } = LEVEL_WORDS[level];
  const sentence = isLate ? 'the program that serves this page does not answer' : last.sentence;
  const cluster = known?.cluster ?? null;
  const oldMs = last.cluster === null ? last.atMs - (known?.atMs ?? 0) : 0;
  return (
    <header class={`head ${level}`}>
      <h1 aria-live="polite">
        <span class="sign" aria-hidden="true">
          {sign}
        </span>
        <span class="visually-hidden">{word}: </span>
        <span id="sentence">{capital(sentence)}</span>
      </h1>
      {cluster !== null && <Facts cluster={cluster} point={point} oldMs={oldMs} />}
      {cluster !== null && <Origin cluster={cluster} />}
    </header>
  );
}

function Origin({ cluster }: { readonly cluster: ClusterSeen }) {
  const tools = useContext(ToolsContext);
  return (
    <p class="origin">
      {`Cluster ${cluster.clusterId}, as broker ${cluster.answeredBy} knows it; ${counted(cluster.losses.length, 'loss report')} `}
      {tools !== null && (
        <CopyButton title="Describe the cluster" copies={() => copiesOfCluster(tools.reached)} />
      )}
    </p>
  );
}

interface FactsProps {
  readonly cluster: ClusterSeen;
  readonly point: Point | null;
  /** Age of what is known; 0: it is new. */
  readonly oldMs: number;
}

function Facts({ cluster, point, oldMs }: FactsProps) {
  const { controller, brokers, partitions } = cluster;
  const up = brokers.filter(({ state }) => state === 'up').length;
  return (
    <dl class="facts">
      <Fact name="records/s" value={rateText(point?.perSecond ?? null)} />
      <Fact name="append p99" value={latencyText(point?.p99Ms ?? null)} />
      <Fact name="waits for commit" value={durationText(point?.waitMs ?? 0)} />
      <Fact name="controller" value={controller === null ? 'none' : `broker ${controller}`} />
      <Fact name="partitions" value={String(partitions.length)} />
      <Fact name="brokers up" value={`${up} of ${brokers.length}`} />
      {oldMs > 0 && <Fact name="picture" value={`${durationText(oldMs)} old`} />}
    </dl>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
