"""Properties of every pod and every object that the chart renders, for all values."""
import pathlib
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "helm/sidewatch"
GOLDEN = sorted((ROOT / "tests/helm/golden").glob("*.yaml"))
OURS = ("sidewatch", "check")
# Values that render every kind of the chart, together with VARIANTS. The objects of the two engines have equal names, so each needs its own render.
EVERYTHING = """
commonLabels: {team: ml}
commonAnnotations: {owner: ml@example.com}
model: {id: fraud}
rules: {check: true}
webConfig: {secret: web}
judge:
  enabled: true
  target: {headlessService: fraud-headless.ml.svc}
  ingress: {enabled: true, hosts: [a.example.com]}
  httpRoute: {enabled: true, parentRefs: [{name: gateway}]}
  verticalPodAutoscaler: {enabled: true}
retraining: {webhooks: [{url: "http://retrain.ml.svc/hook"}]}
serviceMonitor: {enabled: true}
podMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboards: {enabled: true}
networkPolicy: {enabled: true}
podDisruptionBudget: {enabled: true}
"""


VARIANTS = ("injection.engine=mutatingAdmissionPolicy", "injection.engine=kyverno,judge.availability=active,relay.enabled=true,relay.token.secret=t")


def render(values, *arguments):
    run = subprocess.run(["helm", "template", "model", str(CHART), "-f", "-", *arguments],
                         input=values, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [document for document in yaml.safe_load_all(run.stdout) if document]


def pods(document):
    if document["kind"] == "Pod":
        yield document
    if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield document["spec"]["template"]


def claims(document):
    return [{"name": each["metadata"]["name"], "persistentVolumeClaim": {}} for each in document["spec"].get("volumeClaimTemplates", [])]


def rendered():
    for path in GOLDEN:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.stem, document


def ours():
    """Every container of the chart: (where, pod's spec, container, whether its pod is a model's)."""
    for name, document in rendered():
        for pod in pods(document):
            spec = pod["spec"]
            spec["volumes"] = spec.get("volumes", []) + (claims(document) if document["kind"] == "StatefulSet" else [])
            for container in spec.get("initContainers", []) + spec["containers"]:
                if container["name"] in OURS:
                    yield f"{name}: {document['metadata']['name']}: {container['name']}", spec, container, name.startswith("example")


class EveryContainer(unittest.TestCase):
    def test_it_meets_the_restricted_pod_security_standard(self):
        checked = 0
        for where, spec, container, _ in ours():
            with self.subTest(where):
                pod, own = spec.get("securityContext", {}), container["securityContext"]
                for field in ("hostNetwork", "hostPID", "hostIPC"):
                    self.assertFalse(spec.get(field, False))
                self.assertFalse(own.get("privileged", False))
                self.assertIs(own["allowPrivilegeEscalation"], False)
                self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
                self.assertTrue(own.get("runAsNonRoot", pod.get("runAsNonRoot")))
                self.assertNotEqual(own.get("runAsUser", pod.get("runAsUser")), 0)
                self.assertEqual(own.get("seccompProfile", pod.get("seccompProfile")), {"type": "RuntimeDefault"})
                self.assertFalse([port for port in container.get("ports", []) if "hostPort" in port])
                mounted = {mount["name"] for mount in container["volumeMounts"]}
                for volume in spec["volumes"]:
                    if volume["name"] in mounted:
                        self.assertTrue({"configMap", "secret", "emptyDir", "persistentVolumeClaim"} & set(volume))
                        mounted.discard(volume["name"])
                self.assertEqual(mounted, set(), "a mount without its volume")
            checked += 1
        self.assertGreater(checked, 10)

    def test_its_root_is_read_only_and_its_requests_equal_its_limits(self):
        for where, _, container, _ in ours():
            with self.subTest(where):
                self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)
                resources = container["resources"]
                self.assertEqual(resources["requests"], resources["limits"])
                self.assertEqual(set(resources["limits"]), {"cpu", "memory"})

    def test_a_sidecar_has_a_liveness_probe_on_the_health_port_and_no_other(self):
        sidecars = [(where, container) for where, _, container, model in ours() if model and container["name"] == "sidewatch"]
        self.assertTrue(sidecars)
        for where, container in sidecars:
            with self.subTest(where):
                self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/-/healthy", "port": 9756})
                self.assertIn("--web.health-listen-address=:9756", container["args"])
                for probe in ("readinessProbe", "startupProbe", "lifecycle"):
                    self.assertNotIn(probe, container)

    def test_no_pod_of_the_chart_has_a_token(self):
        found = 0
        for name, document in rendered():
            if document["kind"] == "ServiceAccount":
                self.assertIs(document["automountServiceAccountToken"], False)
                found += 1
            for pod in pods(document):
                with self.subTest(f"{name}: {document['metadata']['name']}"):
                    self.assertIs(pod["spec"]["automountServiceAccountToken"], False)
        self.assertTrue(found)


