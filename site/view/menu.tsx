/** Which run is shown. */
import { useState } from 'preact/hooks';
import type { Story } from '../model/stories.ts';

interface MenuProps {
  readonly stories: readonly Story[];
  /** What is shown, as the address has it. */
  readonly chosen: string;
}

const GROUPS = [
  ['replication', 'Transcripts of the partition core'],
  ['raft', 'Transcripts of raft'],
] as const;

export function Menu({ stories, chosen }: MenuProps) {
  const [isWide] = useState(() => matchMedia('(min-width: 861px)').matches);
  return (
    <nav aria-label="runs">
      <details class="all" open={isWide}>
        <summary>Stories, transcripts, seeds</summary>
        <ol class="stories">
          {stories
            .filter(({ kind }) => kind === 'stories')
            .map((story) => (
              <Item key={story.name} story={story} chosen={chosen} />
            ))}
        </ol>
        {GROUPS.map(([kind, title]) => (
          <details key={kind} open={chosen.startsWith(`${kind}/`)}>
            <summary>{title}</summary>
            <ul>
              {stories
                .filter((story) => story.kind === kind)
                .map((story) => (
                  <Item key={story.name} story={story} chosen={chosen} />
                ))}
            </ul>
          </details>
        ))}
        <details open={chosen.startsWith('seed ')}>
          <summary>Seeds of the simulators</summary>
          <SeedForm />
        </details>
      </details>
    </nav>
  );
}

function Item({ story, chosen }: { readonly story: Story; readonly chosen: string }) {
  const { name, title } = story;
  return (
    <li>
      <a href={`#story=${name}`} aria-current={name === chosen ? 'page' : undefined}>
        {title}
      </a>
    </li>
  );
}

function SeedForm() {
  const go = (event: Event & { readonly currentTarget: HTMLFormElement }): void => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const world = fields.get('world') === 'metadata' ? 'metadata' : 'replication';
    location.hash = `#seed=${world}:${Number(fields.get('number'))}`;
  };
  return (
    <form class="seed" onSubmit={go}>
      <label>
        World
        <select name="world">
          <option value="replication">replication</option>
          <option value="metadata">metadata</option>
        </select>
      </label>
      <label>
        Seed
        <input name="number" type="number" min={1} max={4294967295} value={7} required />
      </label>
      <button type="submit">Run</button>
      <p class="hint">The whole world of the simulator runs in this page, checkers included.</p>
    </form>
  );
}
