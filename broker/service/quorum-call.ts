/** The metadata quorum as its leader has it, wherever that is. */
import {
  AdminServiceService,
  type DescribeQuorumResponse,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { BrokerError } from '../../base/errors.ts';
import { NO_BROKER } from '../../base/units.ts';
import type { Cluster } from './cluster.ts';
import { describeQuorum } from './describe.ts';

/**
 * Throws NOT_CONTROLLER where this broker knows of no leader, and what the call to the leader
 * rejects with.
 *
 * @param isSecondHand another broker took this one for the leader
 */
export async function askQuorum(
  cluster: Cluster,
  isSecondHand: boolean,
  onwards: { readonly deadlineMs: number; readonly principal: string },
): Promise<DescribeQuorumResponse> {
  const { broker } = cluster;
  const status = broker.report().raft;
  if (status?.role === 'leader') return describeQuorum(status, broker.brokerId);
  const { controller } = broker.nodeInfo();
  if (isSecondHand || controller === NO_BROKER || cluster.isSelf(controller)) {
    throw new BrokerError(
      'NOT_CONTROLLER',
      `Broker ${broker.brokerId} is not the controller`,
      controller === NO_BROKER ? {} : { controller },
    );
  }
  return cluster.forward(controller, AdminServiceService.describeQuorum, {}, onwards);
}
