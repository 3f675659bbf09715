/** Words of access, and what stands for them in messages, for all who send and take them. Pure. */
import type { AccessKind, AccessOperation } from '../../base/access.ts';
import {
  AccessKind as KindValue,
  AccessOperation as OperationValue,
} from '../../proto/gen/tidemark/v1/access.ts';

export const ACCESS_OPERATION_VALUES: Readonly<Record<AccessOperation, OperationValue>> = {
  append: OperationValue.ACCESS_OPERATION_APPEND,
  read: OperationValue.ACCESS_OPERATION_READ,
  describe: OperationValue.ACCESS_OPERATION_DESCRIBE,
  group: OperationValue.ACCESS_OPERATION_GROUP,
  create: OperationValue.ACCESS_OPERATION_CREATE,
  alter: OperationValue.ACCESS_OPERATION_ALTER,
  delete: OperationValue.ACCESS_OPERATION_DELETE,
  administer: OperationValue.ACCESS_OPERATION_ADMINISTER,
};

export const ACCESS_KIND_VALUES: Readonly<Record<AccessKind, KindValue>> = {
  topic: KindValue.ACCESS_KIND_TOPIC,
  group: KindValue.ACCESS_KIND_GROUP,
  producer: KindValue.ACCESS_KIND_PRODUCER,
  cluster: KindValue.ACCESS_KIND_CLUSTER,
};
