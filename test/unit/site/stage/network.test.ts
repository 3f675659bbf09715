import { describe, expect, it } from 'vitest';
import { Random } from '../../../../base/random.ts';
import { Network } from '../../../../site/stage/network.ts';
import type { Place } from '../../../../site/stage/picture.ts';
import { Timeline } from '../../../../site/stage/timeline.ts';

function network() {
  const timeline = new Timeline();
  const arrived: string[] = [];
  const net = new Network(timeline, new Random(3));
  const send = (text: string, from: Place, to: Place, kind: 'ask' | null = 'ask'): void => {
    net.send({ kind, from, to, text, deliver: () => arrived.push(text) });
  };
  return { timeline, net, arrived, send };
}

describe('Network', () => {
  it('delivers what one place sends another in its order', () => {
    const { timeline, arrived, send } = network();
    const texts = Array.from({ length: 20 }, (_, at) => `${at}`);
    for (const text of texts) send(text, 1, 2);
    timeline.pass(500);
    expect(arrived).toEqual(texts);
  });

  it('loses what is on a link that is cut, and what is sent then', () => {
    const { timeline, net, arrived, send } = network();
    send('before', 1, 2);
    send('elsewhere', 1, 3);
    net.cut(2, 1);
    send('meanwhile', 2, 1);
    net.heal(1, 2);
    send('after', 1, 2);
    timeline.pass(100);
    expect(arrived.sort()).toEqual(['after', 'elsewhere']);
  });

  it('loses what was on the connections of a process that is gone', () => {
    const { timeline, net, arrived, send } = network();
    send('to it', 1, 2);
    send('from it', 2, 'controller');
    net.gone(2);
    timeline.pass(100);
    expect(arrived).toEqual([]);
  });

  it('delays what a slow place sends and gets', () => {
    const { timeline, net, arrived, send } = network();
    net.slow(2, 200);
    send('slow', 1, 2);
    send('fast', 1, 3);
    timeline.pass(100);
    expect(arrived).toEqual(['fast']);
    timeline.pass(200);
    expect(arrived).toEqual(['fast', 'slow']);
  });

  it('is quiet while only what is too common to be shown is on its way', () => {
    const { net, send } = network();
    send('heartbeat', 1, 'controller', null);
    expect(net.isQuiet).toBe(true);
    send('request', 1, 'controller');
    expect(net.flights.map(({ text }) => text)).toEqual(['request']);
    expect(net.isQuiet).toBe(false);
  });
});