class EveryObject(unittest.TestCase):
    def test_it_has_the_users_labels_and_annotations(self):
        kinds = set()
        for variant in VARIANTS:
            for document in render(EVERYTHING, "--set", variant):
                kinds.add(document["kind"])
                for metadata in [document["metadata"]] + [pod["metadata"] for pod in pods(document)]:
                    with self.subTest(f"{document['kind']} {document['metadata']['name']}"):
                        self.assertEqual(metadata["labels"]["team"], "ml")
                        self.assertEqual(metadata["labels"]["app.kubernetes.io/name"], "sidewatch")
                        self.assertEqual(metadata["annotations"]["owner"], "ml@example.com")
        templates = "\n".join(path.read_text(encoding="utf-8") for path in CHART.glob("templates/**/*.yaml"))
        written = {line.split(":")[1].strip() for line in templates.splitlines() if line.startswith("kind:")}
        self.assertEqual(kinds, written, "a kind of the chart is in no render")

    def test_the_selector_does_not_change_with_the_users_labels(self):
        plain, labelled = (
            next(each for each in render(EVERYTHING, *extra) if each["kind"] == "Deployment")
            for extra in ((), ("--set", "commonLabels.app=x,judge.podLabels.app=y,image.tag=v9")))
        self.assertEqual(plain["spec"]["selector"], labelled["spec"]["selector"])
        self.assertEqual(labelled["spec"]["template"]["metadata"]["labels"]["app"], "y")


class WebConfiguration(unittest.TestCase):
    def test_the_secret_is_mounted_where_the_argument_points(self):
        deployment = next(each for each in render(EVERYTHING) if each["kind"] == "Deployment")
        spec = deployment["spec"]["template"]["spec"]
        container = next(each for each in spec["containers"] if each["name"] == "sidewatch")
        self.assertIn("--web.config.file=/etc/sidewatch/web/web.yml", container["args"])
        self.assertIn({"name": "sidewatch-web", "mountPath": "/etc/sidewatch/web", "readOnly": True}, container["volumeMounts"])
        self.assertIn({"name": "sidewatch-web", "secret": {"secretName": "web"}}, spec["volumes"])

    def test_the_kubelet_needs_neither_tls_nor_a_password(self):
        deployment = next(each for each in render(EVERYTHING) if each["kind"] == "Deployment")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        for probe in ("livenessProbe", "readinessProbe"):
            self.assertEqual(container[probe]["httpGet"]["port"], 9756)
            self.assertNotIn("scheme", container[probe]["httpGet"])

    def test_prometheus_scrapes_with_the_users_tls_and_password(self):
        tls = "{scheme: https, tlsConfig: {serverName: judge}, basicAuth: {username: {name: s, key: u}, password: {name: s, key: p}}"
        values = EVERYTHING.replace("serviceMonitor: {", f"serviceMonitor: {tls}, ").replace("podMonitor: {", f"podMonitor: {tls}, ")
        monitors = {each["kind"]: each["spec"] for each in render(values) if each["kind"].endswith("Monitor")}
        for endpoint in monitors["ServiceMonitor"]["endpoints"] + monitors["PodMonitor"]["podMetricsEndpoints"]:
            self.assertEqual((endpoint["port"], endpoint["scheme"], endpoint["tlsConfig"]), ("sidewatch", "https", {"serverName": "judge"}))
            self.assertEqual(endpoint["basicAuth"]["password"], {"name": "s", "key": "p"})


if __name__ == "__main__":
    unittest.main()
