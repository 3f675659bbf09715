/**
 * Everything that is tried against a broker which asks its clients who they are. `root` is its
 * administrator; `alice` may append to and read `orders`, append to `logs-*`, read `reports`, and
 * take producer names `alice-*`; `bob` is known, and may do nothing. The issuer's account
 * `system:serviceaccount:ops:root` is an administrator too, so that any forged token is worth it.
 */
import { createHash } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import { setPrincipal } from '../../../broker/messages/principal.ts';
import { AccessKind, AccessOperation } from '../../../proto/gen/tidemark/v1/access.ts';
import { MembersServiceService as InternalMembers } from '../../../proto/gen/tidemark/internal/v1/members.ts';
import { AdminServiceService as Admins } from '../../../proto/gen/tidemark/v1/admin.ts';
import {
  ConsumeOpen,
  ConsumeServiceService as Members,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { GroupServiceService as Groups } from '../../../proto/gen/tidemark/v1/groups.ts';
import { QueueServiceService as Queues } from '../../../proto/gen/tidemark/v1/queues.ts';
import { ExternalScalerService as Scalers } from '../../../proto/gen/externalscaler/externalscaler.ts';
import { AppendRecord, LogServiceService as Logs } from '../../../proto/gen/tidemark/v1/log.ts';
import { CONSUMERS } from './consumers.ts';
import type { Attempt, Claims, Headers, Method, Shown, Signing, World } from './types.ts';

const METHODS = [Logs, Admins, Groups, Members, Queues, Scalers].flatMap(
  (service) => Object.values(service) as unknown as readonly Method[],
);
const nameOf = ({ path }: Method): string => path.split('/').at(-1) ?? '';
/** As administrators alone may. */
const LIST = Admins.listAccess as unknown as Method;
const ROOT_ACCOUNT = 'system:serviceaccount:ops:root';

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const of = (world: World, name: 'root' | 'alice' | 'bob'): Headers => bearer(world.token(name));

/** Whoever shows nothing that counts. */
function unknown(
  tries: string,
  headers: (world: World) => Headers | Metadata,
  comesBack = 'UNAUTHENTICATED',
): Attempt {
  return {
    who: 'nobody',
    tries: `\`ListAccess\` with ${tries}`,
    comesBack,
    run: (world) => world.ask(LIST, {}, headers(world)),
  };
}

/** The distinct answers to every method. */
async function everywhere(world: World, headers: Headers): Promise<string> {
  const answers = new Set<string>();
  for (const method of METHODS) answers.add(await world.ask(method, {}, headers));
  return [...answers].join(', ');
}

const NOBODY: readonly Attempt[] = [
  {
    who: 'nobody',
    tries: `each of the ${METHODS.length} methods`,
    comesBack: 'UNAUTHENTICATED',
    run: (world) => everywhere(world, {}),
  },
  {
    who: 'nobody',
    tries: 'each of them with a token that is in no file',
    comesBack: 'UNAUTHENTICATED',
    run: (world) => everywhere(world, bearer('wrong')),
  },
  unknown('`Basic` credentials', () => ({
    authorization: `Basic ${Buffer.from('root:root').toString('base64')}`,
  })),
  unknown('`Bearer` and no token', () => ({ authorization: 'Bearer' })),
  unknown('`Bearer` and spaces', () => ({ authorization: 'Bearer     ' })),
  unknown('an empty header', () => ({ authorization: '' })),
  unknown('a token of 9,000 characters', () => bearer('a'.repeat(9_000))),
  unknown('the right token and a word behind it', (world) => bearer(`${world.token('root')} x`)),
  unknown('the right token less its last letter', (world) =>
    bearer(world.token('root').slice(0, -1)),
  ),
  unknown('the right token in small letters', (world) => bearer(world.token('root').toLowerCase())),
  unknown('the hash of the token, as the file has it', (world) =>
    bearer(createHash('sha256').update(world.token('root')).digest('hex')),
  ),
  unknown('the right token in another header', (world) => ({
    'x-authorization': `Bearer ${world.token('root')}`,
  })),
  unknown('the right token in a cookie', (world) => ({ cookie: `token=${world.token('root')}` })),
  unknown('two tokens in one header, of which one is right', (world) => ({
    authorization: `Bearer wrong, Bearer ${world.token('root')}`,
  })),
  unknown("the header by which brokers speak for others, and the administrator's name", () =>
    setPrincipal(new Metadata(), 'token:root'),
  ),
  unknown('the header of calls that were handed on', () => ({ 'tidemark-forwarded': '1' })),
  unknown('both of these', () => {
    const metadata = setPrincipal(new Metadata(), 'token:root');
    metadata.set('tidemark-forwarded', '1');
    return metadata;
  }),
];

/** Whoever makes a token of the issuer by itself, or has one that is for something else. */
function forged(
  tries: string,
  claims: Claims,
  signing: Signing = {},
  comesBack = 'UNAUTHENTICATED',
): Attempt {
  return {
    who: 'a token of the issuer',
    tries,
    comesBack,
    run: async (world) => world.ask(LIST, {}, bearer(await world.jwt(claims, signing))),
  };
}

/** A token whose parts were changed on the way. */
function bent(tries: string, bend: (parts: string[], world: World) => string[]): Attempt {
  return {
    who: 'a token of the issuer',
    tries,
    comesBack: 'UNAUTHENTICATED',
    run: async (world) => {
      const parts = (await world.jwt({})).split('.');
      return world.ask(LIST, {}, bearer(bend(parts, world).join('.')));
    },
  };
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const TOKENS: readonly Attempt[] = [
  forged('as it should be, of an administrator', {}, {}, 'ok'),
  forged('for a list of audiences, this one among them', { aud: ['other', '%cluster'] }, {}, 'ok'),
  forged('over for half a minute: clocks may differ by one', { exp: -30 }, {}, 'ok'),
  forged('over for two minutes', { exp: -120 }),
  forged('without an end', { exp: null }),
  forged('whose end is a text', { exp: 'never' }),
  forged('that begins in an hour', { nbf: 3_600 }),
  forged('of another issuer', { iss: 'https://issuer.example' }),
  forged('of the issuer with a slash behind it', { iss: '%issuer/' }),
  forged('of no issuer', { iss: null }),
  forged('for another cluster', { aud: '11111111-2222-4333-8444-555555555555' }),
  forged('for the cluster in capitals', { aud: '%CLUSTER' }),
  forged('for nobody', { aud: null }),
  forged('for an empty list', { aud: [] }),
  forged('of nobody', { sub: null }),
  forged('of an empty subject', { sub: '' }),
  forged('whose subject is a number', { sub: 7 }),
  forged("whose subject is a list of the administrator's account", { sub: [ROOT_ACCOUNT] }),
  forged('whose subject has a line break', { sub: `${ROOT_ACCOUNT}\n` }),
  forged('whose subject has 600 characters', { sub: 'x'.repeat(600) }),
  forged('signed by another key', {}, { by: 'another' }),
  forged('signed by a key of another name', {}, { by: 'another', header: { kid: 'other' } }),
  forged(
    'signed by another key that stands in its header',
    {},
    {
      by: 'another',
      header: { jwk: '%another' },
    },
  ),
  forged(
    'signed by another key, at an address in its header',
    {},
    {
      by: 'another',
      header: { jku: 'https://issuer.example/keys' },
    },
  ),
  forged('signed with the public key as a secret (HS256)', {}, { by: 'public-key' }),
  forged('of algorithm `none`', {}, { by: 'nobody', header: { alg: 'none' } }),
  forged('of algorithm `NonE`', {}, { by: 'nobody', header: { alg: 'NonE' } }),
  forged('with an extension that must be understood', {}, { header: { crit: ['x'], x: 1 } }),
  bent('without its signature', ([head = '', body = '']) => [head, body, '']),
  bent('without its signature and the dot', ([head = '', body = '']) => [head, body]),
  bent('of another subject than was signed', ([head = '', , signature = '']) => [
    head,
    encoded({ sub: ROOT_ACCOUNT, exp: 9_999_999_999 }),
    signature,
  ]),
  bent('with a part too many', (parts) => [...parts, 'x']),
  bent('whose body is no JSON', ([head = '', , signature = '']) => [head, 'eyJ', signature]),
  forged(
    "with a static token's principal as its subject",
    { sub: 'token:root' },
    {},
    'PERMISSION_DENIED',
  ),
  forged(
    "with a certificate's principal as its subject",
    { sub: 'cert:CN=root' },
    {},
    'PERMISSION_DENIED',
  ),
  forged(
    "of the administrator's account and a part more",
    { sub: `${ROOT_ACCOUNT}:x` },
    {},
    'PERMISSION_DENIED',
  ),
  forged(
    "of the administrator's account in capitals",
    { sub: ROOT_ACCOUNT.toUpperCase() },
    {},
    'PERMISSION_DENIED',
  ),
  forged('of the account `*`', { sub: 'system:serviceaccount:ops:*' }, {}, 'PERMISSION_DENIED'),
  forged(
    'of another account of the namespace',
    { sub: 'system:serviceaccount:ops:roo' },
    {},
    'PERMISSION_DENIED',
  ),
];

/** Of a stream it is its parts that are refused. */
function withoutRules(method: Method): Attempt {
  const name = nameOf(method);
  const free: Readonly<Record<string, string>> = {
    // Of topics it shows what may be described.
    DescribeCluster: 'ok',
    ListTopics: 'ok',
    ListGroups: 'ok',
    ListQueues: 'ok',
    // It may be asked of oneself; here it asks for nothing.
    CheckAccess: 'INVALID_ARGUMENT',
  };
  const stream = name === 'Produce' ? 'produce' : name === 'Fetch' ? 'fetch' : null;
  return {
    who: 'bob, who may do nothing',
    tries: `\`${name}\``,
    comesBack: free[name] ?? 'PERMISSION_DENIED',
    run: (world) =>
      name === 'Consume'
        ? world.member({ group: 'billing', topics: ['orders'] }, of(world, 'bob'))
        : stream === null
          ? world.ask(method, {}, of(world, 'bob'))
          : world.part(stream, 'orders', of(world, 'bob')),
  };
}

function byAlice(
  method: { readonly path: string },
  what: string,
  fields: object,
  comesBack = 'PERMISSION_DENIED',
): Attempt {
  const known = method as Method;
  return {
    who: 'alice',
    tries: `\`${nameOf(known)}\` ${what}`,
    comesBack,
    run: (world) => world.ask(known, fields, of(world, 'alice')),
  };
}

function partByAlice(stream: 'produce' | 'fetch', topic: string, comesBack: string): Attempt {
  return {
    who: 'alice',
    tries: `\`${stream === 'produce' ? 'Produce' : 'Fetch'}\` with a part of \`${topic}\``,
    comesBack,
    run: (world) => world.part(stream, topic, of(world, 'alice')),
  };
}

const record = { ...AppendRecord.decode(new Uint8Array(0)), partition: 0, value: Buffer.from('x') };
const append = (topic: string, what: string, comesBack?: string): Attempt =>
  byAlice(Logs.append, what, { topic, records: [record] }, comesBack);
const read = (topic: string, what: string, comesBack?: string): Attempt =>
  byAlice(Logs.read, what, { topic }, comesBack);
const take = (name: string, what: string, comesBack?: string): Attempt =>
  byAlice(Logs.initProducer, what, { name }, comesBack);
const everything = {
  principal: 'token:alice',
  resource: { kind: AccessKind.ACCESS_KIND_CLUSTER, name: '' },
  operations: [AccessOperation.ACCESS_OPERATION_ADMINISTER],
  given: [],
};
const question = (principal: string) => ({
  principal,
  operation: AccessOperation.ACCESS_OPERATION_READ,
  resource: { kind: AccessKind.ACCESS_KIND_TOPIC, name: 'secret' },
});

const REACH: readonly Attempt[] = [
  append('orders', 'to `orders`, which she may', 'ok'),
  append('logs-a', 'to `logs-a`, which `logs-*` lets her', 'ok'),
  append('secret', 'to another topic'),
  append('nowhere', 'to a topic that is not there'),
  append('reports', 'to a topic that she may read'),
  append('orders2', 'to a topic whose name goes on'),
  append('order', 'to a name that is shorter'),
  append('Orders', 'to a name in other letters'),
  append('orders ', 'to a name with a space'),
  append('orders\u0000', 'to a name with a zero'),
  append('orders'.replace('o', '\u043e'), 'to a name with a letter that looks alike'),
  append('orders*', 'to a name that looks like a rule'),
  append('*', 'to `*`'),
  append('', 'to no name'),
  append('logs', 'to `logs`, where `logs-*` is hers'),
  read('reports', 'of `reports`, which she may', 'ok'),
  read('secret', 'of another topic'),
  read('logs-a', 'of a topic that she may append to'),
  read('nowhere', 'of a topic that is not there'),
  byAlice(Logs.listOffsets, 'of another topic', { topic: 'secret' }),
  byAlice(Admins.explainPartition, 'of another topic', { topic: 'secret' }),
  byAlice(Admins.listTopics, 'of another topic by its name', { names: ['secret'] }),
  byAlice(Admins.listTopics, 'of hers and of another', { names: ['orders', 'secret'] }),
  {
    who: 'alice',
    tries: '`ListTopics` of all',
    comesBack: 'logs-a, orders, reports',
    run: (world) => world.topics(of(world, 'alice')),
  },
  byAlice(Groups.fetchCursors, "of another's group", { group: 'billing' }),
  byAlice(Groups.describeGroup, "of another's group", { group: 'billing' }),
  byAlice(Groups.deleteGroup, "of another's group", { group: 'billing' }),
  byAlice(Groups.seekGroup, "of another's group, in a topic that she may read", {
    group: 'billing',
    topic: 'reports',
  }),
  byAlice(Groups.describeLag, 'of another topic', { topic: 'secret' }),
  byAlice(Queues.createQueue, "under another's name, on a topic that she may read", {
    ...{ name: 'payroll', topic: 'reports' },
  }),
  byAlice(Queues.createQueue, 'under her name, on another topic', {
    ...{ name: 'billing-a', topic: 'secret' },
  }),
  byAlice(Queues.createQueue, 'on her topic, with dead letters to another', {
    ...{ name: 'billing-a', topic: 'orders', config: { deadLetterTopic: 'secret' } },
  }),
  byAlice(Queues.alterQueue, "of another's queue", { name: 'payroll' }),
  byAlice(Queues.alterQueue, 'of hers, with dead letters to a topic that she may only read', {
    ...{ name: 'billing-a', config: { deadLetterTopic: 'reports' } },
  }),
  byAlice(Queues.deleteQueue, "of another's queue", { name: 'payroll' }),
  byAlice(Queues.describeQueue, "of another's queue", { name: 'payroll' }),
  byAlice(Queues.freeQueueKey, "of another's queue", { name: 'payroll' }),
  append('__groups', 'to the topic that keeps the cursors'),
  read('__groups', 'of the topic that keeps the cursors'),
  byAlice(Admins.trimTopic, 'of the topic that keeps the cursors', { topic: '__groups' }),
  partByAlice('produce', 'orders', 'ok'),
  partByAlice('produce', 'secret', 'PERMISSION_DENIED'),
  partByAlice('produce', 'reports', 'PERMISSION_DENIED'),
  partByAlice('fetch', 'reports', 'ok'),
  partByAlice('fetch', 'secret', 'PERMISSION_DENIED'),
  partByAlice('fetch', 'logs-a', 'PERMISSION_DENIED'),
  take('alice-1', 'of a name that `alice-*` lets her', 'ok'),
  take('', 'of an id without a name, since she may append', 'ok'),
  take('alice', 'of a name that is shorter'),
  take('bob-1', "of another's name"),
  take('orders', 'of a name that is that of her topic'),
  take('*', 'of the name `*`'),
  byAlice(Admins.createTopic, 'of a name that her rule covers', { name: 'logs-b' }),
  byAlice(Admins.alterTopic, 'of her topic', { name: 'orders' }),
  byAlice(Admins.deleteTopic, 'of her topic', { name: 'orders' }),
  byAlice(Admins.trimTopic, 'of her topic', { topic: 'orders' }),
  byAlice(Admins.grantAccess, 'of everything, to herself', { rule: everything }),
  byAlice(Admins.revokeAccess, "of another's rule", { principal: 'token:carol' }),
  byAlice(Admins.checkAccess, 'of herself', question(''), 'ok'),
  byAlice(Admins.checkAccess, 'of herself by her name', question('token:alice'), 'ok'),
  byAlice(Admins.checkAccess, 'of another', question('token:bob')),
  byAlice(Admins.checkAccess, 'of all', question('*')),
  byAlice(Admins.setQuota, 'of herself', {
    quota: { principal: 'token:alice', appendBytesPerSecond: -1 },
  }),
  byAlice(Admins.deleteQuota, 'of herself', { principal: 'token:alice' }),
];

/** Whoever says to be somebody else, beside a token of their own. */
function claiming(who: 'alice' | 'bob', tries: string, headers: Headers): Attempt {
  return {
    who,
    tries: `\`ListAccess\` with ${tries}`,
    comesBack: 'PERMISSION_DENIED',
    run: (world) => {
      const metadata = setPrincipal(new Metadata(), 'token:root');
      for (const [name, value] of Object.entries({ ...of(world, who), ...headers }))
        metadata.add(name, value);
      return world.ask(LIST, {}, metadata);
    },
  };
}

function inside(principal: string, tries: string, comesBack: string): Attempt {
  return {
    who: 'a broker',
    tries: `\`ListAccess\` ${tries}`,
    comesBack,
    run: (world) => {
      const [value] = setPrincipal(new Metadata(), principal).get('tidemark-principal-bin');
      return world.askInside(
        LIST,
        {},
        value === undefined ? {} : { 'tidemark-principal-bin': value },
      );
    },
  };
}

const OTHERS: readonly Attempt[] = [
  claiming('bob', "the administrator's name beside his token", {}),
  claiming('bob', 'the same, as if it were handed on', { 'tidemark-forwarded': '1' }),
  claiming('alice', "the administrator's name twice", {
    'tidemark-principal-bin': Buffer.from('token:root'),
  }),
  inside('token:root', 'for the administrator', 'ok'),
  inside('token:bob', 'for bob', 'PERMISSION_DENIED'),
  inside('token:nobody', 'for somebody who is in no file', 'PERMISSION_DENIED'),
  inside('root', 'for a name of no kind', 'INVALID_ARGUMENT'),
  inside('*', 'for `*`', 'INVALID_ARGUMENT'),
  inside(`token:${'x'.repeat(600)}`, 'for a name of 600 characters', 'INVALID_ARGUMENT'),
  inside('token:root\n', 'for a name with a line break', 'INVALID_ARGUMENT'),
];

function certificate(tries: string, shown: Shown, comesBack: string, headers?: Headers): Attempt {
  return {
    who: 'a certificate',
    tries,
    comesBack,
    run: (world) => world.askWith(shown, LIST, headers),
  };
}

const OPS = 'spiffe://acme.org/ns/ops/sa/';

const CERTIFICATES: readonly Attempt[] = [
  certificate("of the administrator's name", { commonName: 'root' }, 'ok'),
  certificate('of a name that goes on', { commonName: 'rooty' }, 'PERMISSION_DENIED'),
  certificate('of a name that holds another part', { commonName: 'root,O=x' }, 'PERMISSION_DENIED'),
  certificate('of a name with a line break', { commonName: 'x\nCN=root' }, 'PERMISSION_DENIED'),
  certificate('of the name `*`', { commonName: '*' }, 'PERMISSION_DENIED'),
  certificate('of an empty name', { commonName: '' }, 'PERMISSION_DENIED'),
  certificate(
    'of a workload that is an administrator',
    { commonName: 'any', names: [`${OPS}deploy`] },
    'ok',
  ),
  certificate(
    "of the administrator's name and another workload",
    { commonName: 'root', names: ['spiffe://acme.org/ns/pay/sa/api'] },
    'PERMISSION_DENIED',
  ),
  certificate(
    'of two workloads',
    { commonName: 'root', names: [`${OPS}a`, `${OPS}b`] },
    'UNAUTHENTICATED',
  ),
  certificate(
    'of a workload without a path',
    { commonName: 'root', names: ['spiffe://acme.org'] },
    'UNAUTHENTICATED',
  ),
  certificate(
    'of a workload with a port',
    { commonName: 'root', names: ['spiffe://acme.org:1/ns/ops/sa/x'] },
    'UNAUTHENTICATED',
  ),
  certificate(
    'of a workload with a question behind it',
    { commonName: 'root', names: [`${OPS}x?y`] },
    'UNAUTHENTICATED',
  ),
  certificate(
    'of a workload in another domain that ends alike',
    { commonName: 'any', names: ['spiffe://evil-acme.org/ns/ops/sa/x'] },
    'PERMISSION_DENIED',
  ),
  certificate('of another authority', { commonName: 'root', by: 'another' }, 'no connection'),
  certificate('that is over', { commonName: 'root', days: -1 }, 'no connection'),
  certificate('that is missing', { commonName: 'root', by: 'nobody' }, 'no connection'),
  certificate(
    "of nobody in particular, and the administrator's name in a header",
    { commonName: 'any' },
    'PERMISSION_DENIED',
    { 'tidemark-principal-bin': Buffer.from('cert:CN=root') },
  ),
];

const STRANGER = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';

function memberByAlice(
  what: string,
  open: Parameters<World['member']>[0],
  comesBack: string,
  then?: Parameters<World['member']>[2],
): Attempt {
  return {
    who: 'alice',
    tries: `\`Consume\` ${what}`,
    comesBack,
    run: (world) =>
      world.member({ group: 'billing-a', topics: ['orders'], ...open }, of(world, 'alice'), then),
  };
}

const acknowledging =
  (topic: string, epoch: number): NonNullable<Parameters<World['member']>[2]> =>
  ({ topicId }) => {
    const place = { topicId: topicId(topic), partition: 0, offset: 5, leaderEpoch: 0 };
    const value = {
      acknowledgeId: 1,
      cursors: [{ ...place, epoch }],
      records: [],
      creditBytes: 0,
      creditRecords: 0,
    };
    return { $case: 'acknowledge', value };
  };

const MEMBERS: readonly Attempt[] = [
  memberByAlice('as a member of `billing-a` in `orders`, which she may', {}, 'ok'),
  memberByAlice('of another group', { group: 'payroll' }, 'PERMISSION_DENIED'),
  memberByAlice('of the group `__groups`', { group: '__groups' }, 'PERMISSION_DENIED'),
  memberByAlice('in another topic', { topics: ['secret'] }, 'PERMISSION_DENIED'),
  memberByAlice('in hers and another', { topics: ['orders', 'secret'] }, 'PERMISSION_DENIED'),
  memberByAlice('in all that begins as hers does', { topics: ['orders*'] }, 'PERMISSION_DENIED'),
  memberByAlice('in all topics', { topics: ['*'] }, 'PERMISSION_DENIED'),
  memberByAlice(
    'in 101 topics',
    { topics: Array.from({ length: 101 }, () => 'orders') },
    'INVALID_ARGUMENT',
  ),
  memberByAlice(
    'with a name of 300 characters for its place',
    { instanceId: 'x'.repeat(300) },
    'INVALID_ARGUMENT',
  ),
  memberByAlice('with a session of a second', { sessionMs: 1_000 }, 'INVALID_ARGUMENT'),
  memberByAlice('with a credit of 4 GiB', { creditBytes: 0xffff_ffff }, 'INVALID_ARGUMENT'),
  memberByAlice('that claims views of before', { memberId: STRANGER, epoch: 7 }, 'FENCED'),
  memberByAlice('and opens it again, for another group', {}, 'PERMISSION_DENIED', () => ({
    $case: 'open',
    value: { ...ConsumeOpen.decode(new Uint8Array(0)), group: 'payroll', topics: ['orders'] },
  })),
  memberByAlice('and adds credit beyond all bounds', {}, 'INVALID_ARGUMENT', () => ({
    $case: 'credit',
    value: { bytes: 0xffff_ffff, records: 0 },
  })),
  memberByAlice(
    'and states a view of the future',
    { delivery: 2, creditBytes: 0, creditRecords: 0 },
    'INVALID_ARGUMENT',
    () => ({
      $case: 'applied',
      value: { epoch: 1_000_000 },
    }),
  ),
  memberByAlice('and acknowledges what is not hers', {}, 'FENCED', acknowledging('secret', 1)),
  memberByAlice('and acknowledges by an epoch to come', {}, 'FENCED', acknowledging('orders', 99)),
  {
    who: 'alice',
    tries: "`CommitCursors` as somebody else's member",
    comesBack: 'FENCED',
    run: (world) => {
      const member = { memberId: STRANGER, attachment: 1, epochs: [1] };
      return world.commit('billing-b', member, of(world, 'alice'));
    },
  },
  ...(
    [
      'joinMember',
      'leaveMember',
      'signMembers',
      'detachMember',
      'beginCursors',
      'tellMembers',
    ] as const
  ).map(
    (name): Attempt => ({
      who: 'root',
      tries: `\`${name[0]?.toUpperCase()}${name.slice(1)}\` at the listener of clients`,
      comesBack: 'UNIMPLEMENTED',
      run: (world) => world.ask(InternalMembers[name], {}, of(world, 'root')),
    }),
  ),
];

export const ATTEMPTS: readonly Attempt[] = [
  ...NOBODY,
  ...TOKENS,
  ...METHODS.map(withoutRules),
  ...REACH,
  ...MEMBERS,
  ...CONSUMERS,
  ...OTHERS,
  ...CERTIFICATES,
];
