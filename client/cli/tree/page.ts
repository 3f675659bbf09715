/** `tidemark page`. */
import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LogClusterName, PageOptions } from '../commands/page.ts';
import type { Surroundings } from '../output.ts';
import { PORT_MAX } from '../../../base/limits.ts';
import { parseCount } from '../units.ts';
import { common, examples } from './shared.ts';

/** Where `npm start` shows the page, too. */
const PORT_DEFAULT = 9_640;
/** Of a host, as RFC 1123 has it. */
const HOST = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
/** Names of Kubernetes. */
const LOG_CLUSTER = /^(?<namespace>[a-z0-9-]{1,63})[/](?<name>[a-z0-9.-]{1,63})$/;

const ABOUT = `
It shows metadata and changes nothing. --allow read shows the newest records of a partition too, --allow append has a box to
append one. It has the rights of the token or the certificate that it was started with, and whoever reaches its port has them
through it. With --ask-token each user shows a token of their own, which needs TLS to the brokers; between browser and page it
travels as it is, so let something with TLS stand before it, or come by kubectl port-forward.`;

/** Adds `page`. */
export function addPage(program: Command, around: Surroundings): void {
  const page = common(program.command('page'))
    .description(
      'a page that shows the cluster as it is, on this machine alone unless it is told otherwise, until Ctrl-C: brokers, partitions, what changed',
    )
    .option(
      '--port <port>',
      'port to listen on; 0: any that is free',
      parseCount(0, PORT_MAX),
      PORT_DEFAULT,
    )
    .option(
      '--listen <address>',
      'address of this machine to listen on; *: all of them',
      parseAddress,
      '127.0.0.1',
    )
    .option(
      '--host <name>',
      'another name by which browsers reach it, beside those of this machine; repeatable',
      parseHost,
    )
    .addOption(
      new Option('--allow <what>', 'what it may do besides looking; repeatable')
        .choices(['read', 'append'])
        .argParser(parseAllowed),
    )
    .option('--ask-token', 'asks each user for a token, and has its rights')
    .option(
      '--log-cluster <namespace/name>',
      'in a pod: shows the conditions of this LogCluster too, which the account of the pod must be allowed to get',
      parseLogCluster,
    )
    .addHelpText('after', ABOUT);
  examples(
    page,
    'page',
    'page --server orders-0.orders:9641 --port 8080',
    'page --allow append',
    "page --tls-ca ca.crt --ask-token --listen '*' --host tidemark.example",
  ).action(async (options: PageOptions) =>
    (await import('../commands/page.ts')).page(options, around),
  );
}

function parseAddress(text: string): string {
  if (text !== '*' && isIP(text) === 0)
    throw new InvalidArgumentError('must be an IP address or *.');
  return text;
}

function parseHost(text: string, before: readonly string[] = []): readonly string[] {
  const name = text.toLowerCase();
  if (!HOST.test(name) || name.length > 253)
    throw new InvalidArgumentError('must be the name of a host, without port.');
  return [...before, name];
}

function parseAllowed(text: string, before: readonly string[] = []): readonly string[] {
  if (text !== 'read' && text !== 'append')
    throw new InvalidArgumentError('must be read or append.');
  return [...before, text];
}

function parseLogCluster(text: string): LogClusterName {
  const { namespace, name } = LOG_CLUSTER.exec(text)?.groups ?? {};
  if (namespace === undefined || name === undefined)
    throw new InvalidArgumentError('must be namespace/name.');
  return { namespace, name };
}
