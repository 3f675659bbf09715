/** Prints the table of docs/security.md. */
import { attemptsTable } from './table.ts';

console.log(attemptsTable());
