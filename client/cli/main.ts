/** The `tidemark` command: hands the process's own streams and signals to the program, and ends with its exit code. */
import { EXIT_INTERRUPTED } from './exit.ts';
import { run } from './program.ts';

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
process.exitCode = await run(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  env,
  interrupted: interrupt.signal,
});
// Standard input may be open still, and would keep the process waiting for lines that nobody wants.
stdin.unref?.();
