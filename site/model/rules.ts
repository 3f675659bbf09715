/** The rules as docs/rules.md has them, and where a text cites one. Pure. */

export interface Rule {
  /** As a decision names it: `rule 12`, `P7`, `sync-set-and-q`. */
  readonly name: string;
  readonly title: string;
  /** Of its heading in docs/rules.md. */
  readonly anchor: string;
  /** Paragraphs and points, in Markdown. */
  readonly text: readonly string[];
}

export type Rules = ReadonlyMap<string, Rule>;

/** @param markdown docs/rules.md */
export function rulesOf(markdown: string): Rules {
  const rules = new Map<string, Rule>();
  for (const part of markdown.split(/^#{2,3} /m).slice(1)) {
    const [title = '', ...lines] = part.split('\n');
    const anchor = slugOf(title);
    const numbered = /^(?:Rule (\d+)|(P\d+)):/.exec(title);
    const name =
      numbered?.[1] === undefined ? (numbered?.[2] ?? anchor) : `rule ${Number(numbered[1])}`;
    const text = lines.filter((line) => line.trim() !== '');
    rules.set(name, { name, title, anchor, text });
  }
  return rules;
}

/** As GitHub makes one of a heading. */
function slugOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
}

export interface Piece {
  readonly text: string;
  /** Of the rule that it cites; empty: none. */
  readonly rule: string;
}

const CITATION = /docs\/rules\.md#([a-z0-9-]+)|\b(P\d+)\b|\brules? (\d+(?:(?:, | and | to )\d+)*)/g;

/** A text, cut where it cites rules. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  const plain = (to: number): void => {
    if (to > from) pieces.push({ text: text.slice(from, to), rule: '' });
    from = to;
  };
  for (const match of text.matchAll(CITATION)) {
    const [all, anchor, point, numbers] = match;
    plain(match.index);
    if (anchor !== undefined) pieces.push({ text: anchor.replaceAll('-', ' '), rule: anchor });
    else if (point !== undefined) pieces.push({ text: point, rule: point });
    else pieces.push(...numbered(all, numbers ?? ''));
    from = match.index + all.length;
  }
  plain(text.length);
  return pieces;
}

/** `rules 10, 12 and 13`: a piece for each number, the first with its word. */
function numbered(all: string, numbers: string): Piece[] {
  const word = all.slice(0, all.length - numbers.length);
  return numbers.split(/(\d+)/).flatMap((part, at) => {
    if (part === '') return [];
    if (!/\d/.test(part)) return [{ text: part, rule: '' }];
    return [{ text: `${at === 1 ? word : ''}${part}`, rule: `rule ${part}` }];
  });
}
