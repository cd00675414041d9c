"""Random values within the schema: the chart either refuses them with a reason, or both Helms render the same objects, which
every supported Kubernetes accepts. CHART_RANDOM says how many (60), CHART_SEED where they start.
"""
import json
import os
import pathlib
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from random import Random

import jsonschema
import kubernetes_validate
import yaml

import kinds
from admission import of_metadata, problems, starts
from pods_test import claims, pods
from policy import Policy
from policy_test import sidecar
from schemas import CUSTOM, WITHOUT_SCHEMA, as_builtin
from shapes import random_pod
from values import CHART, SCHEMA, random_values

COUNT, SEED = int(os.environ.get("CHART_RANDOM", "60")), int(os.environ.get("CHART_SEED", "1"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The oldest and the newest; schemas.py checks the golden renders against each.
VERSIONS = ("1.29", "1.37")


def template(helm, values):
    command = [helm, "template", "model", str(CHART), "--namespace", "ml", "--kube-version", "1.36.0", "-f", "-",
               "--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)


def objects(run):
    return sorted((each for each in yaml.load_all(run.stdout, LOADER) if each), key=lambda each: (each["kind"], str(each["metadata"]["name"])))


def wrong_object(document):
    """What Kubernetes would say about one rendered object."""
    kind = document["apiVersion"], document["kind"]
    yield from of_metadata(document["metadata"])
    if kind in WITHOUT_SCHEMA:
        return
    if kind[1] in CUSTOM:
        yield from kinds.problems(kind[1], document)
        return
    for version in VERSIONS if not kind[1].startswith(("Mutating", "Validating")) else VERSIONS[1:]:
        try:
            kubernetes_validate.validate(as_builtin(document), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{kind[1]} (Kubernetes {version}): {error}"
    for pod in pods(document):
        pod = {"metadata": pod.get("metadata", {}), "spec": dict(pod["spec"])}
        if document["kind"] == "StatefulSet":
            pod["spec"]["volumes"] = pod["spec"].get("volumes", []) + claims(document)
        yield from problems(pod)
        for container in pod["spec"]["containers"]:
            yield from starts(container)


def wrong_injection(document, random):
    """What would become of a random pod under the rendered policy."""
    shape = random_pod(random)
    admitted = Policy(document).admit(json.loads(json.dumps(shape)), random.choice([{}, {"sidewatch.dev/inject": "true"}]))
    yield from problems(admitted)
    if admitted != shape:
        yield from starts(sidecar(admitted))
        try:
            kubernetes_validate.validate(admitted, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            yield str(error)


def outcome(seed):
    """refused or rendered, and what is wrong."""
    random = Random(seed)
    values = random_values(random)
    runs = [template(helm, values) for helm in ("helm", "helm3")]
    if any(run.returncode for run in runs):
        reasons = [run.stderr for run in runs]
        told = all(run.returncode and "execution error at (sidewatch/templates/configmap.yaml" in run.stderr for run in runs)
        return "refused", values, [] if told else reasons
    try:
        rendered, other = map(objects, runs)
    except yaml.YAMLError as error:
        return "rendered", values, [f"no YAML: {error}"]
    wrong = [] if rendered == other else ["Helm 3 and Helm 4 differ"]
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    wrong += [] if len(names) == len(set(names)) else ["two objects of one name"]
    for document in rendered:
        wrong += [f"{document['kind']}/{document['metadata']['name']}: {each}" for each in wrong_object(document)]
        if "mutations" in document.get("spec", {}):
            wrong += [f"injected: {each}" for each in wrong_injection(document, random)]
    return "rendered", values, wrong


class RandomValues(unittest.TestCase):
    def test_the_generator_keeps_to_the_schema(self):
        for seed in range(SEED, SEED + 200):
            values = random_values(Random(seed))
            whole = json.loads(json.dumps(DEFAULTS))
            overlay(whole, values)
            self.assertEqual([error.message for error in VALIDATOR.iter_errors(whole)], [], values)

    def test_random_values_are_refused_with_a_reason_or_give_what_kubernetes_accepts(self):
        counts = {"refused": 0, "rendered": 0}
        with ThreadPoolExecutor(2) as pool:
            for seed, (what, values, wrong) in enumerate(pool.map(outcome, range(SEED, SEED + COUNT)), SEED):
                counts[what] += 1
                with self.subTest(seed=seed):
                    self.assertEqual(wrong, [], json.dumps(values))
        self.assertGreater(counts["rendered"], COUNT // 3, counts)
        print(f"chart: of {COUNT} random values {counts['rendered']} render valid objects, {counts['refused']} are refused with a reason")


def overlay(values, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            overlay(values[key], value)
        else:
            values[key] = value


if __name__ == "__main__":
    unittest.main()
