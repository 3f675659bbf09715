import { describe, expect, it } from 'vitest';
import {
  copiesOfAppend,
  copiesOfCluster,
  copiesOfDeed,
  copiesOfTail,
  type Reached,
} from '../../../../page/model/copies.ts';
import { ABOUT } from '../fixture.ts';

const HERE: Reached = { ...ABOUT, at: '127.0.0.1:9642' };
const SECURE: Reached = {
  ...HERE,
  servers: 'orders.ns.svc:9641',
  isDefault: false,
  tls: { ca: '/certs/ca.crt', cert: '', key: '' },
  token: { file: '/run/my token' },
};

describe('copies of an append', () => {
  it('are the same record in three languages', () => {
    const record = { topic: 'orders', partition: 2, key: 'k1', value: "it's\\größe" };
    const { command, typescript, grpcurl } = copiesOfAppend(HERE, record);
    expect(command).toBe(
      String.raw`printf '%s\n' 'it'\''s\größe' | npx tidemark append orders --partition 2 --key k1`,
    );
    expect(typescript).toContain(
      `.send({ topic: 'orders', partition: 2, key: 'k1', value: ${JSON.stringify(record.value)} });`,
    );
    const [, message = ''] =
      /-d '(.*)' 127.0.0.1:9642 tidemark.v1.LogService\/Append/.exec(grpcurl) ?? [];
    expect(JSON.parse(message)).toEqual({
      topic: 'orders',
      records: [
        {
          partition: 2,
          key: Buffer.from('k1').toString('base64'),
          value: Buffer.from(record.value).toString('base64'),
        },
      ],
    });
  });

  it('end a record of several lines by a zero byte', () => {
    const record = { topic: 'orders', partition: 0, key: null, value: 'a\nb' };
    expect(copiesOfAppend(HERE, record).command).toBe(
      String.raw`printf '%s\0' 'a` +
        '\n' +
        String.raw`b' | npx tidemark append orders --partition 0 --null-delimited`,
    );
  });

  it('spell every length of value in base64 as Node does', () => {
    for (const value of ['', 'a', 'ab', 'abc', 'größe', '🌊🌊', '%41'])
      expect(
        copiesOfAppend(HERE, { topic: 't', partition: 0, key: null, value }).grpcurl,
      ).toContain(`"value":"${Buffer.from(value).toString('base64')}"`);
  });
});

describe('copies from a cluster that asks who comes in', () => {
  it('name its files, and never a token', () => {
    const { command, typescript, grpcurl } = copiesOfTail(SECURE, 'orders', 1, 7);
    expect(command).toBe(
      "npx tidemark read orders --partition 1 --from 7 --follow --server orders.ns.svc:9641 --tls-ca /certs/ca.crt --token-file '/run/my token'",
    );
    expect(typescript).toContain("tls: { ca: readFileSync('/certs/ca.crt', 'utf8') }");
    expect(typescript).toContain("token: async () => readFileSync('/run/my token', 'utf8')");
    expect(grpcurl).toContain('-cacert /certs/ca.crt -H "authorization: Bearer $(cat ');
  });

  it('say what to set where the token is of no file', () => {
    const { grpcurl, typescript, remark } = copiesOfCluster({ ...SECURE, token: { file: '' } });
    expect(grpcurl).toContain('Bearer $TIDEMARK_TOKEN"');
    expect(typescript).toContain("process.env['TIDEMARK_TOKEN']");
    expect(remark).toBe('Set TIDEMARK_TOKEN to your token first.');
  });
});

describe('copies of what is done to a process', () => {
  it.for([
    ['kill', 'running', 'npx tidemark local kill 2', "process.kill(7, 'SIGKILL');"],
    ['pause', 'running', 'npx tidemark local kill 2 --pause', "process.kill(7, 'SIGSTOP');"],
    ['stop', 'running', 'npx tidemark local kill 2 --stop', "process.kill(7, 'SIGTERM');"],
    ['start', 'paused', 'npx tidemark local start 2', "process.kill(7, 'SIGCONT');"],
  ] as const)('%s while %s', ([deed, state, command, typescript]) => {
    const copies = copiesOfDeed(HERE, { brokerId: 2, state, pid: 7 }, deed);
    expect(copies).toMatchObject({ command, typescript, grpcurl: '' });
  });

  it('start what is down by the command, whose folder they name', () => {
    const elsewhere = { ...HERE, dataDir: '/tmp/a b' };
    const copies = copiesOfDeed(elsewhere, { brokerId: 2, state: 'down', pid: null }, 'start');
    expect(copies.command).toBe("npx tidemark local start 2 --data '/tmp/a b'");
    expect(copies.typescript).toContain(
      "execFileSync('npx', ['tidemark', 'local', 'start', '2', '--data', '/tmp/a b'],",
    );
  });
});
