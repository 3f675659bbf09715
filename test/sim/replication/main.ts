/**
 * `node test/sim/replication/main.ts --seed 7` replays one seed with its trace;
 * `--from 1 --count 1000 [--bail]` runs many. `--racers 3`: so many append only where nothing was
 * appended since they looked. `--trims`: somebody trims the log. `--compaction`: the leader has it
 * compacted.
 */
import { parseArgs } from 'node:util';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    bail: { type: 'boolean', default: false },
    racers: { type: 'string', default: '0' },
    trims: { type: 'boolean', default: false },
    compaction: { type: 'boolean', default: false },
  },
});

const { trims, compaction } = values;
const extras = { racers: Number(values.racers), trims, compaction };

function replay(seed: number): void {
  try {
    const result = new World(seed, (line) => process.stdout.write(`${line}\n`), extras).run();
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    // Not thrown on: the process would end before the trace is out.
    process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    const words = `${values.trims ? ':trims' : ''}${values.racers === '0' ? '' : `:racers${values.racers}`}`;
    process.stdout.write(`To look at it: npm run site, then #seed=replication:${seed}${words}\n`);
    process.exitCode = 1;
  }
}

function runMany(from: number, count: number): void {
  const failures: string[] = [];
  const totals = {
    commits: 0,
    acknowledged: 0,
    trimmed: 0,
    compacted: 0,
    tombstonesBelow: 0,
    resets: 0,
    elections: 0,
    uncleanElections: 0,
    lostBatches: 0,
    crashes: 0,
  };
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      const result = new World(seed, undefined, extras).run();
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key];
    } catch (error) {
      failures.push(
        `seed ${seed}: ${error instanceof Error ? `${error.name} ${error.message}` : String(error)}`,
      );
      if (values.bail) break;
    }
  }
  process.stdout.write(
    `${failures.map((line) => `${line}\n`).join('')}${count} seeds, ${failures.length} failed, ${JSON.stringify(totals)}\n`,
  );
  if (failures.length > 0) process.exitCode = 1;
}

if (values.seed === undefined) runMany(Number(values.from), Number(values.count));
else replay(Number(values.seed));
