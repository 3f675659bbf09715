/**
 * What a person does on the page, as they would do it elsewhere: in a shell, in a program, by gRPC.
 * Every text runs as it stands; a test runs them. Pure.
 */
import type { About, Action, ProcessDeed, ProcessSeen } from '../snapshot.ts';

/** One action in three languages. */
export interface Copies {
  /** For a shell. */
  readonly command: string;
  /** A whole module. */
  readonly typescript: string;
  /** For a shell; empty: there is no such call. */
  readonly grpcurl: string;
  /** What a person must know beside it; empty: nothing. */
  readonly remark: string;
}

/** How the cluster is reached. */
export interface Reached
  extends Pick<About, 'servers' | 'isDefault' | 'tls' | 'token' | 'dataDir'> {
  /** `host:port` of a broker that answers. */
  readonly at: string;
}

type Append = Extract<Action, { readonly kind: 'append' }>;

const SIGNALS = { kill: 'SIGKILL', pause: 'SIGSTOP', stop: 'SIGTERM' } as const;
const FLAGS = { kill: [], pause: ['--pause'], stop: ['--stop'], start: [] } as const;
/** What a shell takes as it is. */
const PLAIN = /^[A-Za-z0-9_./:,=@-]+$/;

/** One record, appended. */
export function copiesOfAppend(
  reached: Reached,
  { topic, partition, key, value }: Omit<Append, 'kind'>,
): Copies {
  // A line is a record, so records end otherwise where one has lines.
  const isOneLine = !value.includes('\n');
  const words = ['append', topic, '--partition', String(partition)];
  if (key !== null) words.push('--key', key);
  if (!isOneLine) words.push('--null-delimited');
  const keyed = key === null ? {} : { key };
  const record = { partition, ...(key === null ? {} : { key: base64(key) }), value: base64(value) };
  return {
    command: `printf '%s\\${isOneLine ? 'n' : '0'}' ${quoted(value)} | ${tidemark(reached, words)}`,
    typescript: program(reached, [
      `const sent = await tidemark.producer().send(${literal({ topic, partition, ...keyed, value })});`,
      'console.log(`appended at ${sent.partition}/${sent.offset}`);',
    ]),
    grpcurl: grpcurl(reached, 'LogService/Append', { topic, records: [record] }),
    remark: tokenRemark(reached),
  };
}

/** The tail of a partition, from an offset on. */
export function copiesOfTail(
  reached: Reached,
  topic: string,
  partition: number,
  from: number,
): Copies {
  const words = ['read', topic, '--partition', String(partition), '--from', String(from)];
  const options = { topic, partitions: [partition], from: { offset: from } };
  return {
    command: tidemark(reached, [...words, '--follow']),
    typescript: program(reached, [
      `const consumer = tidemark.consumer(${literal(options)});`,
      'for await (const { offset, value } of consumer.records())',
      "  console.log(offset, value === null ? 'deleted' : new TextDecoder().decode(value));",
    ]),
    grpcurl: grpcurl(reached, 'LogService/Read', {
      ...{ topic, partitions: [partition], start: { offset: String(from) }, follow: true },
    }),
    remark: tokenRemark(reached),
  };
}

/** Why a partition is led as it is. */
export function copiesOfWhy(reached: Reached, topic: string, partition: number): Copies {
  return {
    command: tidemark(reached, ['why', `${topic}/${partition}`]),
    typescript: program(reached, [
      `const why = await tidemark.admin().explainPartition(${literal(topic)}, ${partition});`,
      'console.dir(why, { depth: null });',
    ]),
    grpcurl: grpcurl(reached, 'AdminService/ExplainPartition', { topic, partition }),
    remark: tokenRemark(reached),
  };
}

/** The whole cluster. */
export function copiesOfCluster(reached: Reached): Copies {
  return {
    command: tidemark(reached, ['cluster', 'describe']),
    typescript: program(reached, [
      'console.dir(await tidemark.admin().describeCluster(), { depth: null });',
    ]),
    grpcurl: grpcurl(reached, 'AdminService/DescribeCluster', {}),
    remark: tokenRemark(reached),
  };
}

