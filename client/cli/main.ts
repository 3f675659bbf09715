#!/usr/bin/env node
/**
 * The `tidemark` command: hands the process's own streams and signals to the program, and ends with
 * its exit code.
 */
import { EXIT_INTERRUPTED } from './exit.ts';
import { version } from './version.ts';

const interrupt = new AbortController();

process.on('SIGINT', () => {
  // The first one ends in order; whoever presses again does not want to wait.
  if (interrupt.signal.aborted) process.exit(EXIT_INTERRUPTED);
  interrupt.abort();
});
process.on('SIGTERM', () => interrupt.abort());

// The reader of our output went away (`tidemark read ... | head`): it has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { stdin, stdout, stderr, env } = process;
const args = process.argv.slice(2);
if (args.length === 1 && /^(-V|--version)$/.test(args[0]!)) {
  // Asked by scripts at every start: answered without loading anything else.
  stdout.write(`${version()}\n`);
} else {
  const { run } = await import('./program.ts');
  process.exitCode = await run(args, { stdin, stdout, stderr, env, interrupted: interrupt.signal });
}
// Standard input may be open still, and would keep the process waiting for lines that nobody wants.
stdin.unref?.();
