/**
 * What differs between an object as it is and as we would apply it. Only what our field manager
 * owns counts: fields and items of others, and what the API server adds, are nobody's business
 * here. Pure. Source: "Server-Side Apply" in the documentation of Kubernetes.
 */
import { FIELD_MANAGER } from '../api/names.ts';
import { quantityValue } from '../api/quantity.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Lists whose items have keys, by the name of their field; others are one value. */
const LIST_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  volumeMounts: ['mountPath'],
  imagePullSecrets: ['name'],
  ownerReferences: ['uid'],
  topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
};

/**
 * Paths at which `live` does not hold what `wanted` says, as `spec.ports[9641,TCP].targetPort`;
 * among them fields and items of lists that are ours and that `wanted` has no more.
 */
export function differences(live: unknown, wanted: unknown): string[] {
  return compare(live, wanted, ownedFields(live), '', undefined);
}

/** What server-side apply has written down as ours, as a tree of `f:name` and `k:{keys}`. */
function ownedFields(live: unknown): Fields {
  const { metadata } = (live ?? {}) as {
    readonly metadata?: {
      readonly managedFields?: readonly {
        readonly manager?: string;
        readonly operation?: string;
        readonly subresource?: string;
        readonly fieldsV1?: Fields;
      }[];
    };
  };
  const own = metadata?.managedFields?.find(
    ({ manager, operation, subresource }) =>
      manager === FIELD_MANAGER && operation === 'Apply' && subresource === undefined,
  );
  return own?.fieldsV1 ?? {};
}

function compare(
  live: unknown,
  wanted: unknown,
  owned: Fields,
  path: string,
  field: string | undefined,
): string[] {
  if (wanted === undefined) return [];
  if (Array.isArray(wanted)) {
    const keys = keysOf(field, wanted);
    if (keys !== undefined) return compareItems(live, wanted, keys, owned, path);
    const isSame =
      Array.isArray(live) &&
      live.length === wanted.length &&
      wanted.every((item, index) => compare(live[index], item, {}, '', undefined).length === 0);
    return isSame ? [] : [path];
  }
  if (typeof wanted === 'object' && wanted !== null) {
    const fields = (live ?? {}) as Fields;
    const missingOrOther = Object.entries(wanted).flatMap(([name, part]) =>
      isEmpty(part) && fields[name] === undefined
        ? []
        : compare(
            fields[name],
            part,
            (owned[`f:${name}`] ?? {}) as Fields,
            below(path, name),
            name,
          ),
    );
    return [...missingOrOther, ...surplus(fields, wanted as Fields, owned, path)];
  }
  return live === wanted || isSameQuantity(live, wanted) ? [] : [path];
}

/** Applying takes these away, unless another manager has them too. */
function surplus(live: Fields, wanted: Fields, owned: Fields, path: string): string[] {
  return Object.entries(owned).flatMap(([key, within]) => {
    const name = key.slice(2);
    if (!key.startsWith('f:') || wanted[name] !== undefined || live[name] === undefined) return [];
    const isMap = Object.keys(within as Fields).some((each) => each.startsWith('f:'));
    const at = below(path, name);
    return isMap ? surplus(live[name] as Fields, {}, within as Fields, at) : [at];
  });
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function compareItems(
  live: unknown,
  wanted: readonly unknown[],
  keys: readonly string[],
  owned: Fields,
  path: string,
): string[] {
  const items = (Array.isArray(live) ? live : []) as readonly Fields[];
  const keyOf = (item: Fields): string => keys.map((key) => String(item[key])).join(',');
  const ours = new Map(
    Object.entries(owned)
      .filter(([name]) => name.startsWith('k:'))
      .map(([name, within]) => [keyOf(parsed(name.slice(2))), within]),
  );
  const missingOrOther = (wanted as readonly Fields[]).flatMap((item) => {
    const found = items.find((each) => keyOf(each) === keyOf(item));
    const at = `${path}[${keyOf(item)}]`;
    return found === undefined
      ? [at]
      : compare(found, item, (ours.get(keyOf(item)) ?? {}) as Fields, at, undefined);
  });
  const unwanted = items
    .map(keyOf)
    .filter(
      (key) => ours.has(key) && !(wanted as readonly Fields[]).some((item) => keyOf(item) === key),
    );
  return [...missingOrOther, ...unwanted.map((key) => `${path}[${key}]`)];
}

function keysOf(
  field: string | undefined,
  wanted: readonly unknown[],
): readonly string[] | undefined {
  if (field !== 'ports') return field === undefined ? undefined : LIST_KEYS[field];
  const [first] = wanted as readonly Fields[];
  return first?.['containerPort'] === undefined
    ? ['port', 'protocol']
    : ['containerPort', 'protocol'];
}

function parsed(text: string): Fields {
  try {
    return (JSON.parse(text) ?? {}) as Fields;
  } catch {
    return {};
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** The API server writes 1024Mi as 1Gi. */
function isSameQuantity(live: unknown, wanted: unknown): boolean {
  if (!['string', 'number'].includes(typeof live) || !['string', 'number'].includes(typeof wanted))
    return false;
  const value = quantityValue(wanted as string);
  return !Number.isNaN(value) && quantityValue(live as string) === value;
}
