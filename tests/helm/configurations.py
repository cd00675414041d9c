"""Feeds every configuration in a rendered ConfigMap to `sidewatch check config`, at the paths that a pod sees."""
import pathlib
import subprocess
import sys
import tempfile

import yaml

MOUNT = "/etc/sidewatch/config/"
# Exit code 3 is lint only: the pack's series are not there without a target.
ACCEPTED = (0, 3)

BROKEN = "scrape: {targets: [{url: \"http://127.0.0.1:1/metrics\"}]}\nstorge: {}\n"


def refuses_what_is_wrong(binary):
    """Whether this binary has the command at all; one that accepts everything proves nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(BROKEN)
        file.flush()
        run = subprocess.run([binary, "check", "config", file.name], capture_output=True, text=True)
    return run.returncode == 1 and "storge" in run.stdout + run.stderr


binary, paths, checked, judges = sys.argv[1], sys.argv[2:], 0, 0
if not refuses_what_is_wrong(binary):
    sys.exit(f"{binary} check config does not refuse an unknown key")
for path in paths:
    for document in yaml.safe_load_all(pathlib.Path(path).read_text(encoding="utf-8")):
        data = document.get("data") or {}
        names = [name for name in data if name in ("sidecar.yaml", "judge.yaml")]
        with tempfile.TemporaryDirectory() as folder:
            for name, text in data.items():
                pathlib.Path(folder, name).write_text(text.replace(MOUNT, folder + "/"), encoding="utf-8")
            for name in names:
                run = subprocess.run([binary, "check", "config", f"{folder}/{name}"], capture_output=True, text=True)
                if run.returncode not in ACCEPTED:
                    sys.exit(f"{path}: {name}: exit code {run.returncode}\n{run.stdout}{run.stderr}")
                checked += 1
                judges += name == "judge.yaml" and "discovery:" in data[name]
if not checked or not judges:
    sys.exit("no configuration was rendered, or none of a judge")
print(f"chart: sidewatch accepts {checked} configurations, {judges} of judges")
