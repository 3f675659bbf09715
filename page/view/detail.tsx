/** The replicas of the chosen partition as bars against its high-water mark. */
import { useContext } from 'preact/hooks';
import type { Bars } from '../model/bars.ts';
import { SIGNS } from '../model/tiles.ts';
import { copiesOfWhy } from '../model/copies.ts';
import type { PartitionSeen } from '../snapshot.ts';
import { CopyButton } from './copy.tsx';
import { className } from './racks.tsx';
import { Records } from './records.tsx';
import { ToolsContext } from './tools.ts';

interface DetailProps {
  readonly partition: PartitionSeen;
  readonly bars: Bars;
  readonly close: () => void;
}

export function Detail({ partition, bars, close }: DetailProps) {
  const { topic, partition: number, leaderEpoch, syncSet, minInSync, faults } = partition;
  const tools = useContext(ToolsContext);
  const name = `${topic}/${number}`;
  const committed = bars.committed === null ? 'unknown' : String(bars.committed);
  return (
    <section class="detail" aria-label={`partition ${name}`}>
      <h2>
        {name}
        <button type="button" class="close" onClick={close} aria-label={`close ${name}`}>
          ×
        </button>
      </h2>
      <p>
        Leader epoch {leaderEpoch}; in sync {syncSet.join(', ')}, at least {minInSync} needed;
        high-water mark {committed}
      </p>
      {faults.length > 0 && <p class="fault">{faults.join('; ')}</p>}
      <ol class="bars">
        {bars.bars.map(({ brokerId, state, range, text }) => (
          <li key={brokerId}>
            <span class="who">
              <span aria-hidden="true">{SIGNS[state]}</span> broker {brokerId}, {state}
            </span>
            <span class="track" aria-hidden="true">
              {range !== null && (
                <span
                  class={`bar ${className(state)}`}
                  style={{ left: percent(range.from), width: percent(range.to - range.from) }}
                />
              )}
              {bars.mark !== null && <span class="mark" style={{ left: percent(bars.mark) }} />}
            </span>
            <span class="range">{text}</span>
          </li>
        ))}
      </ol>
      <p class="hint">
        Bars show the newest records; the line is the high-water mark. Why it is led so:{' '}
        <code>npx tidemark why {name}</code>{' '}
        {tools !== null && (
          <CopyButton
            title={`Why ${name} is led as it is`}
            copies={() => copiesOfWhy(tools.reached, topic, number)}
          />
        )}
      </p>
      <Records topic={topic} partition={number} />
    </section>
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)}%`;
}
