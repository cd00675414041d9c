"""Pods before and after the MutatingAdmissionPolicy."""
import copy
import pathlib
import unittest

import kubernetes_validate
import yaml

from policy import Policy, translate

GOLDEN = pathlib.Path(__file__).parent / "golden"


def policy(name="injection"):
    documents = yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text(encoding="utf-8"))
    return next(document for document in documents if document["kind"] == "MutatingAdmissionPolicy")


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
        self.assertEqual([each["name"] for each in spec["volumes"]], ["weights", "sidewatch-state"])

    def test_a_pod_is_never_injected_twice(self):
        once = self.policy.admit(pod())
        self.assertIsNone(self.policy.patch(once))
        own = pod(containers=[{"name": "server", "image": "vllm"}, {"name": "sidewatch", "image": "own"}])
        self.assertIsNone(self.policy.patch(own))

    def test_a_state_volume_of_the_users_own_is_used(self):
        own = pod(volumes=[{"name": "sidewatch-state", "persistentVolumeClaim": {"claimName": "keep"}}])
        self.assertEqual(self.policy.admit(own)["spec"]["volumes"], own["spec"]["volumes"])

    def test_pods_on_windows_and_on_the_hosts_network_are_not_changed(self):
        self.assertIsNone(self.policy.patch(pod(os={"name": "windows"})))
        self.assertIsNone(self.policy.patch(pod(hostNetwork=True)))
        self.assertIsNotNone(self.policy.patch(pod(os={"name": "linux"}, hostNetwork=False)))

    def test_annotations_are_the_parameters(self):
        annotations = {
            "sidewatch.dev/port": "8002",
            "sidewatch.dev/path": "/v2/metrics",
            "sidewatch.dev/pack": "triton",
            "sidewatch.dev/model-id": "fraud",
        }
        args = sidecar(self.policy.admit(pod({"annotations": annotations})))["args"]
        self.assertEqual(
            args[:4],
            ["run", "--target=http://127.0.0.1:8002/v2/metrics", "--rules=triton", "--model.id=fraud"],
        )

    def test_without_annotations_the_defaults_hold(self):
        args = sidecar(self.policy.admit(pod()))["args"]
        self.assertEqual(
            args[:4], ["run", "--target=http://127.0.0.1:8000/metrics", "--rules=vllm", "--model.id=default"]
        )
        self.assertIn("--alertmanager.url=http://alertmanager.monitoring.svc:9093", args)

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


class Kyverno(unittest.TestCase):
    def test_it_adds_the_same_container_as_the_admission_policy(self):
        documents = yaml.safe_load_all((GOLDEN / "kyverno.yaml").read_text(encoding="utf-8"))
        rule = next(each for each in documents if each["kind"] == "ClusterPolicy")["spec"]["rules"][0]
        theirs = copy.deepcopy(rule["mutate"]["patchStrategicMerge"]["spec"]["initContainers"][0])
        ours = sidecar(Policy(policy()).admit(pod()))
        values = {"{{ port }}": "8000", "{{ path }}": "/metrics", "{{ pack }}": "vllm", "{{ modelid }}": "default"}
        args = []
        for arg in theirs.pop("args"):
            for name, value in values.items():
                arg = arg.replace(name, value)
            args.append(arg)
        self.assertEqual(args, [arg for arg in ours.pop("args") if not arg.startswith("--retrain.url")])
        self.assertEqual(theirs, ours)


if __name__ == "__main__":
    unittest.main()
