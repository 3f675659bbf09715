/**
 * Pictures of real runs for README and documentation: `npm run record -- page killed-leader
 * slow-follower`. Each starts three brokers of its own; `draw` draws again what was recorded.
 */
import { drawKilledLeader, killedLeader } from './killed-leader.ts';
import { pictures } from './picture.ts';
import { drawSlowFollower, slowFollower } from './slow-follower.ts';

/** Draws again what was recorded. */
function draw(): void {
  drawKilledLeader();
  drawSlowFollower();
}

const RECORDS = {
  page: pictures,
  'killed-leader': killedLeader,
  'slow-follower': slowFollower,
  draw,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(RECORDS, name));
if (unknown.length > 0 || asked.length === 0)
  throw new Error(`name some of ${Object.keys(RECORDS).join(', ')}, not ${unknown.join(', ')}`);
for (const [name, make] of Object.entries(RECORDS)) if (asked.includes(name)) await make();
