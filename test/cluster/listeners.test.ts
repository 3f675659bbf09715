/**
 * Brokers with three listeners for clients, each with an address of its own on every broker: open
 * within, with tokens outside, with certificates for partners. Clients of each come by their own
 * alone, and the addresses outside become known, and change, while the brokers run.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Tidemark } from '../../client/index.ts';
import { newCertificate } from '../../process/certificates.ts';
import { authority, CertificateFiles } from './harness/certificates.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';

const BROKERS = [1, 2, 3];
/** Its clients wait for the address, and not for the session of a broker that is gone. */
const PATIENCE_MS = 1_000;

// Whole 127.0.0.0/8 is this machine on Linux alone.
const isLinux = process.platform === 'linux';

describe.skipIf(!isLinux)(
  'brokers with named listeners (needs the loopback network of Linux)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-listeners-'));
    const ours = authority('ours');
    const theirs = authority('theirs');
    const token = randomBytes(32).toString('base64url');
    const tokens = join(folder, 'tokens');
    const trusted = join(folder, 'partners.ca.crt');
    const files = new Map(BROKERS.map((id) => [id, new CertificateFiles(folder, `broker-${id}`)]));
    const ports = new Map<number, number>();
    const opened: Tidemark[] = [];
    let cluster: TestCluster;

    /** `partners` at 127.0.3.x, `outside` at 127.0.2.x, each on the port of the broker. */
    const hostOf = (third: number, id: number): string => `127.0.${third}.${id}`;
    const addressOf = (third: number, id: number): string =>
      `${hostOf(third, id)}:${ports.get(id) ?? 0}`;
    const placeOf = (id: number): string => join(folder, `outside.${id}`);

    function certify(id: number, ...names: readonly string[]): void {
      files.get(id)!.write(newCertificate(ours, { commonName: `broker ${id}`, names }));
    }

    function say(id: number, address: string): void {
      writeFileSync(`${placeOf(id)}.new`, address);
      renameSync(`${placeOf(id)}.new`, placeOf(id));
    }

    function opening(options: Parameters<typeof connect>[0]): Tidemark {
      const made = connect(options);
      opened.push(made);
      return made;
    }

    const outside = (): Tidemark =>
      opening({ servers: addressOf(2, 1), tls: { ca: ours.cert }, token });

    function partners(): Tidemark {
      const { cert, key } = newCertificate(theirs, { commonName: 'partner' });
      return opening({ servers: addressOf(3, 1), tls: { ca: ours.cert, cert, key } });
    }

    beforeAll(async () => {
      const digest = createHash('sha256').update(token).digest('hex');
      writeFileSync(tokens, `program ${digest}\n`);
      writeFileSync(trusted, theirs.cert);
      for (const id of BROKERS) certify(id, hostOf(3, id), '127.0.2.1');
      cluster = await TestCluster.start({
        args: [
          ...['--listeners', 'outside,partners'],
          ...['--listener-outside-auth', 'token', '--listener-outside-auth-tokens-file', tokens],
          ...['--listener-partners-auth', 'mtls', '--listener-partners-tls-client-ca', trusted],
          ...['--auth-administrators', 'token:program;cert:*'],
        ],
        argsOf: (id, port) => {
          ports.set(id, port);
          const { cert, key } = files.get(id)!;
          return [
            ...['--listener-outside-listen', addressOf(2, id)],
            ...['--listener-outside-advertise-file', placeOf(id)],
            ...['--listener-partners-listen', addressOf(3, id)],
            ...['outside', 'partners'].flatMap((name) => [
              ...[`--listener-${name}-tls-cert`, cert, `--listener-${name}-tls-key`, key],
            ]),
          ];
        },
      });
    });
    afterAll(async () => {
      for (const each of opened) await each.close();
      await cluster.close();
      rmSync(folder, { recursive: true, force: true });
    });

    async function placesBy(program: Tidemark): Promise<readonly string[]> {
      const { brokers } = await program.admin().describeCluster();
      return brokers.map(({ host, port, unreachable }) =>
        unreachable === '' ? `${host}:${port}` : unreachable,
      );
    }

    const told = (program: Tidemark, wanted: readonly string[]): Promise<true> =>
      cluster.wait(`the addresses ${wanted.join()}`, async (note) => {
        const places = await placesBy(program);
        note(places.join());
        return when(places.join() === wanted.join());
      });

    const nowhere = (id: number): string =>
      `broker ${id} has no address for clients of listener "outside"`;

    it('tell each client the addresses of its listener', async () => {
      await told(
        partners(),
        BROKERS.map((id) => addressOf(3, id)),
      );
      await told(
        cluster.client,
        BROKERS.map((id) => `127.0.0.1:${ports.get(id) ?? 0}`),
      );
      await told(outside(), BROKERS.map(nowhere));
    });

    it('let an address be told once it is known and certified, without a restart', async () => {
      const { name } = await cluster.createTopic({ partitions: BROKERS.length });
      const epochs = async () =>
        (await cluster.describe()).brokers.map(({ brokerEpoch }) => brokerEpoch);
      const before = await epochs();
      const program = outside();
      const impatient = program.producer({ deliveryTimeoutMs: PATIENCE_MS });
      await expect(impatient.send({ topic: name, partition: 0, value: 'lost' })).rejects.toThrow(
        'has no address for clients of listener "outside"',
      );
      for (const id of BROKERS) say(id, addressOf(2, id));
      // The certificates of 2 and 3 do not hold theirs yet.
      await told(program, [addressOf(2, 1), nowhere(2), nowhere(3)]);
      for (const id of BROKERS) certify(id, hostOf(3, id), '127.0.2.1', hostOf(2, id));
      await told(
        program,
        BROKERS.map((id) => addressOf(2, id)),
      );
      const producer = program.producer();
      for (const partition of BROKERS.keys())
        await producer.send({ topic: name, partition, value: `by token ${partition}` });
      const partner = partners().producer();
      for (const partition of BROKERS.keys())
        await partner.send({ topic: name, partition, value: `by certificate ${partition}` });
      const values: string[] = [];
      for await (const { value } of program
        .consumer({ topic: name, from: 'earliest', follow: false })
        .records())
        values.push(Buffer.from(value ?? []).toString());
      expect(values.toSorted()).toEqual(
        ['by certificate', 'by token'].flatMap((by) =>
          [...BROKERS.keys()].map((p) => `${by} ${p}`),
        ),
      );
      expect(await epochs()).toEqual(before);
    });

    it('say again where they are after a kill, and what has changed meanwhile', async () => {
      await cluster.broker(2).kill();
      say(2, '');
      await cluster.restart(2);
      await told(outside(), [addressOf(2, 1), nowhere(2), addressOf(2, 3)]);
      say(2, addressOf(2, 2));
      await told(
        outside(),
        BROKERS.map((id) => addressOf(2, id)),
      );
    });

    it('count connections and certificates by listener', async () => {
      const text = await (await cluster.broker(1).page('/metrics')).text();
      for (const listener of ['client', 'internal', 'outside', 'partners'])
        expect(text).toMatch(
          new RegExp(`^tidemark_connections\\{listener="${listener}"\\} \\d`, 'm'),
        );
      for (const listener of ['outside', 'partners'])
        expect(text).toMatch(
          new RegExp(
            `^tidemark_tls_certificate_not_after_seconds\\{listener="${listener}"\\}`,
            'm',
          ),
        );
    });
  },
);
