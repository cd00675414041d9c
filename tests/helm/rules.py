"""Feeds each rendered PrometheusRule to promtool, and demands a runbook for every alert."""
import pathlib
import subprocess
import sys
import tempfile

import yaml

checked = 0
for path in sys.argv[1:]:
    for document in yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8")):
        if document["kind"] != "PrometheusRule":
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(document["spec"], file)
            file.flush()
            subprocess.run(["promtool", "check", "rules", file.name], check=True, stdout=subprocess.DEVNULL)
        for rule in (rule for group in document["spec"]["groups"] for rule in group["rules"]):
            runbook = pathlib.Path("docs/runbooks") / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
            if not runbook.is_file():
                sys.exit(f"{path}: {rule['alert']}: {runbook} is missing")
            checked += 1
if not checked:
    sys.exit("no alert was rendered")
print(f"chart: promtool accepts {checked} alerts, each with its runbook")
