/** A text whose citations open the rule. */
import { piecesOf } from '../model/rules.ts';

interface CitedProps {
  readonly text: string;
  readonly open: (rule: string) => void;
}

export function Cited({ text, open }: CitedProps) {
  return (
    <>
      {piecesOf(text).map((piece, at) =>
        piece.rule === '' ? (
          piece.text
        ) : (
          <RuleButton key={at} rule={piece.rule} text={piece.text} open={open} />
        ),
      )}
    </>
  );
}

export function RuleButton({
  rule,
  text,
  open,
}: {
  readonly rule: string;
  readonly text: string;
  readonly open: (rule: string) => void;
}) {
  return (
    <button type="button" class="cite" aria-haspopup="dialog" onClick={() => open(rule)}>
      {text}
    </button>
  );
}
