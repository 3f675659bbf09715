/** The page of a running cluster: what the server tells, drawn. It changes nothing. */
import { render } from 'preact';
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import { barsOf } from './model/bars.ts';
import { type History, NO_HISTORY, remember } from './model/history.ts';
import { columnsOf, keyOf } from './model/tiles.ts';
import { nextWords } from './model/words.ts';
import type { Snapshot } from './snapshot.ts';
import { Detail } from './view/detail.tsx';
import { Head } from './view/head.tsx';
import { Changes, Losses, Moves } from './view/lists.tsx';
import { Plots } from './view/plots.tsx';
import { Legend, Racks } from './view/racks.tsx';

/** Before a server that refused is asked again. */
const AGAIN_MS = 5_000;

interface Told {
  readonly history: History;
  /** What was last known of the cluster, which may be older than the last snapshot. */
  readonly known: Snapshot | null;
}

const NOTHING: Told = { history: NO_HISTORY, known: null };

/** Snapshots as they come; `isLate` while the server does not answer. */
function useSnapshots(): Told & { readonly isLate: boolean } {
  const [told, setTold] = useState(NOTHING);
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const open = (): void => {
      source = new EventSource('/events');
      source.onmessage = ({ data }: MessageEvent<string>) => {
        const now = JSON.parse(data) as Snapshot;
        setLate(false);
        setTold(({ history, known }) => ({
          history: remember(history, now),
          known: now.cluster === null ? known : now,
        }));
      };
      source.onerror = () => {
        setLate(true);
        // Refused for good, as where too many pages watch: the browser does not ask again.
        if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
      };
    };
    open();
    return () => {
      source?.close();
      clearTimeout(timer);
    };
  }, []);
  return { ...told, isLate };
}

function Page() {
  const { history, known, isLate } = useSnapshots();
  const [chosen, setChosen] = useState<string | null>(null);
  const choose = useCallback((key: string) => {
    setChosen((before) => (before === key ? null : key));
  }, []);
  const cluster = known?.cluster ?? null;
  const columns = useMemo(() => (cluster === null ? [] : columnsOf(cluster)), [cluster]);
  const { last } = history;
  if (last === null)
    return (
      <p class="hint">
        {isLate ? 'No snapshot comes: is another page open too often?' : 'Waiting for the cluster…'}
      </p>
    );
  const partition = cluster?.partitions.find((one) => keyOf(one) === chosen);
  const isOld = isLate || last.cluster === null;
  return (
    <>
      <Head last={last} known={known} point={history.points.at(-1) ?? null} isLate={isLate} />
      <main class={isOld ? 'old' : ''}>
        {cluster !== null && (
          <>
            <Racks columns={columns} chosen={chosen} choose={choose} />
            <Legend />
            {cluster.partitions.length === 0 && <p class="hint">{nextWords()}</p>}
            {partition !== undefined && (
              <Detail
                partition={partition}
                bars={barsOf(partition, cluster)}
                close={() => setChosen(null)}
              />
            )}
            <Losses losses={cluster.losses} />
            <Moves moves={cluster.moves} />
          </>
        )}
        <Plots history={history} />
        <Changes marks={history.marks} />
      </main>
    </>
  );
}

const place = document.getElementById('page');
if (place !== null) {
  place.replaceChildren();
  render(<Page />, place);
}
