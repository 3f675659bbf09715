/** One rule of docs/rules.md, over the page. */
import { useEffect, useRef } from 'preact/hooks';
import type { Rule } from '../model/rules.ts';

/** From build/site to the file. */
const RULES = '../../docs/rules.md';

export function RuleDialog({
  rule,
  close,
}: {
  readonly rule: Rule | null;
  readonly close: () => void;
}) {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (rule !== null) place.current?.showModal();
  }, [rule]);
  if (rule === null) return null;
  return (
    <dialog
      ref={place}
      class="rule"
      aria-labelledby="rule-title"
      onClose={close}
      onClick={(event) => {
        if (event.target === place.current) place.current?.close();
      }}
    >
      <div class="inside">
        <h2 id="rule-title">{rule.title}</h2>
        {rule.text.map((line, at) =>
          line.startsWith('- ') ? (
            <p key={at} class="point">
              <Marked text={line.slice(2)} />
            </p>
          ) : (
            <p key={at}>
              <Marked text={line} />
            </p>
          ),
        )}
        <footer>
          <a href={`${RULES}#${rule.anchor}`}>docs/rules.md</a>
          <button type="button" onClick={() => place.current?.close()}>
            Close
          </button>
        </footer>
      </div>
    </dialog>
  );
}

/** Code, bold and slanted words, and the words of links. */
function Marked({ text }: { readonly text: string }) {
  const parts = text
    .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/);
  return (
    <>
      {parts.map((part, at) => {
        if (part.startsWith('`')) return <code key={at}>{part.slice(1, -1)}</code>;
        if (part.startsWith('**')) return <strong key={at}>{part.slice(2, -2)}</strong>;
        return part.startsWith('*') ? <em key={at}>{part.slice(1, -1)}</em> : part;
      })}
    </>
  );
}
