/** ConsumeService: not built yet. */
import type { ConsumeServiceServer } from '../../../proto/gen/tidemark/v1/consume.ts';
import { BrokerError } from '../../../base/errors.ts';
import { LEVEL_OF_MEMBERS, requireLevel } from '../../metadata/features.ts';
import { failCall } from '../../messages/handlers.ts';
import type { Cluster } from '../cluster.ts';

/** Handlers of ConsumeService. */
export function consumeService({ cluster }: { readonly cluster: Cluster }): ConsumeServiceServer {
  return {
    consume: (call) => {
      requireLevel(cluster.image(), LEVEL_OF_MEMBERS, 'join a group');
      failCall(call, new BrokerError('REFUSED', 'This build does not serve members of groups yet'));
    },
  };
}
