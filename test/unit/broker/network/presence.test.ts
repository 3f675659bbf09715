import { describe, expect, it } from 'vitest';

import { Presence } from '../../../../broker/network/presence.ts';

describe('Presence', () => {
  it('reports one death for all links that stood', () => {
    const reports: number[] = [];
    const presence = new Presence((brokerId) => reports.push(brokerId));
    const [first, second] = [presence.established(1), presence.established(1)];
    presence.lost(first);
    presence.lost(second);
    expect(reports).toEqual([1]);
  });

  it('reports the next death of a peer that came back', () => {
    const reports: number[] = [];
    const presence = new Presence((brokerId) => reports.push(brokerId));
    presence.lost(presence.established(1));
    presence.lost(presence.established(1));
    expect(reports).toEqual([1, 1]);
  });

  it('reports neither an orderly end nor an attempt that reached nobody', () => {
    const reports: number[] = [];
    const presence = new Presence((brokerId) => reports.push(brokerId));
    const link = presence.established(1);
    presence.ended(link);
    presence.lost(link);
    presence.lost(null);
    expect(reports).toEqual([]);
  });
});
