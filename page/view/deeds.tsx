/** Buttons for the process of a broker, where the page is that of `npm start`. */
import { useContext, useState } from 'preact/hooks';
import { copiesOfDeed } from '../model/copies.ts';
import type { ProcessDeed, ProcessSeen } from '../snapshot.ts';
import { CopyButton } from './copy.tsx';
import { ToolsContext } from './tools.ts';

const WORDS: Readonly<Record<ProcessDeed, string>> = {
  kill: 'Kill',
  pause: 'Pause',
  stop: 'Stop',
  start: 'Start',
};

const DEEDS: Readonly<Record<ProcessSeen['state'], readonly ProcessDeed[]>> = {
  running: ['kill', 'pause', 'stop'],
  paused: ['start', 'kill', 'stop'],
  stopping: ['kill'],
  down: ['start'],
};

export function Deeds({ process }: { readonly process: ProcessSeen }) {
  const tools = useContext(ToolsContext);
  const [isBusy, setBusy] = useState(false);
  if (tools === null || !tools.about.allow.processes) return null;
  const { brokerId, state } = process;
  const word = (deed: ProcessDeed): string =>
    deed === 'start' && state === 'paused' ? 'Continue' : WORDS[deed];
  return (
    <div class="deeds" role="group" aria-label={`process of broker ${brokerId}: ${state}`}>
      {DEEDS[state].map((deed) => (
        <span key={deed} class="pair">
          <button
            type="button"
            class={deed}
            disabled={isBusy}
            aria-label={`${word(deed)} broker ${brokerId}`}
            onClick={() => {
              setBusy(true);
              void tools.act({ kind: 'process', brokerId, deed }).finally(() => setBusy(false));
            }}
          >
            {word(deed)}
          </button>
          <CopyButton
            title={`${word(deed)} broker ${brokerId}`}
            copies={() => copiesOfDeed(tools.reached, process, deed)}
          />
        </span>
      ))}
    </div>
  );
}
