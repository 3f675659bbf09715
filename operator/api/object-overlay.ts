/**
 * Labels and annotations that a LogCluster adds to its objects. Pure. Keys by which the operator,
 * or Kubernetes itself, knows an object are protected: with another value brokers would not be
 * selected, or a bound claim would count as lost.
 */
import { labelMap } from './pod-schema.ts';
import { map, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { ObjectOverlay, ObjectOverlays } from './types.ts';

const ANNOTATION_LENGTH_MAX = 4_096;
const ITEMS_MAX = 32;

/** By which pods and objects are selected; others of the operator stand over what is given. */
const OWN_KEYS = ['name', 'instance', 'component'].map((name) => `app.kubernetes.io/${name}`);
const OWN_PREFIX = 'tidemark.dev/';
/** Of Kubernetes' controllers of volumes. */
const VOLUME_PREFIXES = [
  'pv.kubernetes.io/',
  'volume.kubernetes.io/',
  'volume.beta.kubernetes.io/',
];

function without(
  field: string,
  whose: string,
  cel: string,
  isProtected: (key: string) => boolean,
): Rule {
  return {
    cel: `self.all(key, !(${cel}))`,
    message: `${field} has %s, must not have keys that ${whose} sets`,
    values: [`self.filter(key, ${cel})[0]`],
    check: (given: Readonly<Record<string, string>>) => {
      const key = Object.keys(given).find(isProtected);
      return key === undefined ? null : [key];
    },
  };
}

const withoutOwn = (field: string): Rule =>
  without(
    field,
    'the operator',
    `key.startsWith('${OWN_PREFIX}') || key in ['${OWN_KEYS.join("', '")}']`,
    (key) => key.startsWith(OWN_PREFIX) || OWN_KEYS.includes(key),
  );

const withoutVolumes = (field: string): Rule =>
  without(
    field,
    'Kubernetes',
    VOLUME_PREFIXES.map((prefix) => `key.startsWith('${prefix}')`).join(' || '),
    (key) => VOLUME_PREFIXES.some((prefix) => key.startsWith(prefix)),
  );

/** @param more rules, by the field that they are for */
export function overlayFields(
  whose: string,
  more: (field: string) => readonly Rule[] = () => [],
): { readonly [Key in keyof Required<ObjectOverlay>]: Schema } {
  return {
    labels: {
      ...labelMap(`Labels of ${whose}.`, ITEMS_MAX),
      rules: [withoutOwn('labels'), ...more('labels')],
    },
    annotations: map(
      `Annotations of ${whose}.`,
      text('Value of the annotation.', ANNOTATION_LENGTH_MAX),
      ITEMS_MAX,
      { rules: [withoutOwn('annotations'), ...more('annotations')] },
    ),
  };
}

function overlay(
  description: string,
  whose: string,
  more?: (field: string) => readonly Rule[],
): Schema {
  return object<ObjectOverlay>(description, overlayFields(whose, more));
}

export const objectsSchema: Schema = object<ObjectOverlays>(
  'Labels and annotations of objects beside the pods, applied live: no broker restarts, and a key that is taken away here is taken away there. What others put on the objects stays.',
  {
    clientsService: overlay('The Service at which clients begin.', 'the Service'),
    brokersService: overlay('The headless Service of the brokers.', 'the Service'),
    claims: overlay(
      'The volume claims of brokers, once these have written down whose records they hold.',
      'the claims',
      (field) => [withoutVolumes(field)],
    ),
    budget: overlay('The PodDisruptionBudget.', 'the budget'),
  },
);
