"""One broker, killed twice."""

import threading

from broker import Broker, Caudal
from producer import TOPIC, Producer
from verdict import PARTITIONS, check, compare, read_all


def run(binary, lines, folder):
    data = f"{folder}/data"
    broker, producer = Broker(binary, data), None
    try:
        broker.start()
        caudal = Caudal(binary, broker.address)
        caudal.run("topic", "create", TOPIC, "-p", str(PARTITIONS))
        # However fast it goes, a sixth of the lines is on its way or to come when the broker is killed.
        gates = {len(lines) * 3 // 6: threading.Event(), len(lines) * 5 // 6: threading.Event()}
        producer = Producer(caudal, lines, gates)
        for part, gate in enumerate(gates.values(), 1):
            producer.wait_for(len(lines) * part // 3)
            broker.kill()
            acked = len(producer.acked)
            check(f"killed the broker with {acked} records acknowledged, {len(lines) - acked} to go", acked < len(lines))
            gate.set()
            broker.start()
        producer.wait_for_the_end()
        compare(lines, producer.acked, read_all(caudal))
        broker.terminate()
        broker.wait_for_the_end()
        caudal.run("log", "verify", data)
        check("every checksum on the disk, after an orderly stop", True)
    finally:
        broker.close()
        if producer:
            producer.close()
