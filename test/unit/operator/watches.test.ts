import { afterEach, beforeEach, expect, it } from 'vitest';
import { CLAIM, type Kind, type KubeObject, POD, SERVICE } from '../../../operator/api/kinds.ts';
import { objectLabels } from '../../../operator/api/names.ts';
import { ObjectCache } from '../../../operator/kube/cache.ts';
import { Watches } from '../../../operator/watches.ts';
import { ManualClock } from '../../fixtures/kube/manual-clock.ts';

type Machinery = ConstructorParameters<typeof Watches>[1];

let cache: ObjectCache;
let watches: Watches;
let asked: { readonly kind: string; readonly labelSelector: string | undefined }[];

const managedBy = (manager: string): object => ({ manager, operation: 'Apply', fieldsV1: {} });

function service(): KubeObject {
  const managedFields = ['kubectl', 'tidemark-operator', 'kube-controller-manager'].map(managedBy);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'shop', resourceVersion: '1', managedFields },
  };
}

beforeEach(() => {
  asked = [];
  cache = new ObjectCache(() => undefined);
  const client = {
    list: (type: Kind, { labelSelector }: { readonly labelSelector?: string }) => {
      asked.push({ kind: type.kind, labelSelector });
      const items = type.kind === 'Service' ? [service()] : [];
      return Promise.resolve({ items, resourceVersion: '1' });
    },
    // Nothing happens until it is stopped.
    watch: (_: Kind, { signal }: { readonly signal: AbortSignal }) => ({
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => resolve({ done: true, value: undefined }));
          }),
      }),
    }),
  } as unknown as Machinery['client'];
  const clock = new ManualClock();
  const shared = { client, cache, clock, random: () => 0.5, onError: () => undefined };
  const options = { namespaces: [], selector: '', canReadNodes: false, makesPolicies: true };
  watches = new Watches(options, shared);
  watches.start();
});
afterEach(() => watches.stop());

it('asks for pods and claims of brokers alone, and for all of what may have our names', async () => {
  await watches.whenAllSynced();
  const selectorOf = ({ kind }: Kind): string | undefined =>
    asked.find((each) => each.kind === kind)?.labelSelector;
  const selector = selectorOf(POD) ?? '';
  expect(selectorOf(CLAIM)).toBe(selector);
  expect(selectorOf(SERVICE)).toBeUndefined();
  const labels = objectLabels('orders');
  for (const term of selector.split(',')) {
    const [key = '', value] = term.split('=');
    expect(labels[key]).toBe(value);
  }
});

it('keeps of managed fields what is ours, by which removed fields are noticed', async () => {
  await watches.whenAllSynced();
  const found = cache.get(SERVICE, { namespace: 'shop', name: 's' });
  expect(found?.metadata).toMatchObject({ managedFields: [{ manager: 'tidemark-operator' }] });
});
