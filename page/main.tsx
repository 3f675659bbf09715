/**
 * The page of a running cluster: what the server tells, drawn. What it changes, where it may change
 * anything, goes through `calls.ts`.
 */
import { render } from 'preact';
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import { act, askAbout, signOut } from './calls.ts';
import { barsOf } from './model/bars.ts';
import type { Reached } from './model/copies.ts';
import { type History, NO_HISTORY, remember } from './model/history.ts';
import { columnsOf, keyOf } from './model/tiles.ts';
import { nextWords } from './model/words.ts';
import type { About, Action, ActionAnswer, ClusterSeen, Snapshot } from './snapshot.ts';
import { CopyDialog } from './view/copy.tsx';
import { Detail } from './view/detail.tsx';
import { Head } from './view/head.tsx';
import { Changes, Losses, Moves } from './view/lists.tsx';
import { Groups } from './view/groups.tsx';
import { Operator } from './view/operator.tsx';
import { Plots } from './view/plots.tsx';
import { Legend, Racks } from './view/racks.tsx';
import { SignIn } from './view/sign-in.tsx';
import { type Copied, type Tools, ToolsContext } from './view/tools.ts';

/** Before a server that refused is asked again. */
const AGAIN_MS = 5_000;
/** What became of an action is shown for so long. */
const TOLD_MS = 8_000;

interface Told {
  readonly history: History;
  /** What was last known of the cluster, which may be older than the last snapshot. */
  readonly known: Snapshot | null;
}

const NOTHING: Told = { history: NO_HISTORY, known: null };

/** What the page may do; asked again after a while where the server does not answer. */
function useAbout() {
  const [about, setAbout] = useState<About | 'sign in' | null>(null);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => {
      timer = setTimeout(() => setAsked((count) => count + 1), AGAIN_MS);
    };
    askAbout().then(setAbout, again);
    return () => clearTimeout(timer);
  }, [asked]);
  return { about, setAbout, askAgain: useCallback(() => setAsked((count) => count + 1), []) };
}

/** Snapshots as they come; `isLate` while the server does not answer. */
function useSnapshots(
  visit: string | null,
  refused: () => void,
): Told & { readonly isLate: boolean } {
  const [told, setTold] = useState(NOTHING);
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    if (visit === null) return;
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const open = (): void => {
      source = new EventSource(`/events?visit=${visit}`);
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
        if (source?.readyState !== EventSource.CLOSED) return;
        refused();
        timer = setTimeout(open, AGAIN_MS);
      };
      // A server that came back knows the page by another id.
      source.onopen = () => refused();
    };
    open();
    return () => {
      source?.close();
      clearTimeout(timer);
    };
  }, [visit, refused]);
  return { ...told, isLate };
}

function Page() {
  const { about, setAbout, askAgain } = useAbout();
  if (about === 'sign in') return <SignIn opened={setAbout} />;
  return <Cluster about={about} askAgain={askAgain} />;
}

interface ClusterProps {
  readonly about: About | null;
  readonly askAgain: () => void;
}

function Cluster({ about, askAgain }: ClusterProps) {
  const { history, known, isLate } = useSnapshots(about?.visit ?? null, askAgain);
  const [chosen, setChosen] = useState<string | null>(null);
  const [copied, setCopied] = useState<Copied | null>(null);
  const [answer, tell] = useAnswer();
  const choose = useCallback((key: string) => {
    setChosen((before) => (before === key ? null : key));
  }, []);
  const cluster = known?.cluster ?? null;
  const columns = useMemo(() => (cluster === null ? [] : columnsOf(cluster)), [cluster]);
  const partition = cluster?.partitions.find((one) => keyOf(one) === chosen);
  const reached = about === null ? null : reachedOf(about, cluster, partition?.leader ?? null);
  const tools = useMemo((): Tools | null => {
    if (about === null || reached === null) return null;
    const carryOut = async (action: Action): Promise<ActionAnswer> => {
      const done = await act(about.visit, action);
      tell(done);
      return done;
    };
    return { about, reached, show: setCopied, act: carryOut };
  }, [about, reached?.at]);
  const { last } = history;
  if (last === null)
    return (
      <p class="hint lonely">
        {isLate ? 'No snapshot comes: is another page open too often?' : 'Waiting for the cluster…'}
      </p>
    );
  const isOld = isLate || last.cluster === null;
  return (
    <ToolsContext.Provider value={tools}>
      <Head last={last} known={known} point={history.points.at(-1) ?? null} isLate={isLate} />
      <main class={isOld ? 'old' : ''}>
        {cluster !== null && (
          <>
            <Racks
              cluster={cluster}
              columns={columns}
              processes={last.processes}
              chosen={chosen}
              choose={choose}
            />
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
        <Groups groups={last.groups} />
        <Operator logCluster={last.logCluster} />
        <Plots history={history} />
        <Changes marks={history.marks} />
      </main>
      {about !== null && <Foot about={about} />}
      <p class={answer === null ? 'answer' : `answer ${answer.ok ? 'good' : 'bad'}`} role="status">
        {answer?.message}
      </p>
      <CopyDialog copied={copied} close={() => setCopied(null)} />
    </ToolsContext.Provider>
  );
}

/** What became of the last action, for a while. */
function useAnswer(): [ActionAnswer | null, (answer: ActionAnswer) => void] {
  const [answer, setAnswer] = useState<ActionAnswer | null>(null);
  useEffect(() => {
    if (answer === null) return;
    const timer = setTimeout(() => setAnswer(null), TOLD_MS);
    return () => clearTimeout(timer);
  }, [answer]);
  return [answer, setAnswer];
}

/** By a broker that is up: the leader of what is looked at, else any. */
function reachedOf(about: About, cluster: ClusterSeen | null, leader: number | null): Reached {
  const up = cluster?.brokers.filter(({ state }) => state === 'up') ?? [];
  const found = up.find(({ brokerId }) => brokerId === leader) ?? up[0];
  return { ...about, at: found?.address ?? about.servers.split(',')[0] ?? '' };
}

function Foot({ about }: { readonly about: About }) {
  const { as, allow, token } = about;
  const may = [
    ...(allow.read ? ['reads records'] : []),
    ...(allow.append ? ['appends them'] : []),
    ...(allow.processes ? ['starts and ends brokers'] : []),
  ];
  const isSignedIn = token?.file === '' && as.includes('your token');
  return (
    <footer class="hint">
      {`This page ${may.length === 0 ? 'only looks' : `looks, ${may.join(', ')}`}; ${as}.`}{' '}
      {isSignedIn && (
        <button
          type="button"
          class="link"
          onClick={() => {
            signOut();
            location.reload();
          }}
        >
          Sign out
        </button>
      )}
    </footer>
  );
}

const place = document.getElementById('page');
if (place !== null) {
  place.replaceChildren();
  render(<Page />, place);
}
