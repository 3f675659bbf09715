/**
 * The table of a LogCluster's listeners for clients beside the one that every broker has: how each
 * is reached from where its clients are, TLS, and who comes in. Pure.
 */
import {
  BROKERS_MAX,
  LISTENER_NAME_LENGTH_MAX,
  LISTENERS_MAX,
  PORT_MAX,
} from '../../base/limits.ts';
import { authFields, CLIENT_RULES, clientTlsSchema, isIssued } from './clients.ts';
import { BROKER_HTTP_PORT, BROKER_INTERNAL_PORT, BROKER_PORT } from './names.ts';
import { overlayFields } from './object-overlay.ts';
import { networkPeers } from './pod-schema.ts';
import { choice, integer, list, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { ClientListener, ListenerAuth, ListenerBroker, LogClusterSpec } from './types.ts';

/** Stands for the broker's number in an advertised host. */
export const ID_PLACE = '{id}';
/** Ports below belong to the system, and the broker is nobody there. */
const PORT_MIN = 1_024;
const RANGES_MAX = 64;
const HOST_LENGTH_MAX = 253;
const TAKEN_PORTS = [BROKER_PORT, BROKER_INTERNAL_PORT, BROKER_HTTP_PORT];
/** The first two are every broker's; `brokers` is the headless Service. */
const TAKEN_NAMES = ['client', 'internal', 'brokers'];
const SHARED_TYPES = ['NodePort', 'Gateway'];

const host = (description: string, pattern: string): Schema =>
  text(description, HOST_LENGTH_MAX, {
    minLength: 1,
    pattern,
    patternMeaning: 'a host name or an address',
  });
const HOST = '^[a-zA-Z0-9:]([a-zA-Z0-9.:-]*[a-zA-Z0-9:])?$';
const HOST_OF_BROKER = '^([a-zA-Z0-9.-]|[{]id[}])+$';
const port = (description: string): Schema => integer(description, 1, PORT_MAX);

const brokerSchema = object<ListenerBroker>(
  'What one broker has otherwise.',
  {
    broker: integer('Its number.', 0, BROKERS_MAX - 1),
    host: host('Where its clients dial it.', HOST),
    port: port('The port there.'),
    nodePort: port('Port of every node. Absent: Kubernetes chooses.'),
  },
  { required: ['broker'] },
);

function onlyOf(field: 'loadBalancerSourceRanges' | 'nodePort', types: readonly string[]): Rule {
  return {
    cel: `self.type in ['${types.join("', '")}'] || !has(self.${field})`,
    message: `type is %s, must be ${types.join(' or ')} where ${field} is given`,
    values: ['self.type'],
    fieldPath: '.type',
    check: (self: ClientListener) =>
      types.includes(self.type) || self[field] === undefined ? null : [self.type],
  };
}

/** Those of the listener that every broker has, where TLS is called `tls`. */
const RULES_OF_CLIENTS = CLIENT_RULES.filter(({ cel }) => !cel.includes('internalTls')).map(
  ({ check, cel, message, values, fieldPath, ...rest }): Rule => {
    const renamed = (words: string): string => words.replaceAll('clientTls', 'tls');
    return {
      ...rest,
      cel: renamed(cel),
      message: renamed(message),
      values: values.map(renamed),
      ...(fieldPath === undefined ? {} : { fieldPath: renamed(fieldPath) }),
      check: ({ tls, auth }: ClientListener) =>
        check({ clientTls: tls, auth } as never, undefined as never),
    };
  },
);

const overlay = overlayFields('the Services');

const listenerSchema = object<ClientListener>(
  'One listener. What says how it is reached changes while the brokers run; name, port, TLS and authentication restart them.',
  {
    name: text('Its name.', LISTENER_NAME_LENGTH_MAX, {
      minLength: 1,
      pattern: '^[a-z](-?[a-z0-9])*$',
      patternMeaning: 'of a-z, 0-9 and single "-" inside, a letter first',
      rules: [
        {
          cel: `!(self in ['${TAKEN_NAMES.join("', '")}']) && !self.matches('-[0-9]+$')`,
          message: `name is %s, must not be ${TAKEN_NAMES.join(', ')}, nor end in a number: Services have such names`,
          values: ['self'],
          check: (name: string) =>
            TAKEN_NAMES.includes(name) || /-[0-9]+$/.test(name) ? [name] : null,
        },
      ],
    }),
    port: integer('Port of the pods, and of the Services.', PORT_MIN, PORT_MAX, {
      rules: [
        {
          cel: `!(self in [${TAKEN_PORTS.join(', ')}])`,
          message: `port is %s, must not be ${TAKEN_PORTS.join(', ')}, which every broker has`,
          values: ['self'],
          check: (given: number) => (TAKEN_PORTS.includes(given) ? [given] : null),
        },
      ],
    }),
    type: choice(
      'ClusterIP: within the cluster. NodePort: at a port of every node. LoadBalancer: a load balancer for each broker, and one to begin at. Gateway: routes of yours lead to a Service for each broker.',
      ['ClusterIP', 'NodePort', 'LoadBalancer', 'Gateway'],
    ),
    tls: clientTlsSchema,
    auth: object<ListenerAuth>(
      'Who clients are. It has to be stated: without methods nobody is asked, and then everybody may do everything.',
      authFields,
    ),
    advertisedHost: host(
      `Where clients dial a broker, with ${ID_PLACE} for its number. Absent: the load balancer's address, or the pod's name.`,
      HOST_OF_BROKER,
    ),
    advertisedPort: port('The port there. Absent: as the type has it; of a Gateway 443.'),
    bootstrapHost: host('Where clients begin, for certificates and for the status.', HOST),
    brokers: list('What single brokers have otherwise.', brokerSchema, BROKERS_MAX, {
      listType: 'map',
      listMapKeys: ['broker'],
    }),
    nodePort: port('Port of every node at which clients begin. Absent: Kubernetes chooses.'),
    labels: overlay.labels,
    annotations: {
      ...overlay.annotations,
      description: 'Annotations of the Services, such as a cloud asks for.',
    },
    loadBalancerSourceRanges: list(
      'Addresses that the load balancers let in. Absent: all.',
      text('Range such as 192.0.2.0/24.', 64, { minLength: 1 }),
      RANGES_MAX,
      { minItems: 1 },
    ),
    clients: networkPeers(
      'Who may reach the port, where the operator makes NetworkPolicies. Absent: everybody.',
    ),
  },
  {
    required: ['name', 'port', 'type', 'auth'],
    rules: [
      ...RULES_OF_CLIENTS,
      {
        cel: `!(self.type in ['${SHARED_TYPES.join("', '")}']) || has(self.advertisedHost)`,
        message:
          'type is %s, must be given with advertisedHost: nothing else says where clients dial',
        values: ['self.type'],
        fieldPath: '.type',
        check: ({ type, advertisedHost }: ClientListener) =>
          SHARED_TYPES.includes(type) && advertisedHost === undefined ? [type] : null,
      },
      {
        cel: `self.type != 'Gateway' || !has(self.advertisedHost) || self.advertisedHost.contains('${ID_PLACE}')`,
        message: `advertisedHost is %s, must hold ${ID_PLACE}: a Gateway tells brokers apart by their names`,
        values: ['self.advertisedHost'],
        fieldPath: '.advertisedHost',
        check: ({ type, advertisedHost }: ClientListener) =>
          type === 'Gateway' && advertisedHost?.includes(ID_PLACE) === false
            ? [advertisedHost]
            : null,
      },
      onlyOf('nodePort', ['NodePort', 'LoadBalancer']),
      onlyOf('loadBalancerSourceRanges', ['LoadBalancer']),
    ],
  },
);

export const listenersSchema: Schema = list(
  'More listeners for clients, each with a port, TLS and authentication of its own. One that is added, or taken away, restarts the brokers once; without any nothing changes.',
  listenerSchema,
  LISTENERS_MAX,
  { listType: 'map', listMapKeys: ['name'] },
);

export const LISTENER_RULES: readonly Rule[] = [
  {
    cel: '!has(self.listeners) || self.listeners.all(one, self.listeners.exists_one(other, other.port == one.port))',
    message: 'listeners have port %s twice, must have each once',
    values: [
      'self.listeners.filter(one, !self.listeners.exists_one(other, other.port == one.port))[0].port',
    ],
    fieldPath: '.listeners',
    check: ({ listeners = [] }: LogClusterSpec) => {
      const ports = listeners.map((listener) => listener.port);
      const twice = ports.find((each) => ports.indexOf(each) !== ports.lastIndexOf(each));
      return twice === undefined ? null : [twice];
    },
  },
  {
    cel: "!has(self.listeners) || !has(self.internalTls.mode) || self.internalTls.mode == 'Enabled' || self.listeners.all(one, one.tls.mode == 'Disabled' || has(one.tls.secretName))",
    message:
      'internalTls.mode is %s, must be Enabled where tls.secretName of a listener is absent: the operator issues certificates for both or for none',
    values: ['self.internalTls.mode'],
    fieldPath: '.internalTls.mode',
    check: ({ listeners = [], internalTls: { mode } }: LogClusterSpec) =>
      mode === 'Disabled' && listeners.some(({ tls }) => isIssued(tls)) ? [mode] : null,
  },
];

/** Do clients of any listener meet certificates that the operator issues? */
export function issuesForClients({
  clientTls,
  listeners = [],
}: Pick<LogClusterSpec, 'clientTls' | 'listeners'>): boolean {
  return isIssued(clientTls) || listeners.some(({ tls }) => isIssued(tls));
}

/** Of a listener what shapes a pod: the same text restarts nobody. */
export function podShapeOf({ name, port: at, tls, auth }: ClientListener): ClientListener {
  return { name, port: at, type: 'ClusterIP', tls, auth };
}
