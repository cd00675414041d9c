"""The examples: the pods after injection, and whether the judge finds them."""
import pathlib
import re
import shlex
import subprocess
import unittest

import kubernetes_validate
import yaml

from policy import Policy
from policy_test import policy, sidecar

ROOT = pathlib.Path(__file__).parents[2]


def example(name):
    text = (ROOT / "helm/examples" / name).read_text(encoding="utf-8")
    return text, {document["kind"]: document for document in yaml.safe_load_all(text)}


def judge(text):
    """Runs the `helm install` of an example's comment as `helm template`; returns the judge's configuration."""
    command = re.sub(r"\\?\n#", " ", re.search(r"# +helm install ((?:.*\\\n)*.*)", text).group(1))
    run = subprocess.run(["helm", "template", *shlex.split(command)], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    maps = [each for each in yaml.safe_load_all(run.stdout) if each and "judge.yaml" in (each.get("data") or {})]
    return yaml.safe_load(maps[0]["data"]["judge.yaml"])


class Examples(unittest.TestCase):
    def admitted(self, metadata, spec):
        """The pod as the API server would admit it, valid in every supported Kubernetes."""
        pod = Policy(policy()).admit({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"} | metadata, "spec": spec})
        for minor in range(29, 38):
            kubernetes_validate.validate(pod, f"1.{minor}", strict=True)
        return pod

    def found(self, text, service, pod, port):
        """The judge's headless Service selects the pods, on the port where their metrics are."""
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertLessEqual(service["spec"]["selector"].items(), pod["metadata"]["labels"].items())
        self.assertEqual(service["spec"]["ports"][0]["port"], port)
        where = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port}"
        self.assertEqual(judge(text)["scrape"]["discovery"]["dns"], where)

    def test_vllm(self):
        text, documents = example("vllm-deployment.yaml")
        template = documents["Deployment"]["spec"]["template"]
        pod = self.admitted(template["metadata"], template["spec"])
        self.assertEqual(sidecar(pod)["args"][-3:], ["--target=http://127.0.0.1:8000/metrics", "--model.id=llm", "--rules=vllm"])
        self.found(text, documents["Service"], pod, template["spec"]["containers"][0]["ports"][0]["containerPort"])
        self.assertEqual(judge(text)["model"]["id"], "llm")

    def test_the_demo_model(self):
        _, documents = example("demo-model.yaml")
        template = documents["Deployment"]["spec"]["template"]
        pod = self.admitted(template["metadata"], template["spec"])
        self.assertEqual(sidecar(pod)["args"][-3:], ["--target=http://127.0.0.1:8000/metrics", "--model.id=demo", "--rules=accuracy"])
        self.assertIn("--model.listen-address=:8000", template["spec"]["containers"][0]["args"])

    def test_kserve(self):
        text, documents = example("kserve-inferenceservice.yaml")
        service = documents["InferenceService"]
        predictor = service["spec"]["predictor"]
        # The pod that KServe's controller creates for the predictor, reduced to the fields that injection reads.
        labels = predictor["labels"] | {"serving.kserve.io/inferenceservice": service["metadata"]["name"]}
        container = {"name": "kserve-container", "image": "kserve/sklearnserver"}
        pod = self.admitted({"labels": labels, "annotations": predictor["annotations"]}, {"containers": [container]})
        self.assertEqual(sidecar(pod)["args"][-3:], ["--target=http://127.0.0.1:8080/metrics", "--model.id=fraud", "--rules=kserve"])
        self.found(text, documents["Service"], pod, 8080)


if __name__ == "__main__":
    unittest.main()
