/** Loss reports, moves, and what changed. */
import type { Mark } from '../model/history.ts';
import { moveText } from '../model/words.ts';
import type { MoveSeen } from '../snapshot.ts';

/** Changes that are shown; the plots mark more. */
const CHANGES_SHOWN_MAX = 12;

export function Losses({ losses }: { readonly losses: readonly string[] }) {
  if (losses.length === 0) return null;
  return (
    <section class="losses">
      <h2>Loss reports</h2>
      <ul>
        {losses.map((loss) => (
          <li key={loss}>{loss}</li>
        ))}
      </ul>
    </section>
  );
}

export function Moves({ moves }: { readonly moves: readonly MoveSeen[] }) {
  if (moves.length === 0) return null;
  return (
    <section class="moves">
      <h2>Moving</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col">Replicas</th>
            <th scope="col">Left</th>
          </tr>
        </thead>
        <tbody>
          {moves.map((move) => (
            <tr key={`${move.topic}/${move.partition}`}>
              <td>{`${move.topic}/${move.partition}`}</td>
              <td>
                {[
                  ...move.adding.map((id) => `+${id}`),
                  ...move.removing.map((id) => `−${id}`),
                ].join(' ')}
              </td>
              <td>{moveText(move)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function Changes({ marks }: { readonly marks: readonly Mark[] }) {
  const shown = marks.slice(-CHANGES_SHOWN_MAX).toReversed();
  return (
    <section class="changes">
      <h2>What changed</h2>
      {shown.length === 0 && <p class="hint">Nothing since this page was opened.</p>}
      <ol aria-live="polite" aria-label="what changed, newest first">
        {shown.map(({ atMs, kind, text }, at) => (
          <li key={`${atMs} ${text} ${at}`}>
            <time>{new Date(atMs).toLocaleTimeString('en-GB')}</time>
            <span class={`kind ${kind.replace(' ', '-')}`}>{kind}</span>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
