/** What a person may do to a run: it goes on from there. */
import type { Panel } from '../stage/picture.ts';
import type { Deed } from '../stage/script.ts';

interface DeedsProps {
  readonly panel: Panel;
  readonly deeds: readonly Deed[];
  readonly act: (command: string) => void;
  readonly undo: () => void;
  readonly forget: () => void;
}

const SLOW_MS = 120;

export function Deeds({ panel, deeds, act, undo, forget }: DeedsProps) {
  const names = panel.sent?.length ?? 0;
  return (
    <section class="deeds" aria-label="do something to the cluster">
      <h2>
        What if
        <span class="hint"> the run goes on from here, and stands in the address</span>
        <button type="button" onClick={() => act(`append r${names + 1}`)}>
          Append a record
        </button>
      </h2>
      <div class="of-brokers">
        {panel.brokers.map(({ id, state, isCut, slowMs }) => {
          const isDown = state === 'down';
          const isPaused = state === 'paused';
          return (
            <div key={id} role="group" aria-label={`broker ${id}`}>
              <button type="button" onClick={() => act(`${isDown ? 'start' : 'kill'} ${id}`)}>
                {isDown ? 'Start' : 'Kill'}
              </button>
              <button type="button" disabled={isDown} onClick={() => act(`power ${id}`)}>
                Power
              </button>
              <button type="button" onClick={() => act(`${isCut ? 'heal' : 'cut'} ${id}`)}>
                {isCut ? 'Heal' : 'Cut'}
              </button>
              <button
                type="button"
                disabled={isDown}
                onClick={() => act(`${isPaused ? 'resume' : 'pause'} ${id}`)}
              >
                {isPaused ? 'Resume' : 'Pause'}
              </button>
              <button
                type="button"
                onClick={() => act(`slow ${id} ms=${slowMs > 0 ? 0 : SLOW_MS}`)}
              >
                {slowMs > 0 ? 'Fast' : 'Slow'}
              </button>
            </div>
          );
        })}
      </div>
      {deeds.length > 0 && (
        <p class="done">
          You: {deeds.map(({ frame, command }) => `${command} at ${frame}`).join(', ')}.{' '}
          <button type="button" onClick={undo}>
            Take the last back
          </button>{' '}
          <button type="button" onClick={forget}>
            As it was told
          </button>
        </p>
      )}
    </section>
  );
}
