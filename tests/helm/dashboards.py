"""Checks the Grafana dashboards: the schema of schemas.yaml, ids and layout, and that promtool parses every query."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

import kinds


def variables(board, expression):
    """Replaces the dashboard's variables by their initial values, as Grafana does: All, or the default text."""
    for variable in board["templating"]["list"]:
        value = variable["query"] if variable["type"] == "textbox" else variable.get("allValue", ".*")
        expression = re.sub(rf"\${variable['name']}\b", lambda _: value, expression)
    return expression.replace("$__rate_interval", "5m")


def expressions(board):
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{board['uid']}: {panel['title']}", variables(board, target["expr"])
    for annotation in board["annotations"]["list"]:
        yield f"{board['uid']}: annotation {annotation['name']}", variables(board, annotation["expr"])


def overlaps(board):
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x > 23 or taken.setdefault((x, y), panel["id"]) != panel["id"]:
                    return panel["title"]
    return None


def check(path):
    board = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    problems = [f"{path}: {problem}" for problem in kinds.problems("Dashboard", board)]
    ids = [panel["id"] for panel in board["panels"]]
    if len(ids) != len(set(ids)):
        problems.append(f"{path}: two panels have the same id")
    if overlaps(board):
        problems.append(f"{path}: {overlaps(board)} overlaps another panel")
    names = {variable["name"] for variable in board["templating"]["list"]}
    if not {"datasource", "namespace", "model"} <= names:
        problems.append(f"{path}: variables datasource, namespace and model are needed")
    return board, problems


def main(paths):
    problems, rules = [], []
    for path in paths:
        board, found = check(path)
        problems += found
        for where, expression in expressions(board):
            rules.append({"record": "panel:query", "labels": {"at": f"{where} {len(rules)}"}, "expr": expression})
    if problems:
        sys.exit("\n".join(problems))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
        file.flush()
        subprocess.run(["promtool", "check", "rules", file.name], check=True, capture_output=True)
    print(f"chart: {len(paths)} dashboards are valid, promtool parses their {len(rules)} queries")


if __name__ == "__main__":
    main(sys.argv[1:])
