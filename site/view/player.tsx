/** Buttons that move through a run. */
interface PlayerProps {
  readonly frame: number;
  readonly frames: number;
  /** Null: the run has no time. */
  readonly nowMs: number | null;
  readonly isPlaying: boolean;
  readonly speed: number;
  readonly toggle: () => void;
  readonly goTo: (frame: number) => void;
  /** To the beginning of the part before or after. */
  readonly part: (by: -1 | 1) => void;
  readonly setSpeed: (speed: number) => void;
}

const SPEEDS = [0.5, 1, 2, 4, 8];

export function Player(props: PlayerProps) {
  const { frame, frames, nowMs, isPlaying, speed, toggle, goTo, part, setSpeed } = props;
  return (
    <div class="player" role="group" aria-label="play the run">
      <div class="buttons">
        <button
          type="button"
          onClick={() => part(-1)}
          title="part before (P)"
          aria-label="part before"
        >
          «
        </button>
        <button type="button" onClick={() => goTo(frame - 1)} title="back (←)" aria-label="back">
          ‹
        </button>
        <button type="button" class="play" onClick={toggle} title="play or pause (Space)">
          {isPlaying ? '❚❚ Pause' : '▶ Play'}
        </button>
        <button type="button" onClick={() => goTo(frame + 1)} title="step (→)" aria-label="step">
          ›
        </button>
        <button type="button" onClick={() => part(1)} title="next part (N)" aria-label="next part">
          »
        </button>
      </div>
      <input
        type="range"
        min={0}
        max={Math.max(0, frames - 1)}
        value={frame}
        aria-label="place in the run"
        aria-valuetext={`step ${frame + 1} of ${frames}`}
        onInput={(event) => goTo(Number(event.currentTarget.value))}
      />
      <span class="place">
        {frame + 1}/{frames}
        {nowMs !== null && ` · ${nowMs} ms`}
      </span>
      <label class="speed">
        <span class="visually-hidden">speed</span>
        <select value={speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
          {SPEEDS.map((each) => (
            <option key={each} value={each}>
              {each}×
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
