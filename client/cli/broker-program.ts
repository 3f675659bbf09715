/**
 * Where the broker's programs lie: two folders above, in a checkout, among what was built of it and
 * in the image. The package holds none of them, and its command says so.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The path of `broker/<name>`, or null where this installation holds no broker. */
export function brokerProgram(name: string): string | null {
  const ending = /\.\w+$/.exec(import.meta.url)?.[0] ?? '';
  const path = fileURLToPath(new URL(`../../broker/${name}${ending}`, import.meta.url));
  return existsSync(path) ? path : null;
}
