"""Three brokers: the leader of a partition is killed twice, and one broker loses its disk and is replaced."""

import shutil
import subprocess
import threading

from broker import Caudal, three, wait_until
from producer import TOPIC, Producer
from verdict import PARTITIONS, check, compare, read_all

PER_SECOND = 30_000
WATCHED = 0  # the partition whose leader is killed


def say(what):
    print(f"--- {what}", flush=True)


def leader(caudal, brokers):
    """The broker that leads the watched partition."""
    node = None

    def there_is_one():
        nonlocal node
        partitions = caudal.json("cluster", "partitions", TOPIC)["partitions"]
        node = next(p["leader_node"] for p in partitions if p["partition"] == WATCHED)
        return any(broker.node == node for broker in brokers)

    wait_until(f"partition {WATCHED} has a leader", there_is_one)
    return next(broker for broker in brokers if broker.node == node)


def kill(broker, producer, lines, what):
    broker.kill()
    acked = len(producer.acked)
    check(f"killed {what}: {acked} records acknowledged, {len(lines) - acked} to go", acked < len(lines))
    return acked


def wait_until_well(caudal):
    say("waiting until `caudal cluster health` finds every replica in step")
    quiet = {"stderr": subprocess.DEVNULL}
    wait_until("the cluster is well", lambda: caudal.attempt("cluster", "health", **quiet)[0] == 0)


def replace(caudal, broker, producer, gate):
    """A new broker with an empty folder at the address of a dead one, and the dead one's number taken out."""
    dead = broker.node
    shutil.rmtree(broker.data)
    producer.wait_for(gate)
    check(f"the other two went on: {len(producer.acked)} acknowledged", True)
    broker.start()
    check(f"the folder of node {dead} is gone, and an empty broker joined as node {broker.node}", broker.node != dead)
    caudal.run("cluster", "remove", str(dead), "--yes")
    producer.gates[gate].set()
    say(f"`caudal cluster remove {dead}`: its replicas are made anew on node {broker.node}, while the flights run")
    wait_until(
        f"node {dead} is taken out",
        lambda: all(node["node_id"] != dead for node in caudal.json("cluster", "nodes")["nodes"]),
    )


def replicas_stand(caudal, brokers):
    """Whether each partition has a replica in step on each of these brokers."""
    wanted = {broker.node for broker in brokers}
    partitions = caudal.json("cluster", "partitions", TOPIC)["partitions"]
    standing = [{r["node_id"] for r in p["replicas"] if r["voter"] and r["in_step"]} for p in partitions]
    return len(standing) == PARTITIONS and all(nodes == wanted for nodes in standing)


def journey(binary, lines, brokers):
    for broker in brokers:
        broker.spawn()
    for broker in brokers:
        broker.wait_until_ready()
    caudal = Caudal(binary, ",".join(broker.address for broker in brokers))
    print(f"three brokers; to look from another terminal: export CAUDAL_BROKERS={caudal.addresses}", flush=True)
    caudal.run("topic", "create", TOPIC, "-p", str(PARTITIONS), "-r", "3")

    # However fast it goes, an eighth of the lines is on its way or to come at each blow.
    gates = {len(lines) * part // 8: threading.Event() for part in (3, 5, 7)}
    producer = Producer(caudal, lines, gates, PER_SECOND)
    try:
        for part, gate in enumerate(gates, 1):
            producer.wait_for(len(lines) * part // 4)
            if part < 3:
                broker = leader(caudal, brokers)
                acked = kill(broker, producer, lines, f"node {broker.node}, which leads partition {WATCHED}")
                producer.wait_for(gate)
                check(f"the other two took over: {gate - acked} acknowledged since", gate > acked)
                producer.gates[gate].set()
                broker.start()
                wait_until_well(caudal)
            else:
                broker = next(one for one in brokers if one is not leader(caudal, brokers))
                kill(broker, producer, lines, f"node {broker.node}, for good")
                replace(caudal, broker, producer, gate)
        producer.wait_for_the_end()
    finally:
        producer.close()
    wait_until_well(caudal)
    nodes = sorted(broker.node for broker in brokers)
    check(f"every partition has three replicas in step, on nodes {nodes}", replicas_stand(caudal, brokers))
    compare(lines, producer.acked, read_all(caudal))


def run(binary, lines, folder):
    brokers = three(binary, folder)
    try:
        journey(binary, lines, brokers)
        for broker in brokers:
            broker.terminate()
        for broker in brokers:
            broker.wait_for_the_end()
        for broker in brokers:
            Caudal(binary, "").run("log", "verify", broker.data)
        check("every checksum on the three disks, after an orderly stop", True)
    finally:
        for broker in brokers:
            broker.close()
