"""Appends to a topic and reads it back through a Service, with nothing but what protoc generates.

Usage: service.py SERVER TOPIC COUNT. Prints one JSON object.
"""

import json
import sys

import grpc

from tidemark.v1 import log_pb2, log_pb2_grpc

CALL_SECONDS = 20


def append(log, topic, values):
    """Each value with a call of its own; answers with the errors."""
    errors = []
    for value in values:
        request = log_pb2.AppendRequest(topic=topic, acks=log_pb2.ACK_LEVEL_ALL)
        request.records.add(key=value.encode(), value=value.encode())
        response = log.Append(request, timeout=CALL_SECONDS)
        errors += [result.error.code for result in response.results if result.error.code]
    return errors


def read(log, topic):
    request = log_pb2.ReadRequest(topic=topic, start=log_pb2.StartPoint(earliest=True))
    return [
        record.value.decode()
        for response in log.Read(request, timeout=CALL_SECONDS)
        for record in response.records
    ]


def main(server, topic, count):
    values = [f"value {number}" for number in range(int(count))]
    with grpc.insecure_channel(server) as channel:
        log = log_pb2_grpc.LogServiceStub(channel)
        print(json.dumps({
            "errors": append(log, topic, values),
            "isWhole": sorted(read(log, topic)) == sorted(values),
        }))


if __name__ == "__main__":
    main(*sys.argv[1:])
