/** A run: its picture, what is said with it, and the buttons that move through it. */
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Address, CHANCE_OF_TRANSCRIPTS, hashOf } from '../model/address.ts';
import { rowsOf } from '../model/layout.ts';
import { frameAt, type Pace, paceOf, progressOf, shareAt } from '../model/pace.ts';
import type { Shown } from '../model/shown.ts';
import type { Frame, Line } from '../stage/picture.ts';
import { Cited } from './cited.tsx';
import { Deeds } from './deeds.tsx';
import { Lines } from './lines.tsx';
import { PanelView } from './panel.tsx';
import { Player } from './player.tsx';

/** The newest lines that are shown. */
const LINES_SHOWN_MAX = 14;
/** Rows are counted over so many frames, evenly spread. */
const ROWS_LOOKED_AT = 400;

interface RunProps {
  readonly shown: Shown;
  readonly address: Address;
  readonly acts: {
    readonly act: (frame: number, command: string) => void;
    readonly undo: () => void;
    readonly forget: () => void;
  };
  readonly open: (rule: string) => void;
  readonly again: (chance: number) => void;
}

export function RunView({ shown, address, acts, open, again }: RunProps) {
  const { frames, captions } = shown;
  const pace = useMemo(
    () => paceOf(frames, (block) => captions[block]?.length ?? 0),
    [frames, captions],
  );
  const rows = useMemo(() => {
    const every = Math.max(1, Math.floor(frames.length / ROWS_LOOKED_AT));
    return rowsOf(frames.filter((_, at) => at % every === 0).flatMap(({ panels }) => panels));
  }, [frames]);
  const player = usePlayer(frames, pace, address.at);
  useEffect(() => {
    document.title = `${shown.title} · Tidemark`;
  }, [shown.title]);
  const { frame, share } = player;
  const present = frames[frame];
  if (present === undefined)
    return (
      <main>
        <h1>{shown.title}</h1>
        <p class="verdict bad">{shown.verdict}</p>
      </main>
    );
  const isLast = frame === frames.length - 1;
  const [panel] = present.panels;
  return (
    <main data-frame={frame} data-frames={frames.length} data-last={isLast}>
      <h1>{shown.title}</h1>
      <div class="captions">
        {captions.map((caption, at) => (
          <p key={at} class={at === present.block ? 'caption now' : 'caption'}>
            <Cited text={caption} open={open} />
          </p>
        ))}
      </div>
      <p class="visually-hidden" aria-live="polite">
        {captions[present.block]}
      </p>
      <div class="panels">
        {present.panels.map((each, at) => (
          <PanelView
            key={at}
            panel={each}
            rows={rows}
            progress={({ key }) => progressOf(pace, frames, { panel: at, key }, { frame, share })}
          />
        ))}
      </div>
      <Player
        frame={frame}
        frames={frames.length}
        nowMs={shown.hasTime ? present.atMs : null}
        isPlaying={player.isPlaying}
        speed={player.speed}
        toggle={player.toggle}
        goTo={player.goTo}
        part={player.part}
        setSpeed={player.setSpeed}
      />
      {isLast && <p class={`verdict ${shown.isSound ? 'good' : 'bad'}`}>{shown.verdict}</p>}
      {shown.isOpen && panel !== undefined && (
        <Deeds
          panel={panel}
          deeds={address.deeds}
          act={(command) => acts.act(frame + 1, command)}
          undo={acts.undo}
          forget={acts.forget}
        />
      )}
      <Lines lines={linesUpTo(frames, frame)} open={open} />
      <Origin shown={shown} address={address} frame={frame} again={again} />
      <Legend />
    </main>
  );
}

/** Newest first, as many as are shown; the state is in the picture. */
function linesUpTo(frames: readonly Frame[], frame: number): Line[] {
  const lines: Line[] = [];
  for (let at = frame; at >= 0 && lines.length < LINES_SHOWN_MAX; at -= 1)
    lines.push(...(frames[at]?.lines ?? []).filter(({ kind }) => kind !== 'state').toReversed());
  return lines.slice(0, LINES_SHOWN_MAX);
}

