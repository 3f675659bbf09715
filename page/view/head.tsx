/** The first line: one sentence, and the numbers beside it. */
import { capital } from '../../base/sentence.ts';
import type { Point } from '../model/history.ts';
import { counted, durationText, LEVEL_WORDS, rateText } from '../model/words.ts';
import type { Snapshot } from '../snapshot.ts';

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
  return (
    <header class={`head ${level}`}>
      <h1 aria-live="polite">
        <span class="sign" aria-hidden="true">
          {sign}
        </span>
        <span class="visually-hidden">{word}: </span>
        <span id="sentence">{capital(sentence)}</span>
      </h1>
      {cluster !== null && (
        <dl class="facts">
          <Fact name="records/s" value={rateText(point?.perSecond ?? null)} />
          <Fact name="waits for commit" value={durationText(point?.waitMs ?? 0)} />
          <Fact
            name="controller"
            value={cluster.controller === null ? 'none' : `broker ${cluster.controller}`}
          />
          <Fact name="partitions" value={String(cluster.partitions.length)} />
          <Fact
            name="brokers up"
            value={`${cluster.brokers.filter(({ state }) => state === 'up').length} of ${cluster.brokers.length}`}
          />
          {last.cluster === null && (
            <Fact name="picture" value={`${durationText(last.atMs - (known?.atMs ?? 0))} old`} />
          )}
        </dl>
      )}
      {cluster !== null && (
        <p class="origin">
          {`Cluster ${cluster.clusterId}, as broker ${cluster.answeredBy} knows it; ${counted(cluster.losses.length, 'loss report')}`}
        </p>
      )}
    </header>
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
