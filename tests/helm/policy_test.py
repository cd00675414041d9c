"""Pods before and after the MutatingAdmissionPolicy."""
import copy
import pathlib
import unittest
from random import Random

import kubernetes_validate
import yaml

from admission import problems, starts
from policy import Policy, translate, warnings
from shapes import random_pod

LOCAL = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
GOLDEN = pathlib.Path(__file__).parent / "golden"


def policy(name="injection", kind="Mutating"):
    documents = yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text(encoding="utf-8"))
    return next(document for document in documents if document["kind"].startswith(kind) and "Binding" not in document["kind"])


def pod(metadata=None, **spec):
    labels = {"sidewatch.dev/inject": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fraud-0", "labels": labels} | (metadata or {}),
        "spec": {"containers": [{"name": "server", "image": "vllm"}]} | spec,
    }


def sidecar(pod):
    found = [container for container in pod["spec"].get("initContainers", []) if container["name"] == "sidewatch"]
    assert len(found) == 1, found
    return found[0]


class Injection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = policy()
        cls.policy = Policy(cls.document)

    def test_a_bare_pod_gets_a_native_sidecar_that_every_kubernetes_accepts(self):
        bare = pod()
        admitted = self.policy.admit(copy.deepcopy(bare))
        container = sidecar(admitted)
        self.assertEqual(container["restartPolicy"], "Always")
        self.assertEqual(container["ports"], [{"name": "sidewatch", "containerPort": 9755, "protocol": "TCP"}])
        self.assertEqual(admitted["spec"]["containers"], bare["spec"]["containers"])
        for minor in range(29, 38):
            kubernetes_validate.validate(admitted, f"1.{minor}", strict=True)

    def test_existing_containers_and_volumes_stay(self):
        full = pod(
            {"annotations": {"owner": "ml"}},
            initContainers=[{"name": "download", "image": "s3"}],
            volumes=[{"name": "weights", "emptyDir": {}}],
        )
        spec = self.policy.admit(full)["spec"]
        self.assertEqual([each["name"] for each in spec["initContainers"]], ["download", "sidewatch"])
        self.assertEqual([each["name"] for each in spec["volumes"]], ["weights", "sidewatch-state", "sidewatch-no-token"])

    def test_a_pod_is_never_injected_twice(self):
        once = self.policy.admit(pod())
        self.assertIsNone(self.policy.patch(once))
        own = pod(containers=[{"name": "server", "image": "vllm"}, {"name": "sidewatch", "image": "own"}])
        self.assertIsNone(self.policy.patch(own))

    def test_a_state_volume_of_the_users_own_is_used(self):
        own = pod(volumes=[{"name": "sidewatch-state", "persistentVolumeClaim": {"claimName": "keep"}}])
        admitted = self.policy.admit(own)
        self.assertEqual(admitted["spec"]["volumes"], own["spec"]["volumes"] + [{"name": "sidewatch-no-token", "emptyDir": {"sizeLimit": "1Mi"}}])
        self.assertEqual(admitted["metadata"]["annotations"][LOCAL], "sidewatch-no-token")

    def test_pods_on_windows_and_on_the_hosts_network_are_not_changed(self):
        self.assertIsNone(self.policy.patch(pod(os={"name": "windows"})))
        self.assertIsNone(self.policy.patch(pod(hostNetwork=True)))
        self.assertIsNotNone(self.policy.patch(pod(os={"name": "linux"}, hostNetwork=False)))

    def test_a_pod_that_needs_a_port_or_a_volume_of_the_sidecar_is_left_alone(self):
        for port in (9755, 9756):
            taken = [{"name": "server", "image": "vllm", "ports": [{"containerPort": port}]}]
            self.assertIsNone(self.policy.patch(pod(containers=taken)))
            self.assertIsNone(self.policy.patch(pod(initContainers=taken)))
        self.assertIsNone(self.policy.patch(pod(volumes=[{"name": "sidewatch-no-token", "emptyDir": {}}])))

    def test_annotations_are_the_parameters(self):
        annotations = {
            "scheme": "https", "port": "8002", "path": "/v2/metrics", "pack": "triton,accuracy", "model-id": "fraud",
            "model-version": "7", "interval": "5s", "cpu": "100m", "memory": "128Mi", "storage": "1Gi"}
        admitted = self.policy.admit(pod({"annotations": {f"sidewatch.dev/{name}": value for name, value in annotations.items()}}))
        container = sidecar(admitted)
        self.assertEqual(
            container["args"][-5:],
            ["--target=https://127.0.0.1:8002/v2/metrics", "--model.id=fraud", "--rules=triton,accuracy", "--model.version=7",
             "--scrape.interval=5s"])
        amounts = {"cpu": "100m", "memory": "128Mi"}
        self.assertEqual(container["resources"], {"requests": amounts, "limits": amounts})
        self.assertEqual(admitted["spec"]["volumes"][0]["emptyDir"], {"sizeLimit": "1Gi"})

    def test_an_amount_that_would_make_the_pod_invalid_or_starve_the_sidecar_is_ignored(self):
        usual = sidecar(self.policy.admit(pod()))["resources"]
        for name, value in (("cpu", "lots"), ("cpu", "1m"), ("cpu", "-1"), ("cpu", "1.5x"), ("memory", "1Mi"), ("memory", "31Mi"),
                            ("memory", "64"), ("memory", "64mi"), ("storage", "1Mi"), ("storage", "")):
            admitted = self.policy.admit(pod({"annotations": {f"sidewatch.dev/{name}": value}}))
            self.assertEqual(sidecar(admitted)["resources"], usual)
            self.assertEqual(admitted["spec"]["volumes"][0]["emptyDir"], {"sizeLimit": "256Mi"})

    def test_without_annotations_the_defaults_hold(self):
        args = sidecar(self.policy.admit(pod()))["args"]
        self.assertEqual(args[:2], ["run", "--keep-running"])
        self.assertEqual(args[-2:], ["--target=http://127.0.0.1:8000/metrics", "--model.id=default"])

    def test_it_has_the_configuration_of_every_other_shape(self):
        """The kubelet turns $$ into $ and leaves ${NAME} to the program."""
        documents = yaml.safe_load_all((GOLDEN / "injection.yaml").read_text(encoding="utf-8"))
        shown = next(each for each in documents if each["kind"] == "ConfigMap")["data"]["sidecar.yaml"]
        expected = yaml.safe_load(shown) | {"rule_files": ["vllm", "accuracy"]}
        argument = next(arg for arg in sidecar(self.policy.admit(pod()))["args"] if arg.startswith("--config.text="))
        self.assertNotRegex(argument.replace("$$", ""), r"\$")
        self.assertEqual(yaml.safe_load(argument.removeprefix("--config.text=").replace("$$", "$")), expected)
        self.assertEqual(expected["alerting"]["alertmanagers"], [{"url": "http://alertmanager.monitoring.svc:9093"}])
        self.assertEqual(expected["global"]["external_labels"], {"cluster": "eu1"})
        self.assertEqual(expected["retraining"]["webhooks"], [{"url": "http://retrain.ml.svc/hook"}])
        self.assertIn({"name": "TEAM", "value": "ml"}, sidecar(self.policy.admit(pod()))["env"])
        self.assertIn("--limit.series=5000", sidecar(self.policy.admit(pod()))["args"])

    def test_it_has_no_token_of_the_pods_service_account(self):
        container = sidecar(self.policy.admit(pod()))
        self.assertIn({"name": "sidewatch-no-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
                      container["volumeMounts"])

    def test_the_autoscaler_may_still_remove_the_node(self):
        names = "sidewatch-state,sidewatch-no-token"
        for before, after in ((None, names), ({}, names), ({"owner": "ml"}, names), ({LOCAL: "cache"}, f"cache,{names}")):
            admitted = self.policy.admit(pod({} if before is None else {"annotations": before}))
            self.assertEqual(admitted["metadata"]["annotations"], (before or {}) | {LOCAL: after})

    def test_the_sidecar_of_a_pod_with_resources_of_its_own_asks_for_none(self):
        full = {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}
        containers = [{"name": "server", "image": "vllm", "resources": full}]
        admitted = self.policy.admit(pod(resources=full, containers=containers))
        self.assertEqual(sidecar(admitted)["resources"], {})
        self.assertEqual(problems(admitted), [])

    def test_the_models_name_comes_from_the_most_specific_label(self):
        labels = {"sidewatch.dev/inject": "true", "app": "a"}
        for name, expected in (("", "a"), ("app.kubernetes.io/name", "b"), ("serving.kserve.io/inferenceservice", "c")):
            if name:
                labels[name] = expected
            args = sidecar(self.policy.admit(pod({"labels": dict(labels)})))["args"]
            self.assertIn(f"--model.id={expected}", args)

    def test_a_guaranteed_pod_stays_guaranteed_and_restricted(self):
        container = sidecar(self.policy.admit(pod()))
        self.assertEqual(container["resources"]["requests"], container["resources"]["limits"])
        context = container["securityContext"]
        self.assertTrue(context["runAsNonRoot"] and context["readOnlyRootFilesystem"])
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})

    def test_the_sidecar_is_never_a_condition_for_the_model_to_serve(self):
        container = sidecar(self.policy.admit(pod()))
        self.assertIn("livenessProbe", container)
        self.assertNotIn("readinessProbe", container)
        self.assertNotIn("startupProbe", container)
        self.assertEqual(self.document["spec"]["failurePolicy"], "Ignore")

    def test_every_message_names_the_field_that_it_fills(self):
        self.assertEqual(self.policy.misplaced, [])
        _, misplaced = translate("Object.spec{volumes: Object.spec.wrong{name: 'x'}}")
        self.assertEqual(misplaced, ["Object.spec.wrong fills Object.spec.volumes"])

    def test_system_namespaces_and_unlabelled_pods_are_not_selected(self):
        constraints = self.document["spec"]["matchConstraints"]
        excluded = constraints["namespaceSelector"]["matchExpressions"][0]
        self.assertEqual(excluded["operator"], "NotIn")
        self.assertIn("kube-system", excluded["values"])
        self.assertEqual(constraints["objectSelector"], {"matchLabels": {"sidewatch.dev/inject": "true"}})
        self.assertEqual(constraints["resourceRules"][0]["operations"], ["CREATE"])


