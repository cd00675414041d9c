"""Checks rendered files with the program that reads them, at the paths that a pod sees:

every configuration to `sidewatch check config`, every rules file to `sidewatch check rules`, every argument of a container to its
command's --help, and every pack that an example names to `sidewatch check rules`. A relay is started with its configuration and
receives an alert in Alertmanager's format. An injected sidecar is started with the arguments that a pod would get, with a pack
that exists and with one that does not.

configurations.py SIDEWATCH FILE...
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

from policy import Policy

MOUNT = "/etc/sidewatch/config/"
# Exit code 3: lint findings only, because a pack's series do not exist without a target.
ACCEPTED = (0, 3)

BROKEN = "scrape: {targets: [{url: \"http://127.0.0.1:1/metrics\"}]}\nstorge: {}\n"
BROKEN_RELAY = "retrain: [{matchers: [a=b], cool_down: 6h}]\nretraining: {webhooks: [{url: http://x}]}\n"
BROKEN_RULES = "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n"


def sidewatch(*arguments):
    run = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def refuses_what_is_wrong():
    """The binary must refuse broken files, so that its acceptance of the rendered ones proves something."""
    with tempfile.TemporaryDirectory() as folder:
        for command, text, word in (("config", BROKEN, "storge"), ("rules", BROKEN_RULES, "sum(")):
            file = pathlib.Path(folder, "broken.yaml")
            file.write_text(text, encoding="utf-8")
            code, said = sidewatch("check", command, file)
            if code != 1 or word not in said:
                sys.exit(f"{BINARY} check {command} does not refuse what is wrong: exit code {code}\n{said}")
        file = pathlib.Path(folder, "relay.yaml")
        file.write_text(BROKEN_RELAY, encoding="utf-8")
        code, said = sidewatch("relay", f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
        if code != 1 or "cool_down" not in said:
            sys.exit(f"{BINARY} relay does not refuse what is wrong: exit code {code}\n{said}")


def accepted(where, *arguments):
    code, said = sidewatch(*arguments)
    if code not in ACCEPTED:
        sys.exit(f"{where}: exit code {code}\n{said}")


def status(request):
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def post(url, token):
    """Posts a notification of Alertmanager to the relay; returns the HTTP status."""
    alert = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z",
             "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "1"}
    body = {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "r", "groupLabels": {},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return status(urllib.request.Request(url, json.dumps(body).encode(), headers))


def check_relay(path, text, folder):
    """Starts a relay as its pod would, with its Secret and its claim, and posts an alert to it."""
    token = re.search(r"/etc/sidewatch/(token/\S+)", text)
    if token:
        file = pathlib.Path(folder, token[1])
        file.parent.mkdir()
        file.write_text("shown\n", encoding="utf-8")
    file = pathlib.Path(folder, "relay.yaml")
    file.write_text(text.replace("/etc/sidewatch/token", f"{folder}/token").replace("/var/lib/sidewatch", f"{folder}/state"), encoding="utf-8")
    command = [BINARY, "relay", f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--storage.wait"]
    relay = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    timer = threading.Timer(20, relay.kill)
    timer.start()
    said = ""
    try:
        # The log alone has the address that it listens on.
        while "listening" not in said:
            line = relay.stdout.readline()
            said += line
            if not line:
                sys.exit(f"{path}: the relay did not start\n{said}")
        address = re.search(r"address=(\S+)", said)[1]
        webhook = f"http://{address}/api/v1/alertmanager"
        while 503 in (status(f"http://{address}/-/ready"), post(webhook, "shown")):
            time.sleep(0.05)
        answers = [post(webhook, "shown"), post(webhook, None)]
        if answers != [200, 401 if token else 200]:
            sys.exit(f"{path}: the relay answered {answers}\n{said}")
    finally:
        timer.cancel()
        relay.terminate()
        relay.wait(10)


def check_injected(path, document):
    """Starts the sidecar of a pod that names a pack, and of one that misspells it: both run, and the second reports it."""
    for pack, whole in (("vllm", True), ("vlm,acuracy", False)):
        pod = {"metadata": {"name": "fraud-0", "labels": {"sidewatch.dev/inject": "true"}, "annotations": {"sidewatch.dev/pack": pack}},
               "spec": {"containers": [{"name": "server", "image": "vllm"}]}}
        container = Policy(document).admit(pod)["spec"]["initContainers"][0]
        with tempfile.TemporaryDirectory() as folder:
            # What the kubelet does with $$, and addresses and a folder that are free here.
            args = [arg.replace("$$", "$").replace("/var/lib/sidewatch", folder) for arg in container["args"]]
            args = [re.sub(r"^(--web\..*address=).*", r"\g<1>127.0.0.1:0", arg) for arg in args]
            run = subprocess.Popen([BINARY, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            timer = threading.Timer(20, run.kill)
            timer.start()
            said = ""
            try:
                while said.count('"listening"') < 2:
                    line = run.stdout.readline()
                    said += line
                    if not line:
                        sys.exit(f"{path}: the injected sidecar did not start\n{said}")
                address = re.search(r'"address":"([^"]+)"', said)[1]
                metrics = ""
                while "sidewatch_config_last_reload_successful{" not in metrics:
                    time.sleep(0.05)
                    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                        metrics = answer.read().decode()
                loaded = re.search(r"sidewatch_config_last_reload_successful\{.*\} (\d)", metrics)[1]
                with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
                    page = answer.read().decode()
                if (loaded, "acuracy: neither a file nor a pack" in page) != (("1", False) if whole else ("0", True)):
                    sys.exit(f"{path}: with the pack {pack}, the configuration counts as loaded: {loaded}\n{said}")
            finally:
                timer.cancel()
                run.terminate()
                run.wait(20)


def check_config_map(path, data, counts):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in data.items():
            pathlib.Path(folder, name).write_text(text.replace(MOUNT, folder + "/"), encoding="utf-8")
        for name in data:
            if name in ("sidecar.yaml", "judge.yaml"):
                accepted(f"{path}: {name}", "check", "config", f"{folder}/{name}")
                counts[name] += 1
            elif name == "relay.yaml":
                check_relay(path, data[name], folder)
                counts[name] += 1
            elif name.startswith("rules-"):
                accepted(f"{path}: {name}", "check", "rules", f"{folder}/{name}")
                counts["rules"] += 1


def containers(value):
    """Every container of ours in an object, wherever its pod template is."""
    if isinstance(value, dict):
        if value.get("args") and "image" in value and value["args"][0] in ("run", "relay", "check", "demo"):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from containers(item)


def flags(document):
    for container in containers(document):
        yield from ((container["args"][0], arg.split("=")[0]) for arg in container["args"][1:] if arg.startswith("--"))
    for mutation in document.get("spec", {}).get("mutations", []):
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
    known = {command: set(re.findall(r"--[a-z][a-z.-]*", sidewatch(command, "--help")[1])) for command in ("run", "relay", "check", "demo")}
    counts = {"sidecar.yaml": 0, "judge.yaml": 0, "relay.yaml": 0, "rules": 0, "injected": 0, "flags": 0, "packs": 0}
    for path in paths:
        for document in filter(None, yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8"))):
            if "kind" not in document:
                continue
            if document["kind"] == "ConfigMap":
                check_config_map(path, document.get("data") or {}, counts)
            if "mutations" in document.get("spec", {}):
                check_injected(path, document)
                counts["injected"] += 1
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
          f" {counts['relay.yaml']} relays start and take a notification,"
          f" {counts['injected']} injected sidecars start with a right and a wrong pack,"
          f" {counts['rules']} rule files, {counts['packs']} packs of examples, {counts['flags']} arguments")


BINARY = sys.argv[1]
main(sys.argv[2:])
