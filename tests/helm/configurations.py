"""Feeds what is rendered to the program it is for, at the paths that a pod sees:

every configuration to `sidewatch check config`, every rules file to `sidewatch check rules`, every argument of a container to its
command's --help, and every pack that an example names to `sidewatch check rules`.

configurations.py SIDEWATCH FILE...
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

MOUNT = "/etc/sidewatch/config/"
# Exit code 3 is lint only: the pack's series are not there without a target.
ACCEPTED = (0, 3)

BROKEN = "scrape: {targets: [{url: \"http://127.0.0.1:1/metrics\"}]}\nstorge: {}\n"
BROKEN_RULES = "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n"


def sidewatch(*arguments):
    run = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def refuses_what_is_wrong():
    """Whether this binary has the commands at all; one that accepts everything proves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        for command, text, word in (("config", BROKEN, "storge"), ("rules", BROKEN_RULES, "sum(")):
            file = pathlib.Path(folder, "broken.yaml")
            file.write_text(text, encoding="utf-8")
            code, said = sidewatch("check", command, file)
            if code != 1 or word not in said:
                sys.exit(f"{BINARY} check {command} does not refuse what is wrong: exit code {code}\n{said}")


def accepted(where, *arguments):
    code, said = sidewatch(*arguments)
    if code not in ACCEPTED:
        sys.exit(f"{where}: exit code {code}\n{said}")


def check_config_map(path, data, counts):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in data.items():
            pathlib.Path(folder, name).write_text(text.replace(MOUNT, folder + "/"), encoding="utf-8")
        for name in data:
            if name in ("sidecar.yaml", "judge.yaml"):
                accepted(f"{path}: {name}", "check", "config", f"{folder}/{name}")
                counts[name] += 1
            elif name.startswith("rules-"):
                accepted(f"{path}: {name}", "check", "rules", f"{folder}/{name}")
                counts["rules"] += 1


def containers(value):
    """Every container of ours in an object, wherever its pod template is."""
    if isinstance(value, dict):
        if value.get("args") and "image" in value and value["args"][0] in ("run", "check", "demo"):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from containers(item)


def flags(document):
    for container in containers(document):
        yield from ((container["args"][0], arg.split("=")[0]) for arg in container["args"][1:] if arg.startswith("--"))
    for mutation in document.get("spec", {}).get("mutations", []) if document["kind"] == "MutatingAdmissionPolicy" else []:
        yield from (("run", flag) for flag in re.findall(r'"(--[a-z.-]+)=', mutation["jsonPatch"]["expression"]))


def packs(value):
    if isinstance(value, dict):
        if "sidewatch.dev/pack" in value:
            yield value["sidewatch.dev/pack"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from packs(item)


def main(paths):
    refuses_what_is_wrong()
    known = {command: set(re.findall(r"--[a-z][a-z.-]*", sidewatch(command, "--help")[1])) for command in ("run", "check", "demo")}
    counts = {"sidecar.yaml": 0, "judge.yaml": 0, "rules": 0, "flags": 0, "packs": 0}
    for path in paths:
        for document in filter(None, yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8"))):
            if "kind" not in document:
                continue
            if document["kind"] == "ConfigMap":
                check_config_map(path, document.get("data") or {}, counts)
            for command, flag in flags(document):
                if flag not in known[command]:
                    sys.exit(f"{path}: {document['kind']}: sidewatch {command} has no {flag}")
                counts["flags"] += 1
            for pack in packs(document):
                accepted(f"{path}: pack {pack}", "check", "rules", pack)
                counts["packs"] += 1
    if not all(counts.values()):
        sys.exit(f"something was never rendered: {counts}")
    print(f"chart: sidewatch accepts {counts['sidecar.yaml']} configurations of sidecars, {counts['judge.yaml']} of judges,"
          f" {counts['rules']} rule files, {counts['packs']} packs of examples, {counts['flags']} arguments")


BINARY = sys.argv[1]
main(sys.argv[2:])
