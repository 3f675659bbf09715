import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { onBehalfOf, principalOf, setPrincipal } from '../../../../broker/messages/principal.ts';

describe('the principal of a call', () => {
  it('is what was put there last, in any letters', () => {
    const metadata = setPrincipal(setPrincipal(new Metadata(), 'token:a'), 'cert:CN=Jürgen');
    expect(principalOf({ metadata })).toBe('cert:CN=Jürgen');
    expect(onBehalfOf({ metadata })).toEqual({ principal: 'cert:CN=Jürgen' });
  });

  it('is nobody where none was put, or it was taken away', () => {
    expect(principalOf({ metadata: new Metadata() })).toBe('');
    const metadata = setPrincipal(setPrincipal(new Metadata(), 'token:a'), '');
    expect(onBehalfOf({ metadata })).toEqual({});
  });
});
