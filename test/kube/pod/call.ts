/**
 * Runs in a pod of the image: `call METHOD ADDRESS,... JSON` makes one call of the Admin service to
 * each of these brokers and prints the answers as a JSON array.
 */
import { AdminServiceService } from '../../../proto/gen/tidemark/v1/admin.ts';
import { callAt } from '../../cluster/harness/direct.ts';

const DEADLINE_MS = 10_000;

const [name = '', addresses = '', request = '{}'] = process.argv.slice(2);
const found = Object.entries(AdminServiceService).find(([method]) => method === name);
if (found === undefined) throw new Error(`the Admin service has no method "${name}"`);
const method = found[1] as Parameters<typeof callAt<unknown, unknown>>[1];
const answers = addresses
  .split(',')
  .map((address) => callAt<unknown, unknown>(address, method, JSON.parse(request), DEADLINE_MS));
console.log(JSON.stringify(await Promise.all(answers)));
