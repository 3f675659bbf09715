/**
 * `node broker/verify.ts FOLDER`: what a data directory holds, for `tidemark log verify`. A program
 * of its own, since the command is of the client, which must not hold the broker. Writes one JSON
 * object a line: `partition` for each as it was read, then `directory`, or `refused`. Exit codes
 * are those of the command: 0 clean, 1 faults, 2 it could not be looked at.
 */
import { resolve } from 'node:path';
import { BrokerError } from '../base/errors.ts';
import { checkDirectory } from './storage/verify/directory-check.ts';

const EXIT_CLEAN = 0;
const EXIT_FAULTS = 1;
const EXIT_UNREAD = 2;

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const [folder] = args;
  if (folder === undefined || folder === '' || args.length > 1) {
    write({ kind: 'refused', code: 'INVALID_ARGUMENT', message: 'name one folder' });
    return EXIT_UNREAD;
  }
  let faults = 0;
  try {
    const { kind, findings, ...directory } = await checkDirectory({
      path: resolve(folder),
      onPartition: ({ findings: found, ...partition }) => {
        faults += found.faults;
        const { faults: own, notes, list } = found;
        write({ kind: 'partition', ...partition, faults: own, notes, findings: list });
      },
    });
    faults += findings.faults;
    const { faults: own, notes, list } = findings;
    write({ kind: 'directory', of: kind, ...directory, faults: own, notes, findings: list });
    return faults === 0 ? EXIT_CLEAN : EXIT_FAULTS;
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    write({ kind: 'refused', code: error.code, message: error.message });
    return EXIT_UNREAD;
  }
}

process.exitCode = await main(process.argv.slice(2));
