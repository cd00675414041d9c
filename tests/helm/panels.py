"""Asks a real Prometheus every query of the dashboards, until each has an answer or time is up.

panels.py PROMETHEUS_URL SECONDS DASHBOARD...   exit 1 names the panels that stay empty.
Annotations mark events, so an empty one is right; its query must still be valid.
"""
import json
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from dashboards import expressions


def answer(base, expression):
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{base}/api/v1/query?{query}", timeout=10) as response:
        return json.load(response)["data"]["result"]


def main(base, seconds, paths):
    waiting = [each for path in paths for each in expressions(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))]
    total, deadline = len(waiting), time.monotonic() + float(seconds)
    while waiting and time.monotonic() < deadline:
        waiting = [
            (where, expression)
            for where, expression in waiting
            if not answer(base, expression) and ": annotation " not in where
        ]
        if waiting:
            time.sleep(1)
    for where, expression in waiting:
        print(f"empty: {where}: {expression}")
    print(f"dashboards: {total - len(waiting)} of {total} queries have data in a real Prometheus")
    return 1 if waiting else 0


sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
