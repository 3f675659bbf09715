import { beforeEach, describe, expect, it } from 'vitest';
import { StreamHold, type ThrottledCall } from '../../../../broker/doors/stream-hold.ts';
import { FakeClock } from '../runtime/fake-clock.ts';
import { FakeStream } from './fake-stream.ts';

describe('StreamHold', () => {
  let clock: FakeClock;
  let stream: FakeStream;
  let call: ThrottledCall;
  let hold: StreamHold;
  let waitMs: number;
  let told: string[];
  let seen: unknown[];

  beforeEach(() => {
    clock = new FakeClock();
    stream = new FakeStream();
    call = stream;
    waitMs = 0;
    told = [];
    seen = [];
    hold = new StreamHold(stream, {
      clock,
      waitMs: () => waitMs,
      onHeld: (ms) => told.push(`held ${ms}`),
      onReleased: (ms) => told.push(`released ${ms}`),
      onStillHeld: () => told.push('still'),
    });
    hold.onMessage((message) => told.push(`message ${String(message)}`));
  });

  /** Time passes, and is waited off. */
  function pass(ms: number): void {
    waitMs = Math.max(0, waitMs - ms);
    clock.advance(ms);
  }

  it('reads on where nothing is to be waited for', () => {
    call.on('data', (message) => seen.push(message));
    stream.emit('data', 'a');
    expect([seen, told, stream.isPaused]).toEqual([['a'], ['message a'], false]);
  });

  it('reads no further until it is paid, and tells how long that was', () => {
    call.on('data', (message) => seen.push(message));
    waitMs = 300;
    stream.emit('data', 'a');
    expect(seen).toEqual(['a']);
    expect(stream.isPaused).toBe(true);
    pass(299);
    expect(stream.isPaused).toBe(true);
    pass(1);
    expect(stream.isPaused).toBe(false);
    expect(told).toEqual(['message a', 'held 300', 'released 300']);
  });

  it('holds one that comes with a debt before its first message', () => {
    waitMs = 5;
    call.on('data', (message) => seen.push(message));
    expect(stream.isPaused).toBe(true);
    pass(5);
    expect(stream.isPaused).toBe(false);
  });

  it('looks again each second, since there may be less to wait, or more', () => {
    waitMs = 60_000;
    call.on('data', () => {});
    clock.advance(1_000);
    expect(told).toEqual(['held 60000', 'still']);
    waitMs = 0;
    clock.advance(1_000);
    expect(told).toEqual(['held 60000', 'still', 'released 2000']);
    expect(stream.isPaused).toBe(false);
  });

  it('leaves a handler that has paused the stream by itself its pause', () => {
    call.on('data', () => call.pause?.());
    waitMs = 10;
    stream.emit('data', 'a');
    pass(10);
    expect(stream.isPaused).toBe(true);
    waitMs = 10;
    stream.emit('data', 'b');
    call.resume?.();
    expect(stream.isPaused).toBe(true);
    pass(10);
    expect(stream.isPaused).toBe(false);
  });

  it('gives answers no room while they are held, and room again once', () => {
    let drained = 0;
    hold.onAnswer((message) => told.push(`answer ${String(message)}`));
    call.on('drain', () => {
      drained += 1;
    });
    expect(call.write?.('a')).toBe(true);
    waitMs = 100;
    expect(call.write?.('b')).toBe(false);
    expect(stream.written).toEqual(['a', 'b']);
    stream.emit('drain');
    expect(drained).toBe(0);
    pass(100);
    expect(drained).toBe(1);
    expect(call.write?.('c')).toBe(true);
    // Where the peer has not taken what was written, it is that which makes room.
    waitMs = 100;
    stream.writableNeedDrain = true;
    expect(call.write?.('d')).toBe(false);
    pass(100);
    expect(drained).toBe(1);
    stream.writableNeedDrain = false;
    stream.emit('drain');
    expect(drained).toBe(2);
  });

  it('lets answers through where only messages are held', () => {
    let drained = 0;
    call.on('data', () => {});
    call.on('drain', () => {
      drained += 1;
    });
    waitMs = 100;
    stream.emit('data', 'a');
    expect(call.write?.('a')).toBe(true);
    stream.emit('drain');
    expect(drained).toBe(1);
    pass(100);
    expect(drained).toBe(1);
  });

  it.each(['error', 'cancelled', 'finish', 'close'])('does nothing after %s', (event) => {
    call.on('data', () => {});
    waitMs = 100;
    stream.emit('data', 'a');
    stream.emit(event);
    pass(100_000);
    waitMs = 100;
    stream.emit('data', 'b');
    pass(100_000);
    expect(told).toEqual(['message a', 'held 100', 'message b']);
  });
});
