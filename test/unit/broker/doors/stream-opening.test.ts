import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { Opening } from '../../../../broker/doors/stream-opening.ts';

const open = (group: string) => ({ message: { $case: 'open', value: { group } } });
const CREDIT = { message: { $case: 'credit', value: { bytes: 1 } } };

describe('Opening', () => {
  let call: EventEmitter;
  let allowed: Set<string>;
  let refused: string[];
  let handled: unknown[];
  let opening: Opening;

  beforeEach(() => {
    call = new EventEmitter();
    allowed = new Set(['billing']);
    refused = [];
    handled = [];
    opening = new Opening(call, 'open', {
      judge: (asked) => {
        const { group } = asked as { readonly group: string };
        return allowed.has(group) ? null : new BrokerError('PERMISSION_DENIED', group);
      },
      refuse: ({ message }) => refused.push(message),
      isOver: () => refused.length > 0,
    });
    call.on('data', (message) => handled.push(message));
  });

  it('hands on what its caller may open, and what comes behind it', () => {
    call.emit('data', open('billing'));
    call.emit('data', CREDIT);
    expect(handled).toEqual([open('billing'), CREDIT]);
    expect(refused).toEqual([]);
  });

  it('hands on neither an opening that is refused nor what comes behind it', () => {
    call.emit('data', open('payroll'));
    call.emit('data', CREDIT);
    call.emit('data', open('billing'));
    expect(handled).toEqual([]);
    expect(refused).toEqual(['payroll']);
  });

  it('judges a second opening as the first', () => {
    call.emit('data', open('billing'));
    call.emit('data', open('payroll'));
    expect(handled).toEqual([open('billing')]);
    expect(refused).toEqual(['payroll']);
  });

  it('is judged again by what opened it, and by nothing before', () => {
    expect(opening.lookAgain()).toBe(true);
    call.emit('data', open('billing'));
    allowed.clear();
    expect(opening.lookAgain()).toBe(false);
    expect(refused).toEqual(['billing']);
  });

  it('stands what is no message of the stream', () => {
    for (const message of [undefined, null, {}, { message: undefined }]) call.emit('data', message);
    expect(handled).toHaveLength(4);
  });
});
