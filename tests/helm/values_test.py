"""Values that the chart refuses, with the messages, and what the alerting modes and engines render."""
import pathlib
import subprocess
import unittest

import kubernetes_validate
import yaml

CHART = pathlib.Path(__file__).parents[2] / "helm/sidewatch"
JUDGE = ["--set", "judge.enabled=true,judge.target.headlessService=fraud-headless.ml.svc"]


def render(*arguments, helm="helm"):
    return subprocess.run([helm, "template", "model", str(CHART), *arguments], capture_output=True, text=True)


def objects(*arguments):
    run = render(*arguments)
    assert run.returncode == 0, run.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(run.stdout) if each}


def alerts(rendered):
    rules = [each for (kind, _), each in rendered.items() if kind == "PrometheusRule"]
    groups = [group for each in rules for group in each["spec"]["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def configurations(rendered):
    data = rendered["ConfigMap", "model-sidewatch"]["data"]
    return {name: yaml.safe_load(data[name]) for name in ("sidecar.yaml", "judge.yaml") if name in data}


class AlertingMode(unittest.TestCase):
    """Exactly one of Sidewatch and Prometheus alerts on a model."""

    METRICS = "alerting.mode=metrics,prometheusRule.enabled=true"

    def refused(self, needle, *arguments):
        for helm in ("helm", "helm3"):
            run = render(*arguments, helm=helm)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(needle, run.stderr)

    def test_metrics_mode_with_an_alertmanager_is_refused(self):
        self.refused("arrive twice", "--set", self.METRICS, "--set", "alerting.alertmanagers[0].url=http://am:9093")
        self.refused("arrive twice", "--set", self.METRICS, "--set", "injection.alertmanagerUrl=http://am:9093")

    def test_metrics_mode_without_a_rule_is_refused(self):
        self.refused("no alert is sent", "--set", "alerting.mode=metrics")

    def test_in_metrics_mode_prometheus_alerts_and_nothing_is_posted(self):
        rendered = objects("--set", self.METRICS, *JUDGE)
        self.assertIn("SidewatchModelAnomaly", alerts(rendered))
        for configuration in configurations(rendered).values():
            self.assertEqual(configuration["alerting"]["mode"], "metrics")
            self.assertNotIn("alertmanagers", configuration["alerting"])

    def test_in_direct_mode_no_rule_alerts_on_models(self):
        rendered = objects("--set", "prometheusRule.enabled=true,alerting.alertmanagers[0].url=http://am:9093", *JUDGE)
        self.assertNotIn("SidewatchModelAnomaly", alerts(rendered))
        self.assertIn("SidewatchDown", alerts(rendered))

    def test_with_a_judge_the_sidecars_only_export(self):
        extra = "alerting.alertmanagers[0].url=http://am:9093,retraining.webhooks[0].url=http://hook"
        both = configurations(objects("--set", extra, *JUDGE))
        self.assertNotIn("alertmanagers", both["sidecar.yaml"]["alerting"])
        self.assertNotIn("webhooks", both["sidecar.yaml"]["retraining"])
        self.assertEqual(both["judge.yaml"]["alerting"]["alertmanagers"], [{"url": "http://am:9093"}])
        self.assertEqual(both["judge.yaml"]["retraining"]["webhooks"], [{"url": "http://hook"}])


class Refusals(unittest.TestCase):
    def refused(self, needle, *arguments):
        run = render(*arguments)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(needle, run.stderr)

    def test_a_load_balanced_service_is_refused_with_the_reason(self):
        self.refused("every counter would seem to reset", *JUDGE, "--set", "judge.target.loadBalancedService=fraud")

    def test_a_judge_needs_a_headless_service(self):
        self.refused("clusterIP: None", "--set", "judge.enabled=true")

    def test_a_misspelt_value_is_refused(self):
        self.refused("replicas", *JUDGE, "--set", "judge.replicas=3")
        self.refused("mode", "--set", "alerting.mode=both")

    def test_a_rule_file_needs_a_plain_name(self):
        self.refused("rules.files", "--set-string", r"rules.files.\.\./x=groups: []")


class Engines(unittest.TestCase):
    def kinds(self, *arguments):
        return {(each["kind"], each["apiVersion"]) for each in objects(*arguments).values()}

    def test_the_cluster_decides_what_injects(self):
        v1, beta = ("admissionregistration.k8s.io/" + version for version in ("v1", "v1beta1"))
        policy = "MutatingAdmissionPolicy"
        both = self.kinds("--api-versions", f"{v1}/{policy}", "--api-versions", f"{beta}/{policy}")
        self.assertIn((policy, v1), both)
        kyverno = self.kinds("--set", "injection.engine=kyverno")
        self.assertIn(("ClusterPolicy", "kyverno.io/v1"), kyverno)
        self.assertNotIn((policy, v1), kyverno)

    def test_the_beta_is_used_where_there_is_no_other(self):
        run = render("--api-versions", "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy", helm="helm3")
        self.assertIn("apiVersion: admissionregistration.k8s.io/v1beta1\nkind: MutatingAdmissionPolicy\n", run.stdout)
        for document in filter(None, yaml.safe_load_all(run.stdout)):
            for version in ("1.34", "1.35"):
                kubernetes_validate.validate(document, version, strict=True)

    def test_an_old_cluster_gets_no_policy_and_no_error(self):
        run = render(helm="helm3")
        self.assertEqual(run.returncode, 0)
        kinds = {each["kind"] for each in yaml.safe_load_all(run.stdout) if each}
        self.assertEqual(kinds, {"ConfigMap", "Pod"})


class Restricted(unittest.TestCase):
    def test_one_judge_that_is_recreated_with_its_claim(self):
        spec = objects(*JUDGE)["Deployment", "model-sidewatch"]["spec"]
        self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}))
        self.assertFalse(spec["template"]["spec"]["automountServiceAccountToken"])

    def test_no_object_names_a_namespace(self):
        everything = "dashboards.enabled=true,networkPolicy.enabled=true,podDisruptionBudget.enabled=true"
        for rendered in objects(*JUDGE, "--set", everything).values():
            self.assertNotIn("namespace", rendered["metadata"])


if __name__ == "__main__":
    unittest.main()
