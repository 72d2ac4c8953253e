#!/usr/bin/env python3
"""A client of Caudal written from the .proto files alone: creates a topic, produces, fetches, and checks the answers.

usage: produce_fetch.py HOST:PORT      with the generated modules on PYTHONPATH; run.sh does all of it
"""

import struct
import sys
import uuid

import grpc
from caudal.v1 import error_pb2, fetch_pb2, metadata_pb2, produce_pb2, record_pb2, topic_pb2
from caudal.v1 import fetch_pb2_grpc, metadata_pb2_grpc, produce_pb2_grpc, topic_pb2_grpc

import record_batch

TIMEOUT = 30  # seconds, for each call


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, expected {wanted!r}")
    print(f"ok: {what}")


class Client:
    def __init__(self, address):
        # A fetch answers with up to 16 MiB of batches.
        channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", 64 << 20)])
        self.topics = topic_pb2_grpc.TopicServiceStub(channel)
        self.metadata = metadata_pb2_grpc.MetadataServiceStub(channel)
        self.produce = produce_pb2_grpc.ProduceServiceStub(channel)
        self.fetch = fetch_pb2_grpc.FetchServiceStub(channel)

    def create_topic(self, name, partitions):
        topic = topic_pb2.NewTopic(name=name, partitions=partitions)
        answer = self.topics.CreateTopics(topic_pb2.CreateTopicsRequest(topics=[topic]), timeout=TIMEOUT)
        return answer.results[0]

    def produce_item(self, **item):
        request = produce_pb2.ProduceRequest(items=[produce_pb2.ProduceItem(**item)])
        return self.produce.Produce(request, timeout=TIMEOUT).results[0]

    def fetch_from(self, topic, partition, offset, form):
        item = fetch_pb2.FetchItem(topic=topic, partition=partition, offset=offset)
        request = fetch_pb2.FetchRequest(items=[item], max_wait_ms=1000, min_bytes=1, format=form)
        return self.fetch.Fetch(request, timeout=TIMEOUT).results[0]

    def end(self, topic, partition):
        item = fetch_pb2.ListOffsetsItem(topic=topic, partition=partition, anchor=fetch_pb2.OFFSET_ANCHOR_END)
        return self.fetch.ListOffsets(fetch_pb2.ListOffsetsRequest(items=[item]), timeout=TIMEOUT).results[0].offset


def header(key, value):
    made = record_pb2.RecordHeader(key=key)
    if value is not None:
        made.value = value
    return made


RECORDS = [
    record_pb2.Record(key=b"k1", value=b"plain", timestamp_ms=1_700_000_000_000),
    record_pb2.Record(value=b"no key"),
    record_pb2.Record(key=b"", value=b"an empty key is not a null one"),
    record_pb2.Record(key=b"k1"),  # a null value: a tombstone
    record_pb2.Record(key=b"k2", value=b"", headers=[header("a", b"1"), header("a", None), header("b", b"")]),
    record_pb2.Record(key="é".encode(), value=bytes(range(256))),
]


def plain_records(client, topic):
    """Records in the plain form, there and back."""
    result = client.produce_item(topic=topic, partition=0, records=produce_pb2.PlainRecords(records=RECORDS))
    receipt = result.receipt
    check("no error", result.error.reason, error_pb2.REASON_UNSPECIFIED)
    check("offsets of the receipt", (receipt.base_offset, receipt.last_offset), (0, len(RECORDS) - 1))
    check("synced on a majority of the voters", 2 * len(receipt.synced) > len(receipt.voters), True)

    fetched = client.fetch_from(topic, 0, 0, fetch_pb2.FETCH_FORMAT_RECORDS)
    check("offsets fetched", [r.offset for r in fetched.records], list(range(len(RECORDS))))
    check("high watermark", fetched.high_watermark, len(RECORDS))
    for sent, got in zip(RECORDS, fetched.records):
        wanted = record_pb2.Record()
        wanted.CopyFrom(sent)
        if not sent.HasField("timestamp_ms"):  # the broker's time
            wanted.timestamp_ms = got.record.timestamp_ms
        check(f"record {got.offset}", got.record, wanted)
    tail = client.fetch_from(topic, 0, 4, fetch_pb2.FETCH_FORMAT_RECORDS)
    check("a fetch from the middle", [r.offset for r in tail.records], [4, 5])


