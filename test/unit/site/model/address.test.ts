import { describe, expect, it } from 'vitest';
import { addressOf, DEEDS_MAX, hashOf } from '../../../../site/model/address.ts';

const FIRST = 'commit';

describe('addressOf', () => {
  it('is the first story where nothing is named', () => {
    const plain = { story: FIRST, seed: '', chance: 1, deeds: [], at: 0 };
    expect(addressOf('', FIRST)).toEqual(plain);
    expect(addressOf('#', FIRST)).toEqual(plain);
  });

  it.for([
    '#story=leader-fails',
    '#story=raft/figure-8&at=12',
    '#story=acks&chance=7&do=12:kill+2;30:slow+3+ms=120;31:append+r4&at=30',
    '#seed=replication:7:trims',
  ])('reads and writes %s', (hash) => {
    expect(hashOf(addressOf(hash, FIRST))).toBe(hash);
  });

  it('does nothing that is not a deed on a broker', () => {
    const deeds = (text: string) => addressOf(`#story=acks&do=${text}`, FIRST).deeds;
    for (const text of ['1:run+999999', '1:settle', '1:cluster+1', 'x:kill+1', '1:kill+1+2', '1:'])
      expect(deeds(text)).toEqual([]);
    expect(deeds(Array.from({ length: 99 }, () => '1:kill+1').join(';'))).toHaveLength(DEEDS_MAX);
  });

  it('takes what is no text of an address for nothing', () => {
    expect(addressOf('#story=%E0%A4%A', FIRST)).toMatchObject({ story: '' });
    expect(addressOf('#chance=-1&at=1e9', FIRST)).toMatchObject({ chance: 1, at: 0 });
  });
});
