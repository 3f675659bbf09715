"""A member of a group from generated code alone. Prints what it handles, up to a number."""
import json
import queue
import sys

import grpc
from tidemark.v1 import consume_pb2 as c, consume_pb2_grpc

server, group, topic, most = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
requests = queue.Queue()
opening = c.ConsumeOpen(group=group, topics=[topic], client="python", credit_bytes=1 << 20)
requests.put(c.ConsumeRequest(open=opening))
stub = consume_pb2_grpc.ConsumeServiceStub(grpc.insecure_channel(server))
handled = []
for response in stub.Consume(iter(requests.get, None)):
    if response.WhichOneof("message") == "records":
        batch = response.records
        handled += [record.value.decode() for record in batch.records]
        done = c.CursorAcknowledgement(topic_id=batch.topic_id, partition=batch.partition, epoch=batch.epoch)
        done.offset, done.leader_epoch = batch.next_offset, batch.next_leader_epoch
        requests.put(c.ConsumeRequest(acknowledge=c.ConsumeAcknowledge(cursors=[done], credit_bytes=batch.bytes)))
    if response.WhichOneof("message") == "acknowledged" and len(handled) >= most:
        requests.put(c.ConsumeRequest(leave=c.ConsumeLeave()))
print(json.dumps(sorted(handled)))
