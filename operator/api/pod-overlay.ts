/**
 * What a LogCluster adds to its brokers' pods beside scheduling: identity, variables, volumes,
 * containers, DNS. Pure. What Kubernetes alone can judge is passed through as it is; what a broker
 * needs is protected by name, so that a refusal says which field would have taken it away.
 */
import { STOP_VETO_MS_MAX } from '../../base/stop-veto.ts';
import { STOP_TIMEOUT_CEL, stopTimeoutMs } from './broker-config.ts';
import { BROKER_CONTAINER, DATA_VOLUME, TLS_VOLUME } from './names.ts';
import { boolean, choice, integer, list, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type {
  AddedContainer,
  AddedVolume,
  DnsConfig,
  EnvironmentVariable,
  LogClusterSpec,
  PodSecurity,
  PodTemplate,
  VolumeMount,
} from './types.ts';

const NAME_LENGTH_MAX = 253;
const DNS_LABEL_LENGTH_MAX = 63;
const PATH_LENGTH_MAX = 512;
const ITEMS_MAX = 16;
const CONTAINERS_MAX = 8;
const SECONDS_MAX = 86_400;
/**
 * After leadership has moved: closing streams, a last sync of every log, and the session file that
 * makes the stop an orderly one.
 */
const STOP_RESERVE_S = 40;

/** Variables by which a broker learns what it is. */
const OWN_VARIABLES = ['POD_NAME', 'UV_THREADPOOL_SIZE'];
const OWN_PREFIX = 'TIDEMARK_';
const OWN_VOLUMES = [
  DATA_VOLUME,
  TLS_VOLUME,
  'addresses',
  'issuer',
  'client-tls',
  'client-ca',
  'auth-tokens',
];
/** Of a broker's data, certificates and program. */
const OWN_PATHS = [
  '/var/lib/tidemark',
  '/etc/tidemark',
  '/opt/tidemark',
  '/var/run/secrets/tidemark-issuer',
];

const quoted = (names: readonly string[]): string => `['${names.join("', '")}']`;

/** Seconds that a pod gets at least from the request to end until it is killed. */
export function graceSeconds({ config }: Pick<LogClusterSpec, 'config'>): number {
  return Math.ceil((STOP_VETO_MS_MAX + stopTimeoutMs(config)) / 1_000) + STOP_RESERVE_S;
}

const environmentSchema = object<EnvironmentVariable>(
  'A variable.',
  {
    name: text('Its name.', NAME_LENGTH_MAX, { minLength: 1 }),
    value: text('Its value.', 4_096),
    valueFrom: { type: 'object', description: 'Where its value is taken from.', isOpen: true },
  },
  { required: ['name'] },
);

const isOwnVariable = ({ name }: EnvironmentVariable): boolean =>
  name.startsWith(OWN_PREFIX) || OWN_VARIABLES.includes(name);
const ownVariableCel = `each.name.startsWith('${OWN_PREFIX}') || each.name in ${quoted(OWN_VARIABLES)}`;

const mountFields = {
  name: text('Volume.', DNS_LABEL_LENGTH_MAX, { minLength: 1 }),
  mountPath: text('Where in the container.', PATH_LENGTH_MAX, { minLength: 1 }),
  readOnly: boolean('Whether it can only be read.'),
};

const meets = (path: string, own: string): boolean =>
  path === own || path.startsWith(`${own}/`) || own.startsWith(`${path.replace(/\/$/, '')}/`);
const meetsCel = `${quoted(OWN_PATHS)}.exists(own, each.mountPath == own || each.mountPath.startsWith(own + '/') || own.startsWith(each.mountPath.endsWith('/') ? each.mountPath : each.mountPath + '/'))`;

function added(what: string): Schema {
  return list(
    what,
    {
      ...object<AddedContainer>(
        'A container; all that Kubernetes knows of one is passed through.',
        {
          name: text('Its name.', DNS_LABEL_LENGTH_MAX, { minLength: 1 }),
          volumeMounts: list(
            'Volumes that it has.',
            {
              ...object<VolumeMount>('A mount.', mountFields, { required: ['name'] }),
              isOpen: true,
            },
            ITEMS_MAX,
          ),
        },
        { required: ['name'] },
      ),
      isOpen: true,
    },
    CONTAINERS_MAX,
    {
      rules: [
        {
          cel: `self.all(each, each.name != '${BROKER_CONTAINER}')`,
          message: `name is %s, must be another: the operator makes the container ${BROKER_CONTAINER}`,
          values: [`self.filter(each, each.name == '${BROKER_CONTAINER}')[0].name`],
          check: (containers: readonly AddedContainer[]) =>
            containers.some(({ name }) => name === BROKER_CONTAINER) ? [BROKER_CONTAINER] : null,
        },
        {
          cel: `self.all(each, !has(each.volumeMounts) || each.volumeMounts.all(mount, mount.name != '${DATA_VOLUME}' || (has(mount.readOnly) && mount.readOnly)))`,
          message: `container %s mounts volume ${DATA_VOLUME}, must do so with readOnly: the broker alone writes there`,
          values: [
            `self.filter(each, has(each.volumeMounts) && each.volumeMounts.exists(mount, mount.name == '${DATA_VOLUME}' && !(has(mount.readOnly) && mount.readOnly)))[0].name`,
          ],
          check: (containers: readonly AddedContainer[]) => {
            const writer = containers.find(({ volumeMounts = [] }) =>
              volumeMounts.some(({ name, readOnly }) => name === DATA_VOLUME && readOnly !== true),
            );
            return writer === undefined ? null : [writer.name];
          },
        },
      ],
    },
  );
}

type Overlay = Pick<
  PodTemplate,
  | 'serviceAccountName'
  | 'securityContext'
  | 'env'
  | 'volumes'
  | 'volumeMounts'
  | 'containers'
  | 'initContainers'
  | 'terminationGracePeriodSeconds'
  | 'runtimeClassName'
  | 'dnsPolicy'
  | 'dnsConfig'
>;

export const OVERLAY_FIELDS: { readonly [Key in keyof Required<Overlay>]: Schema } = {
  serviceAccountName: text(
    'ServiceAccount of the pods; no token of it is mounted. Absent: default.',
    NAME_LENGTH_MAX,
    { minLength: 1 },
  ),
  securityContext: {
    ...object<PodSecurity>(
      "Over the pod's own, field by field: user, group and fsGroup 1000 (on OpenShift as the platform says), no root, RuntimeDefault.",
      {
        runAsNonRoot: boolean('Brokers never run as root.'),
        runAsUser: integer('User.', 1, 2_147_483_647),
      },
      {
        rules: [
          {
            cel: '!has(self.runAsNonRoot) || self.runAsNonRoot',
            message: 'runAsNonRoot is %s, must be true: no broker runs as root',
            values: ["'false'"],
            check: ({ runAsNonRoot }: PodSecurity) => (runAsNonRoot === false ? ['false'] : null),
          },
        ],
      },
    ),
    isOpen: true,
  },
  env: list('Variables of the broker beside its own.', environmentSchema, ITEMS_MAX * 2, {
    rules: [
      {
        cel: `self.all(each, !(${ownVariableCel}))`,
        message:
          'env has %s, must not have variables that the operator sets: options of brokers belong into spec.config',
        values: [`self.filter(each, ${ownVariableCel})[0].name`],
        check: (variables: readonly EnvironmentVariable[]) => {
          const own = variables.find(isOwnVariable);
          return own === undefined ? null : [own.name];
        },
      },
    ],
  }),
  volumes: list(
    "Volumes beside the broker's own. Their source is passed through.",
    {
      ...object<AddedVolume>(
        'A volume.',
        { name: text('Its name.', DNS_LABEL_LENGTH_MAX, { minLength: 1 }) },
        { required: ['name'] },
      ),
      isOpen: true,
    },
    ITEMS_MAX,
    {
      rules: [
        {
          cel: `self.all(each, !(each.name in ${quoted(OWN_VOLUMES)}))`,
          message: "volumes has %s, must not have names of the broker's own",
          values: [`self.filter(each, each.name in ${quoted(OWN_VOLUMES)})[0].name`],
          check: (volumes: readonly AddedVolume[]) => {
            const own = volumes.find(({ name }) => OWN_VOLUMES.includes(name));
            return own === undefined ? null : [own.name];
          },
        },
      ],
    },
  ),
  volumeMounts: list(
    'Where the broker has them.',
    {
      ...object<VolumeMount>('A mount.', mountFields, { required: ['name', 'mountPath'] }),
      isOpen: true,
    },
    ITEMS_MAX,
    {
      rules: [
        {
          cel: `self.all(each, !${meetsCel})`,
          message: `mountPath is %s, must neither be in nor hold ${OWN_PATHS.join(', ')}`,
          values: [`self.filter(each, ${meetsCel})[0].mountPath`],
          check: (mounts: readonly VolumeMount[]) => {
            const wrong = mounts.find(({ mountPath = '' }) =>
              OWN_PATHS.some((own) => meets(mountPath, own)),
            );
            return wrong === undefined ? null : [wrong.mountPath ?? ''];
          },
        },
      ],
    },
  ),
  containers: added('Containers beside the broker.'),
  initContainers: added('Containers that run before the broker, or beside it (restartPolicy).'),
  terminationGracePeriodSeconds: integer(
    'Seconds from the request to end until a pod is killed. Absent: what an orderly stop needs.',
    1,
    SECONDS_MAX,
  ),
  runtimeClassName: text('Runtime class of the pods.', NAME_LENGTH_MAX, { minLength: 1 }),
  dnsPolicy: choice(
    'How names are resolved. Brokers need those of the cluster: None needs a server that knows them.',
    ['ClusterFirst', 'None'],
  ),
  dnsConfig: object<DnsConfig>('Servers, search domains and options of the resolver.', {
    nameservers: list('Addresses of servers.', text('Address.', DNS_LABEL_LENGTH_MAX), 3),
    searches: list('Search domains.', text('Domain.', NAME_LENGTH_MAX), 32),
    options: list(
      'Options.',
      object<{ name: 0; value: 0 }>('An option.', {
        name: text('Name.', DNS_LABEL_LENGTH_MAX),
        value: text('Value.', DNS_LABEL_LENGTH_MAX),
      }),
      ITEMS_MAX,
    ),
  }),
};

/** Between the pod and the options of the broker in it: a rule of the whole spec. */
export const GRACE_RULE: Rule = {
  cel: `!has(self.podTemplate.terminationGracePeriodSeconds) || self.podTemplate.terminationGracePeriodSeconds * 1000 >= ${STOP_VETO_MS_MAX + STOP_RESERVE_S * 1_000} + ${STOP_TIMEOUT_CEL}`,
  message:
    'podTemplate.terminationGracePeriodSeconds is %s, must be at least %s: an orderly stop takes as long',
  values: [
    'self.podTemplate.terminationGracePeriodSeconds',
    `(${STOP_VETO_MS_MAX + STOP_RESERVE_S * 1_000 + 999} + ${STOP_TIMEOUT_CEL}) / 1000`,
  ],
  fieldPath: '.podTemplate.terminationGracePeriodSeconds',
  check: (spec: LogClusterSpec) => {
    const { terminationGracePeriodSeconds: given } = spec.podTemplate;
    const least = graceSeconds(spec);
    return given === undefined || given >= least ? null : [given, least];
  },
};
