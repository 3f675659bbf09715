/** How an action of the page is done elsewhere: a dialog to copy from, and the button that opens it. */
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import type { Copies } from '../model/copies.ts';
import { type Copied, ToolsContext } from './tools.ts';

const LANGUAGES = [
  { key: 'command', name: 'Command' },
  { key: 'typescript', name: 'TypeScript' },
  { key: 'grpcurl', name: 'grpcurl' },
] as const satisfies readonly { readonly key: keyof Copies; readonly name: string }[];

type Language = (typeof LANGUAGES)[number]['key'];

/** Opens the dialog. `copies` is made when it is pressed. */
export function CopyButton({
  title,
  copies,
}: {
  readonly title: string;
  readonly copies: () => Copies;
}) {
  const tools = useContext(ToolsContext);
  if (tools === null) return null;
  return (
    <button
      type="button"
      class="copy"
      aria-label={`copy as command: ${title}`}
      title="Copy as command, TypeScript, grpcurl"
      onClick={() => tools.show({ title, copies: copies() })}
    >
      <span aria-hidden="true">&lt;/&gt;</span>
    </button>
  );
}

interface DialogProps {
  /** Null: closed. */
  readonly copied: Copied | null;
  readonly close: () => void;
}

export function CopyDialog({ copied, close }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [language, setLanguage] = useState<Language>('command');
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (copied !== null) dialog.current?.showModal();
    else dialog.current?.close();
    setCopied(false);
  }, [copied]);
  const text = copied?.copies[language] ?? '';
  const remark = copied?.copies.remark ?? '';
  return (
    <dialog
      ref={dialog}
      class="copies"
      aria-label="copy as command"
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <h2>{copied?.title}</h2>
      <div class="tabs" role="group" aria-label="language">
        {LANGUAGES.map(({ key, name }) => (
          <button
            key={key}
            type="button"
            aria-pressed={key === language}
            onClick={() => {
              setLanguage(key);
              setCopied(false);
            }}
          >
            {name}
          </button>
        ))}
      </div>
      {text === '' ? <p class="hint">{remark}</p> : <pre tabIndex={0}>{text}</pre>}
      {text !== '' && remark !== '' && language !== 'grpcurl' && <p class="hint">{remark}</p>}
      <div class="ends">
        <button
          type="button"
          class="main"
          disabled={text === ''}
          onClick={() => {
            void navigator.clipboard.writeText(text).then(() => setCopied(true));
          }}
        >
          {isCopied ? 'Copied' : 'Copy'}
        </button>
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
    </dialog>
  );
}
