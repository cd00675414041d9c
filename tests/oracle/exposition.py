"""Reads expositions with prometheus_client, as an oracle that is independent of this crate.

Standard input has one JSON array of {"file": ..., "openmetrics": bool}; standard output gets one JSON object a file:
{"file": ..., "samples": [[[[name, value], ...], timestamp in milliseconds or null, value as 16 hexadecimal digits of its bits], ...]}
or {"file": ..., "error": ...}. Compressed files are decompressed.
"""

import gzip
import json
import struct
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.utils import floatToGoString

BOUNDS = {"histogram": "le", "summary": "quantile"}
CREATED = {"counter", "histogram", "summary"}


def body_of(path):
    with open(path, "rb") as file:
        body = file.read()
    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    return body.decode("utf-8")


def plain_counters(body):
    """Names of counters without _total: the text parser adds the suffix, Prometheus does not."""
    names = set()
    for line in body.split("\n"):
        words = line.split()
        if words[:2] == ["#", "TYPE"] and words[3:] == ["counter"] and not words[2].endswith("_total"):
            names.add(words[2])
    return names


def samples_of(body, is_openmetrics):
    plain = set() if is_openmetrics else plain_counters(body)
    for family in (openmetrics if is_openmetrics else text)(body):
        for sample in family.samples:
            name, labels = sample.name, dict(sample.labels)
            if is_openmetrics and family.type in CREATED and name == family.name + "_created":
                continue
            if name.endswith("_total") and name[: -len("_total")] in plain:
                name = name[: -len("_total")]
            bound = BOUNDS.get(family.type)
            if bound in labels:
                labels[bound] = floatToGoString(labels[bound])
            labels["__name__"] = name
            at = None if sample.timestamp is None else int(float(sample.timestamp) * 1000)
            kept = sorted((key, value) for key, value in labels.items() if value)
            yield [kept, at, struct.pack(">d", sample.value).hex()]


def main():
    for request in json.load(sys.stdin):
        answer = {"file": request["file"]}
        try:
            answer["samples"] = list(samples_of(body_of(request["file"]), request["openmetrics"]))
        except Exception as error:  # whatever it is, the caller compares it with our own verdict
            answer["error"] = repr(error)
        print(json.dumps(answer))


main()
