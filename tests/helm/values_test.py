"""Values that the chart refuses, with the messages, and what the alerting modes and engines render."""
import pathlib
import re
import shutil
import subprocess
import tempfile
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

    def test_what_the_api_server_or_the_kubelet_would_refuse_is_refused_first(self):
        for values, needle in (
            ("resources.requests.cpu=200m", "resources.requests.cpu: 200m is more than the limit of 50m"),
            ("resources.requests.memory=1Gi", "is more than the limit of 64Mi"),
            ("judge.resources.limits.memory=1Mi", "judge.resources.limits.memory: 1Mi is too little"),
            ("relay.resources.limits.cpu=1m", "the least is 10m"),
            ("resources.limits.cpu=lots", "/resources/limits/cpu"),
            ("resources.claims[0].name=a", "claims"),
            ("livenessProbe.perodSeconds=5", "perodSeconds"),
            ("livenessProbe.periodSeconds=0", "periodSeconds"),
            ("securityContext.runAsUser=0", "runAsUser"),
            ("securityContext.privileged=true", "privileged"),
            ("image.repository=", "image/repository"),
            ("image.pullPolicy=Never", "no labelled model would start"),
            ("ports.health=9755", "ports.health: must differ"),
            ("rules.packs[0]=vlm", 'no pack is called "vlm"'),
            ("injection.defaults.port=99999", "injection/defaults/port"),
            ("injection.defaults.path=/a'b", "injection/defaults/path"),
            ("injection.namespaceSelector.matchLabel.models=a", "matchLabel"),
            ("injection.namespaceSelector.matchLabels.models=true", "namespaceSelector/matchLabels/models"),
            ("extraEnv[0].name=A,extraEnv[0].valueFrom.secretKeyRef.name=s,extraEnv[0].valueFrom.secretKeyRef.key=k", "optional: true"),
        ):
            with self.subTest(values):
                self.refused(needle, "--set", values)

    def test_amounts_may_be_numbers(self):
        """Helm reads a number of a values file as a float."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            for amounts, needle in (({"memory": 67108864, "cpu": 0.5}, '"67108864"'), ({"memory": 67108864, "cpu": 2}, '"2"')):
                file.seek(0)
                file.truncate()
                yaml.safe_dump({"resources": {"requests": amounts, "limits": amounts}, "injection": {"engine": "mutatingAdmissionPolicy"}}, file)
                file.flush()
                run = render("-f", file.name)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertIn(needle, run.stdout)
                self.assertNotRegex(run.stdout, r"\de\+\d")
        self.refused("1000000000 is more than the limit of 64Mi", "--set-json", "resources.requests.memory=1000000000")

    def test_what_an_injected_sidecar_cannot_have_is_refused(self):
        for values in ("secrets[0].name=a", "webConfig.secret=a", "rules.files.a\\.yaml=groups: []", "extraVolumes[0].name=a",
                       "alerting.alertmanagers[0].url=http://am,alerting.alertmanagers[0].basic_auth.password_file=/etc/sidewatch/secrets/a/b"):
            with self.subTest(values):
                self.refused("in the model's namespace", "--set", values)
                self.assertEqual(render("--set", values, "--set", "injection.enabled=false").returncode, 0)

    def test_a_value_that_has_moved_names_the_new_one(self):
        self.refused("set alerting.alertmanagers instead", "--set", "injection.alertmanagerUrl=http://am:9093")
        self.refused("set retraining.webhooks instead", "--set", "injection.retrainUrl=http://hook")
        self.refused("set rules.packs instead", "--set", "injection.defaults.pack=vllm")

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
        self.assertIn(("MutatingPolicy", "policies.kyverno.io/v1"), kyverno)
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


class Umbrella(unittest.TestCase):
    def test_a_chart_that_has_it_twice_gets_two_judges(self):
        judge = {"judge": {"enabled": True, "target": {"headlessService": "a.ml.svc"}}, "injection": {"enabled": False}}
        for helm in ("helm", "helm3"):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(CHART, f"{folder}/charts/sidewatch")
                dependencies = [{"name": "sidewatch", "version": "*", "alias": alias} for alias in ("fraud", "churn")]
                for name, content in (("Chart", {"apiVersion": "v2", "name": "models", "version": "1.0.0", "dependencies": dependencies}),
                                      ("values", {"fraud": judge, "churn": judge, "global": {"imageRegistry": "mirror.example.com"}})):
                    pathlib.Path(folder, f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
                run = subprocess.run([helm, "template", "m", folder], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            documents = [each for each in yaml.safe_load_all(run.stdout) if each]
            names = [(each["kind"], each["metadata"]["name"]) for each in documents]
            self.assertEqual(len(names), len(set(names)))
            judges = [each for each in documents if each["kind"] == "Deployment"]
            self.assertEqual([each["metadata"]["name"] for each in judges], ["m-churn", "m-fraud"])
            self.assertNotEqual(*(each["spec"]["selector"] for each in judges))
            for each in judges:
                self.assertEqual(each["spec"]["template"]["spec"]["containers"][0]["image"], "mirror.example.com/sidewatch:0.1.0")


class Judges(unittest.TestCase):
    """Several judges in one release: each is what a release of its own would have, under another name."""

    def test_each_is_the_judge_of_a_release_of_its_own(self):
        judges = ("judges[0].name=fraud,judges[0].model.id=f,judges[0].rules.packs={triton},judges[0].judge.target.headlessService=f.ml.svc,"
                  "judges[0].judge.availability=rolling,judges[1].name=churn,judges[1].judge.target.headlessService=c.ml.svc")
        alone = "judge.enabled=true,judge.target.headlessService=f.ml.svc,judge.availability=rolling,model.id=f,rules.packs={triton}"
        several, one = objects("--set", judges), objects("--set", alone)
        for kind in ("Deployment", "Service", "PersistentVolumeClaim", "ConfigMap"):
            ours, theirs = several[kind, "model-sidewatch-fraud"], one[kind, "model-sidewatch"]
            if kind == "ConfigMap":
                self.assertEqual(ours["data"], {name: text for name, text in theirs["data"].items() if name != "sidecar.yaml"})
                continue
            said = yaml.safe_dump(ours["spec"]).replace("model-sidewatch-fraud", "model-sidewatch").replace("judge-fraud", "judge")
            expected = theirs["spec"]
            if kind == "Deployment":
                expected["template"]["spec"]["serviceAccountName"] = "model-sidewatch"
            self.assertEqual(yaml.safe_load(said), expected)
        churn = yaml.safe_load(several["ConfigMap", "model-sidewatch-churn"]["data"]["judge.yaml"])
        self.assertEqual((churn["model"]["id"], churn["rule_files"]), ("churn", ["auto"]))

    def test_no_selector_matches_the_pods_of_another(self):
        rendered = objects("--set", "judge.enabled=true,judge.target.headlessService=a.ml.svc,relay.enabled=true,relay.anonymous=true,"
                           "retraining.webhooks[0].url=http://x,judges[0].name=fraud,judges[0].judge.target.headlessService=f.ml.svc,"
                           "judges[1].name=churn,judges[1].judge.target.headlessService=c.ml.svc")
        labels = [each["spec"]["template"]["metadata"]["labels"] for (kind, _), each in rendered.items() if kind == "Deployment"]
        selectors = [each["spec"]["selector"] for (kind, _), each in rendered.items() if kind == "Service"]
        self.assertEqual((len(labels), len(selectors)), (4, 4))
        for selector in selectors:
            self.assertEqual(len([each for each in labels if selector.items() <= each.items()]), 1)

    def test_sidecars_beside_them_only_export_and_the_judges_request_retraining(self):
        extra = "alerting.alertmanagers[0].url=http://am:9093,retraining.webhooks[0].url=http://hook"
        rendered = objects("--set", extra, "--set", "judges[0].name=fraud,judges[0].judge.target.headlessService=f.ml.svc")
        sidecar = yaml.safe_load(rendered["ConfigMap", "model-sidewatch"]["data"]["sidecar.yaml"])
        judge = yaml.safe_load(rendered["ConfigMap", "model-sidewatch-fraud"]["data"]["judge.yaml"])
        self.assertNotIn("alertmanagers", sidecar["alerting"])
        self.assertEqual(judge["alerting"]["alertmanagers"], [{"url": "http://am:9093"}])
        self.assertNotIn("webhooks", sidecar["retraining"])
        self.assertEqual(judge["retraining"]["webhooks"], [{"url": "http://hook"}])

    def test_each_is_checked_like_the_first(self):
        for values, needle in (("judges[0].name=a,judges[0].judge.availability=rolling", "judge.target.headlessService: missing"),
                               ("judges[0].name=a", "judge"), ("judges[0].name=A", "name"),
                               ("judges[0].name=relay,judges[0].judge.target.headlessService=a", "the name relay is taken"),
                               ("judges[0].name=a,judges[0].judge.target.headlesService=a", "headlesService"),
                               ("judges[0].name=a,judges[0].judge.target.headlessService=a,judges[0].rules.packs={vlm}", "no pack is called")):
            with self.subTest(values):
                run = render("--set", values)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(needle, run.stderr)


class Configuration(unittest.TestCase):
    def test_the_users_keys_are_merged_last(self):
        values = "config.storage.retention=30m,config.global.scrape_interval=7s,judge.config.global.scrape_interval=9s"
        merged = configurations(objects(*JUDGE, "--set", values))
        self.assertEqual([each["global"]["scrape_interval"] for each in (merged["sidecar.yaml"], merged["judge.yaml"])], ["7s", "9s"])
        for each in merged.values():
            self.assertEqual((each["storage"], each["global"]["scrape_timeout"]), ({"path": "/var/lib/sidewatch", "retention": "30m"}, "5s"))

    def test_links_lead_through_the_ingress(self):
        ingress = "judge.ingress.enabled=true,judge.ingress.hosts[0]=a.example.com,judge.ingress.path=/fraud"
        merged = configurations(objects(*JUDGE, "--set", ingress + ",judge.ingress.tls[0].secretName=t"))
        self.assertEqual(merged["judge.yaml"]["global"]["external_url"], "https://a.example.com/fraud")
        self.assertNotIn("external_url", merged["sidecar.yaml"]["global"])


class Restart(unittest.TestCase):
    def test_another_version_of_the_chart_alone_restarts_nothing(self):
        def pods(version):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(CHART, f"{folder}/sidewatch")
                file = pathlib.Path(folder, "sidewatch/Chart.yaml")
                file.write_text(re.sub(r"(?m)^version: .*", f"version: {version}", file.read_text(encoding="utf-8")), encoding="utf-8")
                run = subprocess.run(["helm", "template", "m", f"{folder}/sidewatch", *JUDGE], capture_output=True, text=True)
            found = [each["spec"]["template"] for each in yaml.safe_load_all(run.stdout) if each and each["kind"] == "Deployment"]
            self.assertEqual(len(found), 1, run.stderr)
            return found

        self.assertEqual(pods("1.0.0"), pods("2.0.0"))


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
