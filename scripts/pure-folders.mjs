/**
 * The one list of pure folders: `include` of tsconfig.pure.json, which the compiler can read from
 * nowhere else. Lint rules, import rules and the tidy test take it from here.
 */
import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../tsconfig.pure.json', import.meta.url), 'utf8');

/** Paths from the project's root, without a slash at the end. */
export const PURE_FOLDERS = JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, '')).include;
