"""What must hold of the flights when they are read back."""

from collections import Counter, defaultdict

from broker import fail
from producer import FORM, KEY, TOPIC

PARTITIONS = 12
SUMMED = {"dep_delay": 5, "arr_delay": 8, "air_time": 14, "distance": 15}  # columns


def check(what, holds):
    if not holds:
        fail(what)
    print(f"checked: {what}", flush=True)


def read_all(caudal):
    return caudal.run("consume", TOPIC, "-o", "start", "-e", "-f", FORM).splitlines()


def murmur2(key):
    """The hash by which Kafka's clients choose a partition; written here a second time, from its description."""
    m, h = 0x5BD1E995, (0x9747B28C ^ len(key)) & 0xFFFFFFFF
    for at in range(0, len(key) & ~3, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & 0xFFFFFFFF
        h = (h * m & 0xFFFFFFFF) ^ ((k ^ (k >> 24)) * m & 0xFFFFFFFF)
    rest = key[len(key) & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & 0xFFFFFFFF
    h = (h ^ (h >> 13)) * m & 0xFFFFFFFF
    return h ^ (h >> 15)


def by_key(lines):
    keys = defaultdict(list)
    for line in lines:
        keys[line.split(b",")[KEY]].append(line)
    return keys


def sums(lines):
    total = Counter()
    for line in lines:
        fields = line.split(b",")
        for name, column in SUMMED.items():
            total[name] += 0 if fields[column] == b"NA" else int(fields[column])
    return dict(total)


def compare(lines, acked, consumed):
    """The lines of the file, and what was printed of records acknowledged and records read."""
    acked = [line.rstrip(b"\n") for line in acked]
    records = [line.split(b"\t", 2) for line in consumed]
    values = [value for _, _, value in records]
    check(f"{len(lines)} records sent, {len(values)} read", len(values) == len(lines))
    check("the same lines, each as often as it was sent", Counter(values) == Counter(lines))
    check("within each tail number the order of the file", by_key(values) == by_key(lines))
    check(f"sums: {sums(lines)}", sums(values) == sums(lines))

    offsets, homes = defaultdict(list), {}
    for partition, offset, value in records:
        offsets[int(partition)].append(int(offset))
        homes.setdefault(value.split(b",")[KEY], set()).add(int(partition))
    check(f"all {PARTITIONS} partitions have records", set(offsets) == set(range(PARTITIONS)))
    check("offsets rise in every partition", all(a < b for o in offsets.values() for a, b in zip(o, o[1:])))
    wanted = {key: {(murmur2(key) & 0x7FFFFFFF) % PARTITIONS} for key in homes}
    check(f"{len(homes)} tail numbers, each in the partition where Kafka's clients would put it", homes == wanted)
    check("every line was acknowledged once", len(acked) == len(lines) and len(set(acked)) == len(lines))
    check("each acknowledged line is at its offset", sorted(acked) == sorted(consumed))
