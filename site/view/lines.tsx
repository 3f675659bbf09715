/** What happened up to here, the newest first. */
import type { Line } from '../stage/picture.ts';
import { RuleButton } from './cited.tsx';

const SIGNS: Readonly<Record<Line['kind'], string>> = {
  decision: '◆',
  fault: '!',
  answer: '→',
  change: '▲',
  step: '·',
  state: '·',
};

const WORDS: Readonly<Record<Line['kind'], string>> = {
  decision: 'decided',
  fault: 'event',
  answer: 'answered',
  change: 'log',
  step: 'step',
  state: 'state',
};

interface LinesProps {
  readonly lines: readonly Line[];
  readonly open: (rule: string) => void;
}

export function Lines({ lines, open }: LinesProps) {
  const hasTime = lines.some(({ atMs }) => atMs !== null);
  return (
    <section class={hasTime ? 'lines timed' : 'lines'}>
      <h2>What happened</h2>
      {lines.length === 0 && <p class="hint">Nothing yet: press Play, or step.</p>}
      <ol aria-live="polite" aria-relevant="additions">
        {lines.map(({ kind, atMs, text, rule }, at) => (
          <li key={lines.length - at} class={kind}>
            <span class="kind" title={WORDS[kind]} aria-hidden="true">
              {SIGNS[kind]}
            </span>
            {hasTime && <span class="time">{atMs}</span>}
            <span class="text">
              {text}
              {rule !== '' && ' '}
              {rule !== '' && (
                <RuleButton rule={rule} text={rule.replaceAll('-', ' ')} open={open} />
              )}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