def raw_batch(client, topic):
    """The bytes that rest on the broker's disk: one record batch, its header parsed here."""
    fetched = client.fetch_from(topic, 0, 0, fetch_pb2.FETCH_FORMAT_BATCHES)
    batch = fetched.batches[0]
    head = record_batch.parse_header(batch)
    check("the batch is whole", len(batch), head.batch_length + 12)
    check("magic", head.magic, 2)
    check("base offset and count", (head.base_offset, head.count), (0, len(RECORDS)))
    check("checksum", head.crc, record_batch.crc32c(batch[21:]))


def idempotent_stream(client, topic):
    """Batches made here, sent on a stream by an idempotent producer; one of them twice."""
    producer = client.produce.InitProducer(produce_pb2.InitProducerRequest(), timeout=TIMEOUT)
    ids = (producer.producer_id, producer.producer_epoch)
    first = record_batch.build([(b"s", b"one"), (None, b"two")], producer=ids, sequence=0)
    second = record_batch.build([(b"s", b"three")], producer=ids, sequence=2)

    def sends():
        yield produce_pb2.ProduceStreamRequest(open=produce_pb2.ProduceOpen(acks=produce_pb2.ACKS_ALL))
        for sequence, batch in enumerate([first, second, first], 1):
            send = produce_pb2.ProduceSend(sequence=sequence, topic=topic, partition=1, batch=batch)
            yield produce_pb2.ProduceStreamRequest(send=send)

    results = []
    for answer in client.produce.ProduceStream(sends(), timeout=TIMEOUT):
        if answer.WhichOneof("message") == "result":
            results.append(answer.result)
    check("answers in order", [r.sequence for r in results], [1, 2, 3])
    receipts = [r.receipt for r in results]
    check("no error", [r.error.reason for r in results], [error_pb2.REASON_UNSPECIFIED] * 3)
    check("offsets", [(r.base_offset, r.last_offset) for r in receipts], [(0, 1), (2, 2), (0, 1)])
    check("only the third is a duplicate", [r.duplicate for r in receipts], [False, False, True])
    check("three records, not five", client.end(topic, 1), 3)
    fetched = client.fetch_from(topic, 1, 0, fetch_pb2.FETCH_FORMAT_RECORDS)
    check("their values", [r.record.value for r in fetched.records], [b"one", b"two", b"three"])


def refusals(client, topic):
    """Errors say why, by name."""
    records = produce_pb2.PlainRecords(records=RECORDS[:1])
    nowhere = record_pb2.TopicRef(name="no-such-topic")
    result = client.produce_item(topic=nowhere, partition=0, records=records)
    check("an unknown topic", result.error.reason, error_pb2.UNKNOWN_TOPIC)
    result = client.produce_item(topic=topic, partition=99, records=records)
    check("an unknown partition", result.error.reason, error_pb2.UNKNOWN_PARTITION)
    good = record_batch.build([(None, b"x")])
    bad = good[:-1] + bytes([good[-1] ^ 1])
    result = client.produce_item(topic=topic, partition=0, batch=bad)
    check("a batch whose checksum lies", result.error.reason, error_pb2.CORRUPT_BATCH)
    result = client.fetch_from(topic, 0, 1_000_000, fetch_pb2.FETCH_FORMAT_BATCHES)
    check("an offset beyond the end", result.error.reason, error_pb2.OFFSET_OUT_OF_RANGE)
    check("where the log begins and ends", (result.error.metadata["log_start"], result.error.metadata["high_watermark"]), ("0", "6"))


def main():
    client = Client(sys.argv[1])
    name = f"python-{uuid.uuid4().hex[:8]}"
    created = client.create_topic(name, partitions=2)
    check("a topic of two partitions", (created.error.reason, created.partitions), (error_pb2.REASON_UNSPECIFIED, 2))
    by_id = record_pb2.TopicRef(id=created.topic_id)
    by_name = record_pb2.TopicRef(name=name)
    metadata = client.metadata.GetMetadata(metadata_pb2.GetMetadataRequest(topics=[by_name]), timeout=TIMEOUT)
    check("the metadata names it", metadata.topics[0].topic_id, created.topic_id)
    plain_records(client, by_name)
    raw_batch(client, by_id)
    idempotent_stream(client, by_id)
    refusals(client, by_name)
    print("all good")


if __name__ == "__main__":
    main()
