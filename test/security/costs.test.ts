/**
 * What a client may cost a broker: each bound is met, said so, and kept; one that asks for little
 * goes on; and whatever was held is counted out again.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import { LogServiceService, ReadRequest } from '../../proto/gen/tidemark/v1/log.ts';
import { Attacker, framed } from '../cluster/harness/attacks.ts';
import { waitFor, when } from '../cluster/harness/wait.ts';
import { TOPIC, VictimBroker } from './broker.ts';

const MIB = 1024 * 1024;
const { append, produce, read } = LogServiceService;
/** What is left when only the connections of the test's own client stand. */
const REST_BYTES = 256 * 1024;

describe('what a client may cost', () => {
  let victim: VictimBroker;
  const attackers: Attacker[] = [];
  const attacker = (): Attacker => {
    const made = new Attacker(victim.port);
    attackers.push(made);
    return made;
  };
  const until = (what: string, isSo: () => boolean): Promise<true> =>
    waitFor(what, () => when(isSo()));
  const count = (what: string, reason: string): number =>
    victim.pressure.totals().find((each) => each.what === what && each.reason === reason)?.count ??
    0;
  const status = (stream: ClientHttp2Stream | null): Promise<string> =>
    new Promise((resolve) => {
      stream?.on('response', (headers) => resolve(String(headers['grpc-status'] ?? 'open')));
      stream?.on('close', () => resolve('reset'));
    });
  const connected = (session: ClientHttp2Session): Promise<void> =>
    new Promise((resolve) => {
      session.once('remoteSettings', () => resolve());
    });

  afterEach(async () => {
    for (const each of attackers.splice(0)) each.stop();
    try {
      await until('all that was held is counted out', () => victim.budget.bytes < REST_BYTES);
      await victim.isWell();
    } finally {
      await victim.stop();
    }
  });

  it('refuses a connection too many from one address', async () => {
    victim = await VictimBroker.start(['--connections-per-address-max', '4']);
    const hostile = attacker();
    await hostile.connections(10);
    // The test's own client has one of the four.
    await until('those too many are closed', () => hostile.closed === 7);
    expect(count('connection-refused', 'connections-of-address')).toBe(7);
  });

  it('closes connections without a call, and none with one', async () => {
    victim = await VictimBroker.start(['--connection-idle-ms', '1000']);
    const hostile = attacker();
    const busy = hostile.stream(hostile.session(), produce.path);
    await hostile.connections(3);
    const used = hostile.session();
    expect(await status(hostile.stream(used, '/nothing'))).toBe('12');
    await until('four are closed', () => hostile.closed === 4);
    expect(busy?.closed).toBe(false);
    expect(count('connection-closed', 'idle')).toBeGreaterThanOrEqual(4);
  });

  it('resets a call with too many headers, and no other of its connection', async () => {
    victim = await VictimBroker.start(['--header-bytes-max', '4096']);
    const hostile = attacker();
    const session = hostile.session();
    await connected(session);
    expect(await status(hostile.stream(session, '/nothing'))).toBe('12');
    const headers = { 'x-long': 'a'.repeat(5_000) };
    await until('the bound holds', () => session.remoteSettings.maxHeaderListSize === 4_096);
    expect(await status(hostile.stream(session, '/nothing', headers))).toBe('reset');
    expect(await status(hostile.stream(session, '/nothing'))).toBe('12');
  });

  it('ends a call that was answered, though its client does not', async () => {
    victim = await VictimBroker.start();
    const hostile = attacker();
    const stream = hostile.stream(hostile.session(), '/nothing');
    stream?.resume();
    expect(await status(stream)).toBe('12');
    await until('the stream is gone', () => victim.budget.streams === 0);
  });

  it.each([
    ['over one connection', { connections: 1, streams: 20, bytes: 40 * MIB }],
    ['over many', { connections: 20, streams: 2, bytes: 80 * MIB }],
  ])('closes the greediest where messages never end, %s', async (_, size) => {
    victim = await VictimBroker.start(['--memory-budget-bytes', `${16 * MIB}`]);
    let heldMax = 0;
    const watch = setInterval(() => (heldMax = Math.max(heldMax, victim.budget.bytes)), 1);
    await attacker().unfinished(append.path, size);
    clearInterval(watch);
    expect(count('connection-closed', 'memory')).toBeGreaterThan(0);
    expect(heldMax).toBeGreaterThan(8 * MIB);
    expect(heldMax).toBeLessThanOrEqual(16 * MIB);
  });

  it('counts a byte with all that keeps it', async () => {
    victim = await VictimBroker.start();
    const hostile = attacker();
    const stream = hostile.stream(hostile.session(), append.path);
    stream?.write(Buffer.from([0, 0, 1, 0, 0]));
    const before = victim.budget.bytes;
    // Each in a frame of its own.
    for (let byte = 0; byte < 500; byte += 1)
      await new Promise((resolve) => stream?.write(Buffer.alloc(1), resolve));
    await until('much more is held', () => victim.budget.bytes - before > 500 * 512);
  });

  it('refuses calls of who has many, and none of who has few', async () => {
    victim = await VictimBroker.start(['--streams-max', '64']);
    const hostile = attacker();
    const session = hostile.session();
    await connected(session);
    const answers = Array.from({ length: 60 }, () => {
      const stream = hostile.stream(session, produce.path);
      stream?.resume();
      return status(stream);
    });
    const [open, refused] = ['open', '8'].map(async (wanted) => {
      return (await Promise.all(answers)).filter((answer) => answer === wanted).length;
    });
    expect(await open).toBeGreaterThan(40);
    expect(await refused).toBeGreaterThan(5);
    expect(count('call-refused', 'streams')).toBe(await refused);
    await victim.isWell();
  });

  it('counts what is read from the log for a client that does not take it', async () => {
    victim = await VictimBroker.start(['--memory-budget-bytes', `${8 * MIB}`]);
    // More than the window of HTTP/2, which this process raises for all its clients.
    for (let each = 0; each < 48; each += 1) await victim.append(Buffer.alloc(MIB / 2, each));
    const hostile = attacker();
    const request = ReadRequest.encode({
      topic: TOPIC,
      partitions: [],
      start: undefined,
      cursors: [{ partition: 0, offset: 0, leaderEpoch: 0 }],
      maxRecords: 0,
      follow: false,
    }).finish();
    await hostile.idleStreams(read.path, { connections: 1, streams: 1 }, request);
    await until('it is counted', () => victim.budget.bytes > MIB);
    await hostile.idleStreams(read.path, { connections: 8, streams: 2 }, request);
    await until('some are closed', () => count('connection-closed', 'memory') > 0);
    expect(victim.budget.bytes).toBeLessThanOrEqual(8 * MIB);
  });

  it('counts messages that nobody reads yet', async () => {
    victim = await VictimBroker.start();
    const hostile = attacker();
    const stream = hostile.stream(hostile.session(), append.path);
    stream?.write(framed(new Uint8Array(0)));
    // A second message of a call that has one is read by nobody.
    stream?.write(framed(Buffer.alloc(4 * MIB)));
    await until('it is counted', () => victim.budget.bytes > MIB);
  });
});
