import { describe, expect, it } from 'vitest';
import type { Peers } from '../../../../broker/runtime/ports.ts';
import { Quorum } from '../../../../broker/runtime/quorum.ts';
import { encodeVoters } from '../../../../broker/raft/peer.ts';
import type { Entry } from '../../../../broker/raft/types.ts';
import { FakeClock } from './fake-clock.ts';

const SELF = { brokerId: 1, directoryId: 'directory-1' };
/** More than any election timeout. */
const TICKS = 1_000;

/** A voter that is alone, with the log that it finds on its disk. */
function alone(data: readonly string[]): { readonly quorum: Quorum; readonly fatal: string[] } {
  const fatal: string[] = [];
  const voters: Entry = { index: 1, term: 1, kind: 'voters', data: encodeVoters([SELF]) };
  const entries = data.map(
    (text, at): Entry => ({ index: at + 2, term: 1, kind: 'data', data: text }),
  );
  const quorum = new Quorum({
    self: SELF,
    incarnation: 1,
    seed: 1,
    durable: {
      hardState: { term: 1, vote: null },
      snapshot: null,
      entries: [voters, ...entries],
    },
    clock: new FakeClock(),
    log: {
      load: () => Promise.reject(new Error('is loaded already')),
      write: () => Promise.resolve(),
      beginIncarnation: () => Promise.resolve(1),
      noteBrokerEpoch: () => Promise.resolve(1),
    },
    peers: { sendRaft: () => undefined } as unknown as Peers,
    onImage: () => undefined,
    onStatus: () => undefined,
    onFatal: (reason) => fatal.push(reason),
  });
  quorum.start();
  return { quorum, fatal };
}

/** Lets it elect itself and commit what it has. */
async function run(quorum: Quorum): Promise<void> {
  for (let tick = 0; tick < TICKS; tick += 1) {
    quorum.step({ kind: 'tick' });
    // A finished write is an input of its own.
    await Promise.resolve();
  }
}

describe('Quorum', () => {
  it('folds what is committed into the image', async () => {
    const { quorum, fatal } = alone(['[{"kind":"feature-level","featureLevel":2}]']);
    await run(quorum);
    expect({ level: quorum.image.featureLevel, fatal }).toEqual({ level: 2, fatal: [] });
  });

  it('ends, once and with the reason, where a newer build wrote what this one cannot read', async () => {
    const { quorum, fatal } = alone(['[{"kind":"feature-level","featureLevel":9},{"kind":"x"}]']);
    await run(quorum);
    expect(fatal).toEqual([
      'Cannot read metadata: records[1].kind is "x", must be one that this build knows: it was written by a newer build',
    ]);
    expect(quorum.image.index).toBe(0);
  });
});
