/** Attacks in a thread of their own, so that whoever watches the broker is not slowed by them. */
import { parentPort, workerData } from 'node:worker_threads';
import { LogServiceService, ReadRequest } from '../../../proto/gen/tidemark/v1/log.ts';
import { Attacker, endlessHeaders, moreHeaders } from './attacks.ts';

const MIB = 1024 * 1024;
const { append, produce, read } = LogServiceService;

/** What is done to a broker, by name. */
const ATTACKS: Readonly<Record<string, (attacker: Attacker, topic: string) => Promise<void>>> = {
  'unfinished messages over one connection': (attacker) =>
    attacker.unfinished(append.path, { connections: 1, streams: 60, bytes: 600 * MIB }),
  'unfinished messages over many connections': (attacker) =>
    attacker.unfinished(append.path, { connections: 60, streams: 10, bytes: 600 * MIB }),
  'idle streams': (attacker) =>
    attacker.idleStreams(produce.path, { connections: 20, streams: 1_000 }),
  'readers that do not read': (attacker, topic) => {
    const cursors = [{ partition: 0, offset: 0, leaderEpoch: 0 }];
    const request = ReadRequest.encode({
      ...{ topic, partitions: [], start: undefined, cursors, maxRecords: 0, follow: true },
    }).finish();
    return attacker.idleStreams(read.path, { connections: 20, streams: 100 }, request);
  },
  'connections that say nothing': (attacker) => attacker.connections(3_000),
  'headers that never end': async (attacker) => {
    await attacker.connections(500, endlessHeaders());
    for (let more = 0; more < 20; more += 1) {
      attacker.say(moreHeaders(8_000));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  'large headers': (attacker) => {
    const names = Array.from({ length: 100 }, (_, at) => [`x-${at}`, 'a'.repeat(600)]);
    const headers = Object.fromEntries(names) as Record<string, string>;
    return attacker.storm(append.path, 3_000, false, headers);
  },
  'streams as fast as can be': (attacker) => attacker.storm(append.path, 20_000, false),
  'streams that are reset at once': (attacker) => attacker.storm(append.path, 20_000, true),
};

const { name, port, topic } = workerData as {
  readonly name: string;
  readonly port: number;
  readonly topic: string;
};
const attacker = new Attacker(port);
await ATTACKS[name]?.(attacker, topic);
parentPort?.postMessage({ closed: attacker.closed, refused: attacker.refused });
parentPort?.once('message', () => {
  attacker.stop();
  parentPort?.close();
});
