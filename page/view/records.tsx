/** The newest records of a partition, and a box to append one, where the page may. */
import type { TargetedSubmitEvent } from 'preact';
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { askTail } from '../calls.ts';
import { copiesOfAppend, copiesOfTail } from '../model/copies.ts';
import { bytesText, counted } from '../model/words.ts';
import type { RecordSeen } from '../snapshot.ts';
import { CopyButton } from './copy.tsx';
import { ToolsContext } from './tools.ts';

/** Records that stay in sight. */
const SHOWN_MAX = 20;
/** Between the end of one look at the tail and the next. */
const INTERVAL_MS = 1_000;

interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

interface Seen {
  readonly records: readonly RecordSeen[];
  readonly next: number | null;
  readonly skipped: number;
  readonly fault: string;
}

const NOTHING: Seen = { records: [], next: null, skipped: 0, fault: '' };

export function Records({ topic, partition }: PartitionName) {
  const tools = useContext(ToolsContext);
  const { read = false, append = false } = tools?.about.allow ?? {};
  const seen = useTail(read ? (tools?.about.visit ?? null) : null, topic, partition);
  if (tools === null || !read) return null;
  const { records, skipped, fault } = seen;
  const first = records[0]?.offset ?? seen.next ?? 0;
  return (
    <div class="records">
      <h3>
        Newest records{' '}
        <CopyButton
          title={`Read ${topic}/${partition} from offset ${first} on`}
          copies={() => copiesOfTail(tools.reached, topic, partition, first)}
        />
      </h3>
      {fault !== '' && <p class="fault">{fault}</p>}
      {fault === '' && records.length === 0 && <p class="hint">None yet.</p>}
      {skipped > 0 && (
        <p class="hint">{`${skipped.toLocaleString('en')} offsets were passed over since: more come than are shown.`}</p>
      )}
      {records.length > 0 && <Table records={records} />}
      {append && <AppendBox topic={topic} partition={partition} />}
    </div>
  );
}

function Table({ records }: { readonly records: readonly RecordSeen[] }) {
  return (
    <div class="scrolled" tabIndex={0} role="region" aria-label="newest records">
      <table>
        <thead>
          <tr>
            <th scope="col">Offset</th>
            <th scope="col">Time</th>
            <th scope="col">Key</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {records.toReversed().map((record) => (
            <tr key={record.offset}>
              <td class="number">{record.offset}</td>
              <td class="number">{new Date(record.timestampMs).toLocaleTimeString('en-GB')}</td>
              <td>{record.key === null ? '' : <bdi>{record.key}</bdi>}</td>
              <td>
                {record.value === null ? (
                  <i>deleted</i>
                ) : (
                  <bdi class="value" title={valueTitle(record)}>
                    {record.value}
                  </bdi>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function valueTitle({ valueBytes, headers }: RecordSeen): string {
  return `${bytesText(valueBytes)}, ${counted(headers, 'header')}`;
}

/** Looks at the tail while it is shown. @param visit null: never */
function useTail(visit: string | null, topic: string, partition: number): Seen {
  const [seen, setSeen] = useState(NOTHING);
  useEffect(() => {
    setSeen(NOTHING);
    if (visit === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    let next: number | null = null;
    const look = async (): Promise<void> => {
      try {
        // A page that nobody looks at asks for nothing.
        if (document.visibilityState === 'visible') {
          const tail = await askTail(visit, topic, partition, next);
          if (isOver) return;
          ({ next } = tail);
          setSeen((before) => ({
            records: [...(tail.skipped > 0 ? [] : before.records), ...tail.records].slice(
              -SHOWN_MAX,
            ),
            next: tail.next,
            skipped: tail.records.length === 0 ? before.skipped : tail.skipped,
            fault: '',
          }));
        }
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        if (!isOver) setSeen((before) => ({ ...before, fault }));
      }
      if (!isOver) timer = setTimeout(() => void look(), INTERVAL_MS);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [visit, topic, partition]);
  return seen;
}

function AppendBox({ topic, partition }: PartitionName) {
  const tools = useContext(ToolsContext);
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  const [isBusy, setBusy] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  if (tools === null) return null;
  const record = { topic, partition, key: key === '' ? null : key, value };
  const append = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const { ok } = await tools.act({ kind: 'append', ...record });
    setBusy(false);
    if (ok) setValue('');
    box.current?.focus();
  };
  return (
    <form class="append" aria-label="append a record" onSubmit={(event) => void append(event)}>
      <label>
        Key
        <input
          value={key}
          placeholder="none"
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => setKey(currentTarget.value)}
        />
      </label>
      <label class="wide">
        Value
        <textarea
          ref={box}
          rows={1}
          value={value}
          spellcheck={false}
          onInput={({ currentTarget }) => setValue(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
      </label>
      <button type="submit" class="main" disabled={isBusy}>
        Append
      </button>
      <CopyButton
        title={`Append to ${topic}/${partition}`}
        copies={() => copiesOfAppend(tools.reached, record)}
      />
    </form>
  );
}