class Shapes(unittest.TestCase):
    """Whatever a valid pod looks like, it is valid with the sidecar."""

    def test_two_hundred_shapes_of_pods_stay_valid(self):
        policies = {name: Policy(policy(name)) for name in ("injection", "kyverno")}
        random, injected = Random(7), 0
        for _ in range(200):
            shape = random_pod(random)
            self.assertEqual(problems(shape), [], "the generator's own mistake")
            for name, each in policies.items():
                admitted = each.admit(copy.deepcopy(shape), {})
                with self.subTest(policy=name, pod=shape):
                    self.assertEqual(problems(admitted), [])
                    self.assertEqual(admitted["spec"]["containers"], shape["spec"]["containers"])
                    if admitted == shape:
                        continue
                    injected += 1
                    self.assertEqual(starts(sidecar(admitted)), [])
                    self.assertLessEqual(shape["metadata"]["labels"].items(), admitted["metadata"]["labels"].items())
                    kubernetes_validate.validate(admitted, "1.37", strict=True)
        self.assertGreater(injected, 150)


class Warnings(unittest.TestCase):
    """What kubectl says when a pod is created. Nothing is refused."""

    def test_it_only_warns(self):
        documents = list(yaml.safe_load_all((GOLDEN / "injection.yaml").read_text(encoding="utf-8")))
        binding = next(each for each in documents if each["kind"] == "ValidatingAdmissionPolicyBinding")
        self.assertEqual(binding["spec"]["validationActions"], ["Warn"])
        validating = policy("injection", "ValidatingAdmissionPolicy")
        self.assertEqual(binding["spec"]["policyName"], validating["metadata"]["name"])
        self.assertEqual(validating["spec"]["failurePolicy"], "Ignore")
        selects = [each["spec"]["matchConstraints"]["namespaceSelector"] for each in (validating, policy())]
        self.assertEqual(*selects)

    def said(self, **annotations):
        """What is said of a pod, injected or not, and of a Deployment with it as the template."""
        annotations = {f"sidewatch.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        shape = pod({"annotations": annotations})
        deployment = {"metadata": {"name": "d"}, "spec": {"template": {"metadata": shape["metadata"], "spec": shape["spec"]}}}
        validating = policy("injection", "ValidatingAdmissionPolicy")
        said = [warnings(validating, each) for each in (shape, Policy(policy()).admit(copy.deepcopy(shape)), deployment)]
        self.assertEqual(said, [said[0]] * 3)
        return said[0]

    def test_nothing_is_said_about_what_is_right(self):
        self.assertEqual(self.said(), [])
        self.assertEqual(self.said(scheme="https", port="8000", path="/v2/metrics", pack="vllm, accuracy", model_id="Any thing", interval="1m30s",
                                   cpu="100m", memory="1Gi", storage="512Mi"), [])
        self.assertEqual(self.said(pack="auto"), [])

    def test_each_mistake_is_named_with_its_remedy(self):
        for name, value, needle in (("pack", "vlm", "packs of Sidewatch"), ("pack", "vllm,", "packs"), ("port", "http", "a port"), ("port", "70000", "a port"),
                                    ("path", "metrics", "begins with /"), ("scheme", "tcp", "http or https"), ("interval", "soon", "15s"),
                                    ("cpu", "1m", "ignored"), ("memory", "1Mi", "ignored"), ("storage", "1Mi", "ignored")):
            with self.subTest(f"{name}={value}"):
                said = self.said(**{name: value})
                self.assertEqual(len(said), 1)
                self.assertIn(f"sidewatch.dev/{name} must be", said[0])
                self.assertIn(needle, said[0])

    def test_a_pod_that_gets_no_sidecar_is_told_why(self):
        validating = policy("injection", "ValidatingAdmissionPolicy")
        taken = pod(containers=[{"name": "server", "image": "vllm", "ports": [{"containerPort": 9755}]}])
        self.assertIn("declares the port", warnings(validating, taken)[0])
        self.assertIn("host's network", warnings(validating, pod(hostNetwork=True))[0])
        self.assertEqual(warnings(validating, pod({"labels": {}}, hostNetwork=True)), [], "it asks for none")

    def test_with_the_label_on_the_namespace_a_pod_may_decline(self):
        validating, asks = policy("kyverno", "ValidatingAdmissionPolicy"), {"sidewatch.dev/inject": "true"}
        for labels, namespace, told in (({}, asks, 1), ({}, {}, 0), (asks, {}, 1), ({"sidewatch.dev/inject": "false"}, asks, 0)):
            self.assertEqual(len(warnings(validating, pod({"labels": labels}, hostNetwork=True), namespace)), told)


class Kyverno(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = policy("kyverno")
        cls.policy = Policy(cls.document)

    def test_it_is_the_policy_of_the_api_server(self):
        self.assertEqual(self.document["apiVersion"], "policies.kyverno.io/v1")
        self.assertEqual(self.document["spec"].pop("autogen"), {"podControllers": {"controllers": []}})
        self.assertEqual(set(self.document["spec"]), set(policy()["spec"]))

    def test_a_label_of_the_namespace_asks_for_its_pods_and_a_pod_may_decline(self):
        asks = {"sidewatch.dev/inject": "true"}
        plain = pod({"labels": {"app": "a"}})
        self.assertIsNone(self.policy.patch(plain, {}))
        self.assertIsNone(self.policy.patch(plain, {"sidewatch.dev/inject": "false"}))
        for metadata in ({"labels": {"app": "a"}}, {"labels": {}}):
            labels = self.policy.admit(pod(metadata), asks)["metadata"]["labels"]
            self.assertEqual(labels, metadata["labels"] | asks, "a PodMonitor finds it")
        bare = pod()
        del bare["metadata"]["labels"]
        self.assertEqual(self.policy.admit(bare, asks)["metadata"]["labels"], asks)
        self.assertIsNotNone(self.policy.patch(pod(), {}))
        constraints = self.document["spec"]["matchConstraints"]
        self.assertEqual(constraints["objectSelector"], {"matchExpressions": [{"key": "sidewatch.dev/inject", "operator": "NotIn", "values": ["false"]}]})
        self.assertEqual(constraints["namespaceSelector"], {}, "no namespace is excluded")

    def test_without_a_user_of_its_own_it_never_runs_as_root(self):
        """On OpenShift the cluster chooses the user."""
        context = sidecar(self.policy.admit(pod()))["securityContext"]
        self.assertNotIn("runAsUser", context)
        self.assertTrue(context["runAsNonRoot"])
        self.assertIsNone(self.policy.patch(pod(securityContext={"runAsUser": 0})))
        self.assertIsNotNone(self.policy.patch(pod(securityContext={"runAsUser": 1000})))


if __name__ == "__main__":
    unittest.main()
