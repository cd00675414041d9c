"""Checks rendered objects against the schemas of every supported Kubernetes, and custom resources against
those of schemas.yaml.

kubernetes-validate only warns about a kind that it doesn't know, so every such kind must be named here.
"""
import pathlib
import sys

import kubernetes_validate
import yaml

import kinds

VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
# First version whose schemas know a kind; the chart renders it by capability or on request only.
SINCE = {("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): 30,
         ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"): 30,
         ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"): 36,
         ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding"): 36}
CUSTOM = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
WITHOUT_SCHEMA = {("autoscaling.k8s.io/v1", "VerticalPodAutoscaler"), ("gateway.networking.k8s.io/v1", "HTTPRoute"), ("serving.kserve.io/v1beta1", "InferenceService")}
NO_OBJECT = {"alertmanager.yaml", "relay-values.yaml"}


def as_builtin(document):
    """Kyverno's MutatingPolicy has the spec of a MutatingAdmissionPolicy, and a key of its own."""
    if (document["apiVersion"], document["kind"]) != ("policies.kyverno.io/v1", "MutatingPolicy"):
        return document
    spec = {key: value for key, value in document["spec"].items() if key != "autogen"}
    return document | {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "spec": spec}


def builtin(document, where):
    problems, tried = [], 0
    kind = (document["apiVersion"], document["kind"])
    for version in VERSIONS:
        if int(version.split(".")[1]) < SINCE.get(kind, 0):
            continue
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{where} (Kubernetes {version}): {error}")
        except kubernetes_validate.SchemaNotFoundError:
            problems.append(f"{where} (Kubernetes {version}): this kind is unknown")
        tried += 1
    return problems, tried


def main(paths):
    problems, checked, skipped = [], 0, set()
    for path in map(pathlib.Path, paths):
        if path.name in NO_OBJECT:
            continue
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            where = f"{path}: {document['kind']}/{document['metadata']['name']}"
            if (document["apiVersion"], document["kind"]) in WITHOUT_SCHEMA:
                skipped.add(f"{document['kind']} (no schema at hand)")
            elif document["kind"] in CUSTOM:
                problems += [f"{where}: {problem}" for problem in kinds.problems(document["kind"], document)]
                checked += 1
            else:
                found, tried = builtin(as_builtin(document), where)
                problems += found
                checked += tried
    print("\n".join(problems), end="\n" if problems else "")
    print(f"chart: {checked} objects match their schemas; not checked: {', '.join(sorted(skipped)) or 'none'}")
    return 1 if problems or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
