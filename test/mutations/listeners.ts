/** Of listeners for clients, and of where they are dialled. */
import type { Catcher, Mutation } from './types.ts';

const RULE = 'docs/rules.md#listeners';
const unit = (file: string): Catcher => ({ level: 'unit', file: `test/unit/${file}` });
const KEPT = unit('broker/metadata/controller/listeners.test.ts');
const ADVERTISED = unit('broker/advertised.test.ts');
const PLAYED: Catcher = {
  level: 'sim',
  file: 'test/sim/operator/kills.test.ts',
  title: 'listeners behind load balancers',
};

export const LISTENERS: readonly Mutation[] = [
  {
    id: 'addresses-below-their-level',
    rule: RULE,
    what: 'addresses of listeners are written down before every broker can read them',
    edits: [
      {
        file: 'broker/metadata/controller/listeners.ts',
        find: '|| !hasLevel(image, LEVEL_OF_LISTENERS)',
        replace: '',
      },
    ],
    caughtBy: [KEPT],
    inGate: true,
  },
  {
    id: 'addresses-again-and-again',
    rule: RULE,
    what: 'each heartbeat that says what metadata has is written down',
    edits: [
      {
        file: 'broker/metadata/controller/listeners.ts',
        find: 'if (areSame(stated, broker.listeners ?? [])) return [];',
        replace: '',
      },
    ],
    caughtBy: [KEPT],
  },
  {
    id: 'addresses-of-another-listener',
    rule: RULE,
    what: 'a client is told an address of a listener that it did not come by',
    edits: [
      {
        file: 'broker/service/describe.ts',
        find: 'listeners.find((each) => each.listener === listener)',
        replace: 'listeners[0]',
      },
    ],
    caughtBy: [unit('broker/service/described-listeners.test.ts')],
  },
  {
    id: 'address-before-certificate',
    rule: RULE,
    what: 'an address is told that the certificate in use does not hold',
    edits: [
      {
        file: 'broker/advertised.ts',
        find: 'certificate === null || holds(certificate, address.host)',
        replace: "certificate === null || address.host !== ''",
      },
    ],
    caughtBy: [ADVERTISED],
    inGate: true,
  },
  {
    id: 'certificate-lacks-a-balancer',
    rule: RULE,
    what: 'no certificate is issued anew for the address of a load balancer',
    edits: [
      {
        file: 'operator/decide/certificates.ts',
        find: '(leaf.missing ?? []).length > 0',
        replace: 'leaf.signer === null',
      },
    ],
    caughtBy: [PLAYED],
  },
];