function usePlayer(frames: readonly Frame[], pace: Pace, first: number) {
  const [shownMs, setShownMs] = useState(() => pace.startMs[Math.max(0, first - 1)] ?? 0);
  const [isPlaying, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const frame = Math.min(frameAt(pace, shownMs), Math.max(0, frames.length - 1));
  const present = useRef({ frame, pace, frames });
  present.current = { frame, pace, frames };
  useEffect(() => {
    if (!isPlaying) return undefined;
    let handle = 0;
    let beforeMs = performance.now();
    const draw = (nowMs: number): void => {
      const passedMs = (nowMs - beforeMs) * speed;
      beforeMs = nowMs;
      setShownMs((shown) => Math.min(pace.totalMs, shown + passedMs));
      handle = requestAnimationFrame(draw);
    };
    handle = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(handle);
  }, [isPlaying, speed, pace]);
  useEffect(() => {
    if (shownMs >= pace.totalMs) setPlaying(false);
  }, [shownMs, pace]);
  const goTo = useCallback((to: number) => {
    const { startMs } = present.current.pace;
    setPlaying(false);
    setShownMs(startMs[Math.min(Math.max(0, to), startMs.length - 1)] ?? 0);
  }, []);
  const part = useCallback(
    (by: -1 | 1) => {
      const { frame: at, frames: all } = present.current;
      goTo(partOf(all, at, by));
    },
    [goTo],
  );
  const toggle = useCallback(() => {
    const { frame: at, frames: all } = present.current;
    // At the end it begins anew.
    if (at === all.length - 1) setShownMs(0);
    setPlaying((playing) => !playing);
  }, []);
  useKeys({ toggle, part, goTo: (to) => goTo(to(present.current.frame, frames.length)) });
  // Without motion a message stands where it is when something happens.
  const share = isStill() ? 0 : shareAt(pace, frame, shownMs);
  return { frame, share, isPlaying, speed, toggle, goTo, part, setSpeed };
}

function isStill(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/** First frame of the part before or after; the last frame where there is none after. */
function partOf(frames: readonly Frame[], at: number, by: -1 | 1): number {
  const begins = (frame: number): boolean => frames[frame]?.block !== frames[frame - 1]?.block;
  let to = at + by;
  while (to > 0 && to < frames.length - 1 && !begins(to)) to += by;
  return Math.min(Math.max(0, to), frames.length - 1);
}

interface Keys {
  readonly toggle: () => void;
  readonly part: (by: -1 | 1) => void;
  readonly goTo: (to: (frame: number, frames: number) => number) => void;
}

/** Keys of the whole page, but where one has a meaning of its own. */
function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  // Before the first picture: a key that is pressed then counts.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const at = event.target instanceof Element ? event.target : null;
      const isWriting = at?.closest('input, select, textarea, dialog') != null;
      const isButton = at?.closest('button, a, summary') != null;
      if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
      const { toggle, part, goTo } = latest.current;
      const does: Readonly<Record<string, () => void>> = {
        ...(isButton ? {} : { ' ': toggle }),
        ArrowRight: () => goTo((frame) => frame + 1),
        ArrowLeft: () => goTo((frame) => frame - 1),
        n: () => part(1),
        p: () => part(-1),
        Home: () => goTo(() => 0),
        End: () => goTo((_, frames) => frames - 1),
      };
      const run = does[event.key];
      if (run === undefined) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

interface OriginProps {
  readonly shown: Shown;
  readonly address: Address;
  readonly frame: number;
  readonly again: (chance: number) => void;
}

function Origin({ shown, address, frame, again }: OriginProps) {
  const { chance } = address;
  return (
    <p class="origin">
      {shown.file !== '' && (
        <>
          The script is <a href={`../../${shown.file}`}>{shown.file}</a>.{' '}
        </>
      )}
      {shown.isOpen && (
        <>
          Delays by seed {chance}{' '}
          <button type="button" onClick={() => again(chance + 1)}>
            Another seed
          </button>{' '}
          {chance !== CHANCE_OF_TRANSCRIPTS && (
            <button type="button" onClick={() => again(CHANCE_OF_TRANSCRIPTS)}>
              Seed of the transcript
            </button>
          )}{' '}
        </>
      )}
      <a href={hashOf({ ...address, at: frame + 1 })}>Address of this moment</a>
    </p>
  );
}

function Legend() {
  return (
    <ul class="legend" aria-label="what the signs mean">
      <li>
        <span class="swatch water" /> committed: below the high-water mark
      </li>
      <li>
        <span class="swatch e1" /> <span class="swatch e2" /> <span class="swatch e3" /> epochs
      </li>
      <li>
        <span class="swatch synced" /> synced: survives power loss
      </li>
      <li>★ leads, ✓ in sync, … out of sync, ? suspect, × process gone, ≠ cut off, ‖ paused</li>
      <li>▭ batch, ○ position (the acknowledgement), ◆ metadata and requests, drop: the mark</li>
      <li>Keys: Space plays, ← → step, N and P go from part to part, Home and End</li>
    </ul>
  );
}
