"""Everything a Python program needs of Tidemark is generated from proto/: plain calls, health, reflection, and a batch frame built by hand.

Usage: generated.py FOLLOWER LEADER TOPIC_ID, where FOLLOWER is a broker that leads nothing and LEADER leads partition 0 of topic "python".
Prints one JSON object.
"""

import json
import queue
import struct
import sys
import uuid
import zlib

import grpc

from tidemark.v1 import log_pb2, log_pb2_grpc
from tidemark.v1.records_pb2 import RecordSet

CALL_SECONDS = 20
BASE_TIMESTAMP = 1767225600000
NO_SEQUENCE = 0xFFFFFFFF


def as_is(message):
    """Serializer of the two calls whose messages are written by hand."""
    return message


def frame(records, max_timestamp, producer_id=0, producer_epoch=0, base_sequence=NO_SEQUENCE):
    """A batch frame, as FORMAT.md says."""
    payload = records.SerializeToString()
    count = len(records.records)
    checked = struct.pack(
        "<BBHIIIqqQI", 1, 0, 0, count - 1, count, base_sequence,
        BASE_TIMESTAMP, max_timestamp, producer_id, producer_epoch) + payload
    return struct.pack("<QIIII", 0, 0, 24 + len(checked), 0, zlib.crc32(checked)) + checked


def append(log):
    request = log_pb2.AppendRequest(topic="python", acks=log_pb2.ACK_LEVEL_ALL)
    for number in range(3):
        request.records.add(partition=0, key=b"key", value=b"plain %d" % number)
    request.records.add(partition=0, key=b"key", tombstone=True)
    response = log.Append(request, timeout=CALL_SECONDS)
    return [{"offset": result.offset, "error": result.error.code} for result in response.results]


def produce(log, topic_id):
    """Sends one frame over the batch stream and answers with its result."""
    records = RecordSet()
    records.records.add(key=b"k1", value=b"hello")
    second = records.records.add(value=b"world", timestamp_delta_ms=5)
    second.headers.add(key="trace", value=b"\x01\x02")
    records.records.add(key=b"k1", tombstone=True)
    request = log_pb2.ProduceRequest(acks=log_pb2.ACK_LEVEL_ALL)
    request.batches.add(
        batch_id=7, topic_id=topic_id.bytes, partition=0, frame=frame(records, BASE_TIMESTAMP + 5))
    requests = queue.SimpleQueue()
    requests.put(request)
    for response in log.Produce(iter(requests.get, None), timeout=CALL_SECONDS):
        for result in response.results:
            requests.put(None)
            return {
                "batchId": result.batch_id,
                "baseOffset": result.base_offset,
                "error": result.error.code,
            }
    return None


def read(log):
    request = log_pb2.ReadRequest(topic="python", start=log_pb2.StartPoint(earliest=True))
    return [
        {
            "offset": record.offset,
            "key": record.key.decode() if record.HasField("key") else None,
            "value": None if record.tombstone else record.value.decode(),
            "headers": {header.key: header.value.hex() for header in record.headers},
        }
        for response in log.Read(request, timeout=CALL_SECONDS)
        for record in response.records
    ]


def health(channel):
    """grpc.health.v1: an empty HealthCheckRequest; field 1 of the response is the status, 1 is SERVING."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check", request_serializer=as_is, response_deserializer=as_is)
    return check(b"", timeout=CALL_SECONDS) == b"\x08\x01"


def reflection(channel):
    """grpc.reflection.v1: list_services is field 7 of the request; the response holds their names."""
    info = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=as_is, response_deserializer=as_is)
    answer = next(info(iter([b"\x3a\x00"]), timeout=CALL_SECONDS))
    names = [b"tidemark.v1.LogService", b"tidemark.v1.AdminService"]
    return [name.decode() for name in names if name in answer]


def main(follower, leader, topic_id):
    with grpc.insecure_channel(follower) as channel, grpc.insecure_channel(leader) as direct:
        log = log_pb2_grpc.LogServiceStub(channel)
        print(json.dumps({
            "appended": append(log),
            "produced": produce(log_pb2_grpc.LogServiceStub(direct), uuid.UUID(topic_id)),
            "read": read(log),
            "isServing": health(channel),
            "services": reflection(channel),
        }))


if __name__ == "__main__":
    main(*sys.argv[1:])
