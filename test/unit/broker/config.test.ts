import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../../broker/config.ts';

const SOUND = ['--id', '1', '--data', '/d', '--listen', '127.0.0.1:9641'];
const CLUSTER_ID = '0b9e2f3a-0000-4000-8000-00000000abcd';

function faultsOf(argv: readonly string[], environment: Record<string, string> = {}): string[] {
  try {
    readConfig(argv, environment);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n');
  }
}

describe('options of a broker', () => {
  it('are read from flags, then from the environment, then by default', () => {
    const config = readConfig(SOUND, {
      TIDEMARK_LISTEN: '127.0.0.1:1',
      TIDEMARK_CLUSTER_ID: CLUSTER_ID,
      UV_THREADPOOL_SIZE: '16',
    });
    expect(config).toMatchObject({
      brokerId: 1,
      listen: { host: '127.0.0.1', port: 9641 },
      clusterId: CLUSTER_ID,
      poolThreads: 16,
      heartbeatMs: 250,
    });
  });

  it('tell only the faults that are there, all of them', () => {
    const faults = faultsOf([...SOUND, '--sessions-timeout-ms', '1', '--heartbeat-ms', '1']);
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(
      /^config: --sessions-timeout-ms is not an option, must be one of --id/,
    );
    expect(faults[1]).toBe("config: heartbeat-ms is '1', must be a whole number from 20 to 60000");
  });

  it('have a listener for brokers that only this machine reaches, unless one is named', () => {
    const own = { host: '127.0.0.1', port: 9643 };
    expect(readConfig(SOUND, {})).toMatchObject({ internalListen: own, internalAdvertised: own });
    const named = ['--internal-listen', '0.0.0.0:7', '--internal-advertise', 'b1:7'];
    expect(readConfig([...SOUND, ...named], {})).toMatchObject({
      internalListen: { host: '0.0.0.0', port: 7 },
      internalAdvertised: { host: 'b1', port: 7 },
    });
  });

  it('take IPv6 addresses in brackets, which are no part of the host', () => {
    const listeners = ['--listen', '[::1]:5', '--internal-listen', '[::1]:6'];
    expect(readConfig([...SOUND, ...listeners, '--seeds', '[::1]:6'], {})).toMatchObject({
      listen: { host: '::1', port: 5 },
      advertised: { host: '::1', port: 5 },
      internalAdvertised: { host: '::1', port: 6 },
      seeds: [{ host: '::1', port: 6 }],
    });
  });

  it.each([
    {
      name: 'one address for both listeners',
      argv: ['--internal-listen', '127.0.0.1:9641'],
      fault: "internal-listen is '127.0.0.1:9641', must be another address than listen",
    },
    {
      name: 'no host to dial',
      argv: ['--internal-listen', '[::]:7'],
      fault:
        "internal-advertise is missing, must be host:port of this broker where internal-listen is every address ('[::]:7')",
    },
    {
      name: 'seeds that cannot reach it',
      argv: ['--seeds', '127.0.0.2:7,b2:9643'],
      fault:
        "internal-listen is missing, must be host:port where seeds are on other machines ('b2:9643'): by default only this machine reaches it, since without internal-tls-cert nobody is authenticated there",
    },
  ])('refuse $name', ({ argv, fault }) => {
    expect(faultsOf([...SOUND, ...argv])).toEqual([`config: ${fault}`]);
  });

  it('have TLS where certificates are named', () => {
    expect(readConfig(SOUND, {})).toMatchObject({ tls: null, internalTls: null });
    const client = ['--tls-cert', 'a', '--tls-key', 'b'];
    const internal = ['--internal-tls-cert', 'c', '--internal-tls-key', 'd'];
    const argv = [...SOUND, ...client, ...internal, '--internal-tls-ca', 'e'];
    expect(readConfig([...argv, '--cluster-id', CLUSTER_ID], {})).toMatchObject({
      tls: { cert: 'a', key: 'b', ca: null },
      internalTls: { cert: 'c', key: 'd', ca: 'e' },
      internalTlsMode: 'require',
    });
    for (const mode of ['allow', 'prefer', 'require'])
      expect(
        readConfig([...argv, '--cluster-id', CLUSTER_ID, '--internal-tls-mode', mode], {}),
      ).toMatchObject({ internalTlsMode: mode });
  });

  it('report how far a broker is from plaintext among brokers to TLS', () => {
    const reported = (...argv: string[]) =>
      readConfig([...SOUND, '--cluster-id', CLUSTER_ID, ...argv], {}).options.find(
        ({ name }) => name === 'internal-tls-mode',
      )?.value;
    const tls = ['--internal-tls-cert', 'c', '--internal-tls-key', 'd', '--internal-tls-ca', 'e'];
    expect(reported()).toBe('');
    expect(reported(...tls)).toBe('require');
    expect(reported(...tls, '--internal-tls-mode', 'allow')).toBe('allow');
  });

  it.each([
    {
      argv: ['--tls-client-ca', 'c'],
      faults: [
        'tls-cert is missing, must be given with tls-client-ca',
        'tls-key is missing, must be given with tls-client-ca',
      ],
    },
    {
      argv: ['--internal-tls-cert', 'a', '--internal-tls-key', 'b'],
      faults: [
        'cluster-id is missing, must be a UUID where brokers use TLS (internal-tls-cert)',
        'internal-tls-ca is missing, must be given with internal-tls-cert',
      ],
    },
    {
      argv: ['--internal-tls-mode', 'none'],
      faults: [
        'internal-tls-mode is given, must be given with internal-tls-cert only',
        "internal-tls-mode is 'none', must be one of allow, prefer, require",
      ],
    },
  ])('refuse half of TLS: $argv', ({ argv, faults }) => {
    expect(faultsOf([...SOUND, ...argv])).toEqual(faults.map((fault) => `config: ${fault}`));
  });

  it('read how clients are known', () => {
    expect(readConfig(SOUND, {})).toMatchObject({ auth: null, authAdministrators: [] });
    const tls = ['--tls-cert', 'a', '--tls-key', 'b', '--tls-client-ca', 'c'];
    const ways = [
      '--auth',
      'oidc, mtls',
      '--auth-oidc-issuer',
      'i',
      '--auth-oidc-jwks',
      'keys.json',
    ];
    const names = ['--auth-administrators', String.raw`cert:CN=a\;b ; token:ops*`];
    expect(readConfig([...SOUND, ...tls, ...ways, ...names], {})).toMatchObject({
      auth: {
        methods: ['mtls', 'oidc'],
        oidc: { issuer: 'i', alias: 'kubernetes', audience: '', keys: 'keys.json' },
        isReflected: false,
      },
      authAdministrators: [String.raw`cert:CN=a\;b`, 'token:ops*'],
    });
  });

  it.each([
    {
      argv: ['--auth', 'some'],
      faults: ["auth is 'some', must be none, or some of mtls, token, oidc"],
    },
    {
      argv: ['--auth', 'none,mtls'],
      faults: ["auth is 'none,mtls', must be none alone", 'tls-client-ca is missing'],
    },
    {
      argv: ['--auth', 'token'],
      faults: ['auth-tokens-file is missing', 'tls-cert is missing, must be given with auth token'],
    },
    {
      argv: ['--auth', 'token', '--auth-tokens-file', 't', '--auth-plaintext', 'maybe'],
      faults: ["auth-plaintext is 'maybe', must be yes or no", 'tls-cert is missing'],
    },
    {
      argv: [
        '--auth',
        'oidc',
        '--auth-plaintext',
        'no',
        '--auth-oidc-jwks',
        'http://x',
        '--auth-oidc-alias',
        '/',
      ],
      faults: [
        'auth-oidc-issuer is missing',
        'tls-cert is missing',
        "auth-oidc-jwks is 'http://x', must be https",
        "auth-oidc-alias is '/'",
      ],
    },
    {
      argv: ['--auth-tokens-file', 't'],
      faults: ['auth-tokens-file is given, must be given with auth token only'],
    },
    {
      argv: ['--auth-administrators', 'alice;*'],
      faults: [
        "auth-administrators: principal is 'alice'",
        "auth-administrators: principal is '*'",
      ],
    },
  ])('refuse what lets in the wrong ones: $argv', ({ argv, faults }) => {
    const found = faultsOf([...SOUND, ...argv]);
    expect(found.length).toBe(faults.length);
    for (const [index, fault] of faults.entries()) expect(found[index]).toContain(fault);
  });

  it('take tokens in plaintext where that is asked for by name', () => {
    const argv = ['--auth', 'token', '--auth-tokens-file', 't', '--auth-plaintext', 'yes'];
    expect(readConfig([...SOUND, ...argv], {}).auth?.methods).toEqual(['token']);
  });

  it.each(['not a uuid', CLUSTER_ID.toUpperCase(), `${CLUSTER_ID} `, '../x'])(
    'refuse the cluster id %j',
    (id) => {
      expect(faultsOf([...SOUND, '--cluster-id', id])).toEqual([
        `config: cluster-id is '${id}', must be a UUID in lower case, or empty`,
      ]);
    },
  );

  it.each(['abc', '', '1', '0', '-4', '1.5', '1025', '0x10'])(
    'refuse %j threads, which libuv would take for another number',
    (threads) => {
      expect(faultsOf(SOUND, { UV_THREADPOOL_SIZE: threads })).toEqual([
        `config: UV_THREADPOOL_SIZE is '${threads}', must be a whole number from 2 to 1024`,
      ]);
    },
  );

  it.each(['1e2', '0x10', ' 5', '+5', '-1', '1.0', '65536'])('refuse the broker id %j', (id) => {
    expect(faultsOf(['--id', id, ...SOUND.slice(2)])).toEqual([
      `config: id is '${id}', must be a whole number from 0 to 65535`,
    ]);
  });

  it('show what cannot be printed by its code, each fault on its own line', () => {
    expect(faultsOf([...SOUND, '--log-level', '\u001b[2J\nall is well'])).toEqual([
      expect.stringContaining("log-level is '\\u001b[2J\\nall is well', must be one of"),
    ]);
  });
});
