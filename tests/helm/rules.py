"""Feeds each rendered PrometheusRule to promtool, demands a runbook for every alert, and runs the alerts' unit tests.

rules.py SIDEWATCH RENDER...   The tests are promtool's own format; promtool runs them, and so does `sidewatch test`.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).parent
# The render that each test file applies to: the alerts on Sidewatch in direct mode with a judge, those on a relay, those on models in metrics mode.
TESTS = {"judge.yaml": "alerts.test.yaml", "relay.yaml": "relay.test.yaml", "metrics-mode.yaml": "models.test.yaml"}


def prometheus_rules(path):
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document["kind"] == "PrometheusRule":
            yield document["spec"]


def rules_of(spec):
    return [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def unit_test(sidewatch, rules, tests):
    """Runs the tests beside the rules; returns the alerts that a test expects to fire, and those it expects silent."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        file = pathlib.Path(folder, tests.name)
        # promtool does not know YAML's merge keys.
        loaded = yaml.safe_load(tests.read_text(encoding="utf-8"))
        file.write_text(yaml.safe_dump(loaded), encoding="utf-8")
        run("promtool", "test", "rules", file)
        run(sidewatch, "test", file)
    expected = [each for test in loaded["tests"] for each in test["alert_rule_test"]]
    return ({each["alertname"] for each in expected if each["exp_alerts"]},
            {each["alertname"] for each in expected if not each["exp_alerts"]})


def main(sidewatch, paths):
    checked, alerts, fires, silent = 0, set(), set(), set()
    for path in map(pathlib.Path, paths):
        for spec in prometheus_rules(path):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(spec, file)
                file.flush()
                run("promtool", "check", "rules", file.name)
            for rule in rules_of(spec):
                runbook = pathlib.Path("docs/runbooks") / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
                if not runbook.is_file():
                    sys.exit(f"{path}: {rule['alert']}: {runbook} is missing")
                alerts.add(rule["alert"])
                checked += 1
            if path.name in TESTS:
                tested = unit_test(sidewatch, spec, HERE / TESTS[path.name])
                fires |= tested[0]
                silent |= tested[1]
    packs = "".join(file.read_text() for file in pathlib.Path("rules").glob("*.yaml"))
    of_packs = set(re.findall(r"runbook_url: docs/runbooks/(\w+)\.md", packs))
    # The program raises these itself.
    notices = pathlib.Path("crates/engine/src/alert/entry.rs").read_text()
    of_program = set(re.findall(r'&str = "(Sidewatch\w+)";', notices))
    orphans = {file.stem for file in pathlib.Path("docs/runbooks").glob("*.md")} - alerts - of_packs - of_program
    for problem, names in (("no alert was rendered", set() if alerts else {"?"}), ("no test makes it fire", alerts - fires),
                           ("no test keeps it silent", alerts - silent), ("a runbook without an alert", orphans)):
        if names:
            sys.exit(f"{problem}: {', '.join(sorted(names))}")
    print(f"chart: promtool accepts {checked} rendered alerts; {len(alerts)} alerts have a runbook and pass their unit tests"
          " in promtool and in sidewatch test")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
