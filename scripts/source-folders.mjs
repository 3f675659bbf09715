/**
 * The one list of folders that hold sources: `include` of tsconfig.json. Checks and tests that look
 * at sources take it from here.
 */
import { readFileSync } from 'node:fs';

const { include } = JSON.parse(readFileSync(new URL('../tsconfig.json', import.meta.url), 'utf8'));

/** Paths from the project's root, without a slash at the end. */
export const SOURCE_FOLDERS = include.filter((name) => !name.includes('.'));
