/**
 * The TypeScript of the documents, as a reader would copy it. A block that is no program of its own
 * says so after its language: three backquotes, `ts part`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './child.ts';

export interface CodeBlock {
  /** Document and line of its first line. */
  readonly place: string;
  /** A file name for it. */
  readonly name: string;
  readonly code: string;
}

const FENCE = /^```ts[^\S\n]*(\S*)[^\n]*\n([\s\S]*?)^```$/gm;

/** Every whole program in README.md, the package's README and docs, in order. */
export function programsInDocuments(): CodeBlock[] {
  const documents = readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => `docs/${name}`);
  return ['README.md', 'client/README.md', ...documents].flatMap((document) => {
    const text = readFileSync(join(ROOT, document), 'utf8');
    return [...text.matchAll(FENCE)]
      .filter(([, kind]) => kind !== 'part')
      .map(({ index, 2: code = '' }) => {
        const line = text.slice(0, index).split('\n').length + 1;
        const name = `${document.replaceAll(/[/.]/g, '-')}-${line}`;
        return { place: `${document}:${line}`, name, code };
      });
  });
}
