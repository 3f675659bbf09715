/** Asks before what cannot be undone, where a person is there to be asked. */
import { createInterface } from 'node:readline/promises';
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';

/**
 * Resolves once `answer` was typed; throws INVALID_ARGUMENT for anything else. Asks nothing where
 * input or standard error is no terminal: scripts say what they mean.
 */
export async function confirm(
  question: string,
  answer: string,
  { stdin, stderr, interrupted }: Surroundings,
): Promise<void> {
  if (stdin.isTTY !== true || stderr.isTTY !== true) return;
  const prompt = createInterface({ input: stdin, output: stderr });
  try {
    // Input that ends is an answer too.
    const ended = new Promise<string>((resolve) => prompt.once('close', () => resolve('')));
    const asked = prompt.question(`${question} Type "${answer}" to go on: `, {
      signal: interrupted,
    });
    if ((await Promise.race([asked, ended])) === answer) return;
  } finally {
    prompt.close();
  }
  throw new CliError('INVALID_ARGUMENT', 'nothing was done: the answer was another one');
}
