/** What drawings share: the colours of the page, and text that stays text. Pure. */

/** As `page/main.css` has them, for both schemes. */
export const STYLE = `
svg{--back:#f4f6f8;--card:#fff;--text:#16212a;--quiet:#566570;--line:#dfe5ea;--accent:#17698a;--on:#fff;--wash:#e5eff3;--good:#1c6b3f;--good-back:#e6f3eb;--warn:#7b5400;--warn-back:#fbf1d9;--bad:#a5262a;--bad-back:#fbe9e7}
@media (prefers-color-scheme:dark){svg{--back:#0f1519;--card:#182026;--text:#e6ebee;--quiet:#9aa9b3;--line:#2b363d;--accent:#63bddd;--on:#0c1418;--wash:#24363e;--good:#8ad5a8;--good-back:#15291d;--warn:#eec66d;--warn-back:#2f2711;--bad:#ff9c95;--bad-back:#381b1b}}
text{font:12px system-ui,sans-serif;fill:var(--text)}
.quiet{fill:var(--quiet)}
.end{text-anchor:end}
.middle{text-anchor:middle}`;

/** Text inside an element. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** A number as short as a drawing needs it. */
export function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A line through points. */
export function path(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${short(x)} ${short(y)}`).join('');
}