/** What is done to the process of a broker of `npm start`. */
export function copiesOfDeed(
  { dataDir }: Reached,
  { brokerId, pid, state }: ProcessSeen,
  deed: ProcessDeed,
): Copies {
  const words = ['tidemark', 'local', deed === 'start' ? 'start' : 'kill', String(brokerId)];
  words.push(...FLAGS[deed], ...(dataDir === '' ? [] : ['--data', dataDir]));
  const continued = state === 'paused' ? 'SIGCONT' : null;
  const signal = deed === 'start' ? continued : SIGNALS[deed];
  return {
    command: `npx ${words.map(quoted).join(' ')}`,
    typescript:
      pid === null || signal === null
        ? [
            importOf('execFileSync', 'child_process'),
            '',
            `execFileSync('npx', ${literal(words)}, { stdio: 'inherit' });`,
          ].join('\n')
        : `process.kill(${pid}, ${literal(signal)});`,
    grpcurl: '',
    remark: 'No gRPC call ends or starts the process of a broker: whoever started it does.',
  };
}

function tidemark({ servers, isDefault, tls, token }: Reached, words: readonly string[]): string {
  const options: string[] = isDefault ? [] : ['--server', servers];
  if (tls !== null && tls.ca !== '') options.push('--tls-ca', tls.ca);
  if (tls !== null && tls.cert !== '') options.push('--tls-cert', tls.cert, '--tls-key', tls.key);
  if (token !== null && token.file !== '') options.push('--token-file', token.file);
  return ['npx tidemark', ...[...words, ...options].map(quoted)].join(' ');
}

/** A module that connects, and does `lines`. */
function program({ servers, tls, token }: Reached, lines: readonly string[]): string {
  const options = [`servers: ${literal(servers)}`];
  if (tls !== null) {
    const files = Object.entries(tls).filter(([, file]) => file !== '');
    const read = files.map(([name, file]) => `${name}: readFileSync(${literal(file)}, 'utf8')`);
    options.push(`tls: { ${read.join(', ')} }`);
  }
  if (token !== null)
    options.push(
      token.file === ''
        ? "token: process.env['TIDEMARK_TOKEN'] ?? ''"
        : `token: async () => readFileSync(${literal(token.file)}, 'utf8')`,
    );
  const isReading = options.some((option) => option.includes('readFileSync'));
  return [
    ...(isReading ? [importOf('readFileSync', 'fs')] : []),
    "import { connect } from 'tidemark';",
    '',
    `await using tidemark = connect({ ${options.join(', ')} });`,
    ...lines,
  ].join('\n');
}

/** Of a part of Node. */
function importOf(name: string, part: string): string {
  return `import { ${name} } from ${literal(`node:${part}`)};`;
}

function grpcurl({ at, tls, token }: Reached, call: string, message: object): string {
  const words = ['grpcurl', tls === null ? '-plaintext' : ''];
  for (const [name, file] of Object.entries({ cacert: tls?.ca, cert: tls?.cert, key: tls?.key }))
    if (file !== undefined && file !== '') words.push(`-${name} ${quoted(file)}`);
  // The shell puts the token in its place.
  if (token !== null)
    words.push(
      `-H "authorization: Bearer ${token.file === '' ? '$TIDEMARK_TOKEN' : `$(cat ${quoted(token.file)})`}"`,
    );
  if (Object.keys(message).length > 0) words.push(`-d ${quoted(JSON.stringify(message))}`);
  words.push(at, `tidemark.v1.${call}`);
  return words.filter((word) => word !== '').join(' ');
}

function tokenRemark({ token }: Reached): string {
  return token?.file === '' ? 'Set TIDEMARK_TOKEN to your token first.' : '';
}

/** For a shell of POSIX. */
function quoted(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A value as a program of TypeScript has it. */
function literal(value: unknown): string {
  if (typeof value === 'string')
    return /^[ -~]*$/.test(value) && !/['\\]/.test(value) ? `'${value}'` : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{ ${Object.entries(value)
      .map(([name, one]) => `${name}: ${literal(one)}`)
      .join(', ')} }`;
  return String(value);
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Of its bytes in UTF-8, as JSON spells bytes of protobuf. Source: RFC 4648. */
function base64(text: string): string {
  const bytes = utf8(text);
  let out = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second, third] = bytes.slice(at, at + 3);
    const bits = (first << 16) | ((second ?? 0) << 8) | (third ?? 0);
    const digits = [18, 12, 6, 0].map((shift) => BASE64.charAt((bits >> shift) & 63));
    if (second === undefined) digits[2] = '=';
    if (third === undefined) digits[3] = '=';
    out += digits.join('');
  }
  return out;
}

function utf8(text: string): number[] {
  const spelled = encodeURIComponent(text.toWellFormed());
  return [...spelled.matchAll(/%([0-9A-F]{2})|[^]/g)].map(([one, byte]) =>
    byte === undefined ? one.charCodeAt(0) : Number.parseInt(byte, 16),
  );
}
