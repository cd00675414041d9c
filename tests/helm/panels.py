"""Sends every query of the dashboards to a real Prometheus, until each has a result or the time is up.

panels.py PROMETHEUS_URL SECONDS DASHBOARD...   exit 1 names the panels that stay empty.
An annotation without events may be empty; its query must still be valid. An `or vector(0)` would hide a metric that is not
exported, so every metric that a query names must have a series too.
"""
import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

from dashboards import expressions

METRIC = re.compile(r"\b(?:sidewatch|process)_[a-z_]+(?=[\[{ )])")


def answer(base, expression):
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{base}/api/v1/query?{query}", timeout=10) as response:
        return json.load(response)["data"]["result"]


def main(base, seconds, paths):
    waiting = [each for path in paths for each in expressions(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))]
    names = {name for _, expression in waiting for name in METRIC.findall(expression)}
    total = len(waiting)
    waiting += [(f"metric {name}", f"count({name})") for name in sorted(names)]
    start = time.monotonic()
    while waiting and time.monotonic() < start + float(seconds):
        waiting = [
            (where, expression)
            for where, expression in waiting
            if not answer(base, expression) and ": annotation " not in where
        ]
        if waiting:
            time.sleep(1)
    for where, expression in waiting:
        print(f"empty: {where}: {expression}")
    print(f"dashboards: {total} queries of {len(names)} metrics, {len(waiting)} without data in a real Prometheus,"
          f" after {time.monotonic() - start:.0f} s")
    return 1 if waiting else 0


sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
