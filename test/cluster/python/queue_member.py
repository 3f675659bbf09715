"""A member of a queue from generated code alone. Accepts what it handles, up to a number, and prints it."""
import json
import queue
import sys
import uuid

import grpc
from tidemark.v1 import consume_pb2 as c, consume_pb2_grpc

server, name, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
requests = queue.Queue()
who = dict(group=name, type=c.CONSUME_TYPE_QUEUE, member_id=str(uuid.uuid4()), client="python")
opening = c.ConsumeOpen(delivery=c.DELIVERY_RECORDS, credit_bytes=1 << 20, credit_records=1, **who)
requests.put(c.ConsumeRequest(open=opening))
stub = consume_pb2_grpc.ConsumeServiceStub(grpc.insecure_channel(server))
handled, credit_bytes = [], 0
for response in stub.Consume(iter(requests.get, None)):
    kind = response.WhichOneof("message")
    if kind == "records":
        batch, credit_bytes = response.records, response.records.bytes
        record = batch.records[0]
        done = c.RecordAcknowledgement(topic_id=batch.topic_id, partition=batch.partition, offset=record.offset)
        done.leader_epoch, done.delivery = record.leader_epoch, record.delivery
        done.accept.SetInParent()
        requests.put(c.ConsumeRequest(acknowledge=c.ConsumeAcknowledge(acknowledge_id=1, records=[done])))
    elif kind == "acknowledged":
        assert not response.acknowledged.records[0].HasField("error"), response
        handled.append(record.value.decode())
        last = c.ConsumeRequest(leave=c.ConsumeLeave())
        more = c.ConsumeRequest(credit=c.ConsumeCredit(records=1, bytes=credit_bytes))
        requests.put(last if len(handled) >= most else more)
print(json.dumps(sorted(handled)))
