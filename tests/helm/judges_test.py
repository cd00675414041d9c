"""A judge over Prometheus, with history, and in two instances."""
import copy
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import yaml

from values_test import CHART, configurations, objects, render

TARGET = {"judge": {"enabled": True, "target": {"headlessService": "fraud-headless.ml.svc"}}}
SOURCE = {"rules": {"packs": ["vllm"]}, "judge": {"enabled": True, "source": {"prometheus": "http://mimir/prometheus"}}}
MANY = {"accessModes": ["ReadWriteMany"]}


def merged(values, more):
    values = copy.deepcopy(values)
    for key, value in more.items():
        values[key] = merged(values.get(key) or {}, value) if isinstance(value, dict) else value
    return values


def with_values(function, *values, **keywords):
    """Calls render or objects with a values file of these maps, later ones first."""
    whole = {}
    for each in values:
        whole = merged(whole, each)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(whole, file)
        file.flush()
        return function("-f", file.name, **keywords)


def judge(**more):
    return {"judge": more}


class Refusing(unittest.TestCase):
    def refused(self, needle, *values):
        run = with_values(render, *values)
        self.assertNotEqual(run.returncode, 0, needle)
        self.assertIn(needle, run.stderr)


class Source(Refusing):
    def scrape(self, *values):
        return configurations(with_values(objects, *values))["judge.yaml"]

    def test_a_source_replaces_scraping_the_replicas(self):
        config = self.scrape(SOURCE, {"scrape": {"extra": {"sample_limit": 9}}})
        self.assertEqual(config["scrape"], {"source": {"prometheus": "http://mimir/prometheus"}, "sample_limit": 9})
        self.assertNotIn("backfill", config)

    def test_a_tenant_is_a_header_beside_the_users_own(self):
        own = {"http_headers": {"X-Team": {"values": ["risk"]}}, "basic_auth": {"username": "u", "password_file": "/p"}}
        source = self.scrape(SOURCE, judge(source={"tenant": "ml", "extra": own}))["scrape"]["source"]
        self.assertEqual(source["http_headers"], {"X-Scope-OrgID": {"values": ["ml"]}, "X-Team": {"values": ["risk"]}})
        self.assertEqual(source["basic_auth"], own["basic_auth"])
        thanos = self.scrape(SOURCE, judge(source={"tenant": "ml", "tenantHeader": "THANOS-TENANT"}))["scrape"]["source"]
        self.assertEqual(thanos["http_headers"], {"THANOS-TENANT": {"values": ["ml"]}})

    def test_the_backfill_inherits_the_server_of_the_source(self):
        config = self.scrape(SOURCE, judge(source={"tenant": "ml"}, backfill={"enabled": True, "range": "14d"}))
        self.assertEqual(config["backfill"], {"range": "14d"})
        config = self.scrape(TARGET, judge(backfill={"enabled": True, "prometheus": "http://p:9090", "matchers": ['a="b"']}))
        self.assertEqual(config["backfill"], {"prometheus": "http://p:9090", "matchers": ['a="b"']})

    def test_a_judge_has_exactly_one_source_of_series(self):
        self.refused("are both set", SOURCE, TARGET)
        self.refused("judge.source.prometheus", {"judge": {"enabled": True}})
        self.refused("name the pack", SOURCE, {"rules": {"packs": ["auto"]}})
        self.refused("judge.backfill.prometheus", TARGET, judge(backfill={"enabled": True}))

    def test_srv_records_bring_the_port(self):
        target = {"headlessService": "_http._tcp.fraud-headless.ml.svc", "type": "SRV", "port": 8000, "labels": {"namespace": "ml"}}
        discovery = self.scrape({"judge": {"enabled": True, "target": target}})["scrape"]["discovery"]
        self.assertEqual((discovery["dns"], discovery["type"]), ("_http._tcp.fraud-headless.ml.svc", "SRV"))
        self.assertEqual(discovery["labels"], {"namespace": "ml"})

    def test_a_misspelt_key_or_a_bare_host_is_refused(self):
        self.refused("tennant", SOURCE, judge(source={"tennant": "ml"}))
        self.refused("prometheus", judge(enabled=True, source={"prometheus": "mimir:9090"}))
        self.refused("range", SOURCE, judge(backfill={"enabled": True, "range": "a week"}))


class Secrets(Refusing):
    def test_no_secret_gets_into_a_config_map_or_an_argument(self):
        url = {"url": "http://x"}
        for path, values in (
            ("judge.source.extra.basic_auth.password", [SOURCE, judge(source={"extra": {"basic_auth": {"password": "p"}}})]),
            ("judge.source.extra.tls_config.key", [SOURCE, judge(source={"extra": {"tls_config": {"key": "k"}}})]),
            ("judge.source.extra.http_headers.X-Key.secrets", [SOURCE, judge(source={"extra": {"http_headers": {"X-Key": {"secrets": ["k"]}}}})]),
            ("judge.source.prometheus: its password", [SOURCE, judge(source={"prometheus": "https://u:p@mimir"})]),
            ("judge.backfill.extra.bearer_token", [SOURCE, judge(backfill={"extra": {"bearer_token": "t"}})]),
            ("sidecar.backfill.extra.bearer_token", [{"sidecar": {"backfill": {"extra": {"bearer_token": "t"}}}}]),
            ("scrape.extra.oauth2.client_secret", [{"scrape": {"extra": {"oauth2": {"client_secret": "s"}}}}]),
            ("alerting.alertmanagers[1].authorization.credentials",
             [{"alerting": {"alertmanagers": [url, url | {"authorization": {"credentials": "c"}}]}}]),
            ("retraining.webhooks[0].secret", [{"retraining": {"webhooks": [url | {"secret": "s"}]}}]),
            ("retraining.webhooks[0].url: its password", [{"retraining": {"webhooks": [{"url": "https://u:p@hook"}]}}]),
            ("config.alerting.alertmanagers[0].basic_auth.password", [{"config": {"alerting": {"alertmanagers": [{"basic_auth": {"password": "p"}}]}}}]),
            ("judges[0].judge.source.extra.bearer_token", [{"judges": [{"name": "a", "rules": {"packs": ["vllm"]}, "judge": {"source": {"prometheus": "http://p", "extra": {"bearer_token": "t"}}}}]}]),
            ("relay.config.authorization.credentials", [{"relay": {"config": {"authorization": {"credentials": "t"}}}}]),
        ):
            with self.subTest(path):
                self.refused(path, *values)
                self.refused("put it into a Secret", *values)

    def test_files_variables_and_users_without_a_password_are_no_secrets(self):
        files = {"basic_auth": {"username": "u", "password_file": "/f"}, "tls_config": {"key_file": "/k", "cert_file": "/c"}}
        extra = files | {"http_headers": {"X": {"files": ["/h"]}}, "proxy_url": "http://user@proxy:3128"}
        hook = {"url": "https://u:${PASSWORD}@hook/@path", "secret_file": "/s", "matchers": ['secret="x"']}
        run = with_values(render, SOURCE, judge(source={"extra": extra}), {"retraining": {"webhooks": [hook]}})
        self.assertEqual(run.returncode, 0, run.stderr)


class Availability(Refusing):
    def workload(self, availability, *values):
        rendered = with_values(objects, TARGET, judge(availability=availability), *values)
        kinds = [kind for kind, name in rendered if name == "model-sidewatch" and kind in ("Deployment", "StatefulSet")]
        self.assertEqual(len(kinds), 1)
        workload = rendered[kinds[0], "model-sidewatch"]
        return workload, workload["spec"]["template"]["spec"], rendered

    def test_each_shape_has_its_replicas_its_strategy_and_its_store(self):
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 1}}
        for availability, replicas, strategy, waits in (
            ("recreate", 1, {"type": "Recreate"}, False), ("rolling", 1, rolling, True), ("standby", 2, rolling, True)):
            with self.subTest(availability):
                workload, pod, rendered = self.workload(availability, judge(persistence=MANY))
                self.assertEqual((workload["kind"], workload["spec"]["replicas"]), ("Deployment", replicas))
                self.assertEqual(workload["spec"]["strategy"], strategy)
                self.assertEqual("--storage.wait" in pod["containers"][0]["args"], waits)
                state = next(volume for volume in pod["volumes"] if volume["name"] == "sidewatch-state")
                self.assertEqual(state["persistentVolumeClaim"]["claimName"], "model-sidewatch")
                self.assertIn(("PersistentVolumeClaim", "model-sidewatch"), rendered)

    def test_the_service_selects_the_pod_that_has_the_store(self):
        """A standby answers /-/ready with 503. It is alive, so it may wait without a limit."""
        workload, pod, _ = self.workload("standby", judge(persistence=MANY))
        container = pod["containers"][0]
        self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/-/ready")
        self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/-/healthy")
        self.assertNotIn("startupProbe", container)
        self.assertEqual(workload["spec"]["progressDeadlineSeconds"], 2**31 - 1)

    def test_a_budget_never_keeps_the_node_of_the_only_ready_pod_from_draining(self):
        budget = {"podDisruptionBudget": {"enabled": True}}
        for availability, expected in (("recreate", 1), ("standby", None), ("active", 1)):
            _, _, rendered = self.workload(availability, judge(persistence=MANY), budget)
            found = rendered.get(("PodDisruptionBudget", "model-sidewatch"))
            self.assertEqual(found and found["spec"]["maxUnavailable"], expected)

    def test_a_pair_prefers_two_nodes_unless_the_user_says_otherwise(self):
        workload, pod, _ = self.workload("active")
        spread = pod["topologySpreadConstraints"][0]
        self.assertEqual((spread["topologyKey"], spread["whenUnsatisfiable"]), ("kubernetes.io/hostname", "ScheduleAnyway"))
        self.assertEqual(spread["labelSelector"], workload["spec"]["selector"])
        own = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
        self.assertEqual(self.workload("active", judge(topologySpreadConstraints=own))[1]["topologySpreadConstraints"], own)
        self.assertNotIn("topologySpreadConstraints", self.workload("recreate")[1])

    def test_active_judges_have_a_store_and_a_stable_name_each(self):
        workload, pod, rendered = self.workload("active", {"externalLabels": {"cluster": "eu1"}})
        self.assertEqual((workload["kind"], workload["spec"]["replicas"]), ("StatefulSet", 2))
        self.assertNotIn("--storage.wait", pod["containers"][0]["args"])
        self.assertEqual([each["metadata"]["name"] for each in workload["spec"]["volumeClaimTemplates"]], ["sidewatch-state"])
        self.assertNotIn(("PersistentVolumeClaim", "model-sidewatch"), rendered)
        configs = configurations(rendered)
        self.assertEqual(configs["judge.yaml"]["global"]["external_labels"], {"cluster": "eu1", "replica": "${POD_NAME}"})
        self.assertEqual(configs["sidecar.yaml"]["global"]["external_labels"], {"cluster": "eu1"})
        ephemeral, pod, _ = self.workload("active", judge(persistence={"enabled": False}))
        self.assertNotIn("volumeClaimTemplates", ephemeral["spec"])
        self.assertIn("emptyDir", next(volume for volume in pod["volumes"] if volume["name"] == "sidewatch-state"))

    def test_active_judges_with_webhooks_need_a_relay(self):
        hook = {"retraining": {"webhooks": [{"url": "http://hook"}]}}
        active = judge(availability="active")
        self.refused("both judges would send", TARGET, active, hook)
        relay = {"relay": {"enabled": True, "token": {"secret": "t"}}}
        self.assertNotIn("webhooks", configurations(with_values(objects, TARGET, active, hook, relay))["judge.yaml"]["retraining"])
        self.refused("externalLabels.replica", TARGET, active, {"externalLabels": {"replica": "a"}})
        self.refused("existingClaim", TARGET, active, judge(persistence={"existingClaim": "c"}))

    def test_pods_that_wait_for_a_store_need_a_shared_claim(self):
        self.refused("a store of its own", TARGET, judge(availability="rolling", persistence={"enabled": False}))
        self.refused("a store of its own", TARGET, judge(availability="standby", persistence=MANY | {"enabled": False}))
        self.refused("ReadWriteMany", TARGET, judge(availability="standby"))
        run = with_values(render, TARGET, judge(availability="standby", persistence={"existingClaim": "shared"}))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.refused("availability", TARGET, judge(availability="ha"))


class Upgrades(Refusing):
    def test_immutable_fields_do_not_change(self):
        selector = {"app.kubernetes.io/name": "sidewatch", "app.kubernetes.io/instance": "model", "app.kubernetes.io/component": "judge"}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        changes = {"image": {"tag": "v9"}, "commonLabels": {"team": "ml", "app.kubernetes.io/name": "other"},
                   "commonAnnotations": {"a": "b"}, "model": {"version": "8"}}
        for more in ({}, changes):
            rendered = with_values(objects, TARGET, more)
            deployment, service = rendered["Deployment", "model-sidewatch"], rendered["Service", "model-sidewatch"]
            self.assertEqual(deployment["spec"]["selector"], {"matchLabels": selector})
            self.assertLessEqual(selector.items(), deployment["spec"]["template"]["metadata"]["labels"].items())
            self.assertEqual(service["spec"]["selector"], selector)
            self.assertLessEqual(selector.items(), service["metadata"]["labels"].items())
            self.assertEqual(rendered["PersistentVolumeClaim", "model-sidewatch"]["spec"], claim)
            active = with_values(objects, TARGET, judge(availability="active"), more)["StatefulSet", "model-sidewatch"]["spec"]
            self.assertEqual(active["selector"], {"matchLabels": selector})
            template = active["volumeClaimTemplates"][0]
            self.assertEqual((template["metadata"]["labels"], template["spec"]), (selector, claim))
        self.assertEqual(rendered["Deployment", "model-sidewatch"]["metadata"]["labels"]["app.kubernetes.io/version"], "v9")

    def test_only_a_change_of_its_configuration_restarts_the_judge(self):
        def checksum(*values):
            pod = with_values(objects, TARGET, *values)["Deployment", "model-sidewatch"]["spec"]["template"]
            return pod["metadata"]["annotations"]["checksum/config"]

        before = checksum()
        for values in ({"scrape": {"interval": "30s"}}, {"rules": {"files": {"a.yaml": "groups: []"}}}):
            self.assertNotEqual(checksum(values), before)
        for values in ({"sidecar": {"target": {"port": 9}}}, {"commonLabels": {"team": "ml"}}, {"serviceMonitor": {"enabled": True}},
                       {"relay": {"enabled": True, "anonymous": True}, "retraining": {"webhooks": [{"url": "http://x"}]}}):
            self.assertEqual(checksum(values), before)

    def test_values_of_an_older_chart_are_refused_before_anything_is_rendered(self):
        """helm upgrade --reuse-values leaves out the defaults of the new chart."""
        for new in ("relay", "judges", "config"):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(CHART, f"{folder}/sidewatch")
                file = pathlib.Path(folder, "sidewatch/values.yaml")
                values = yaml.safe_load(file.read_text(encoding="utf-8"))
                del values[new]
                file.write_text(yaml.safe_dump(values), encoding="utf-8")
                run = subprocess.run(["helm", "template", "model", f"{folder}/sidewatch"], capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(new, run.stderr)
            self.assertIn("schema", run.stderr)

    def test_no_name_is_longer_than_that_of_a_service_may_be(self):
        long = {"fullnameOverride": "a-name-that-is-as-long-as-the-name-of-a-service-in-kubernetes-may"}
        relay = {"relay": {"enabled": True, "anonymous": True}, "retraining": {"webhooks": [{"url": "http://x"}]}}
        names = {name for kind, name in with_values(objects, TARGET, relay, long, {"dashboards": {"enabled": True}})}
        self.assertLessEqual(max(map(len, names)), 63)
        self.assertEqual(len([name for name in names if name.endswith("-relay")]), 1)
        # A label of the pods of a StatefulSet has its name and eleven characters.
        rendered = with_values(objects, TARGET, judge(availability="active"), long)
        name, = (name for kind, name in rendered if kind == "StatefulSet")
        self.assertLessEqual(len(name) + 11, 63)


class Resources(unittest.TestCase):
    def test_a_judge_may_need_more_than_a_sidecar(self):
        more = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
        rendered = with_values(objects, TARGET, judge(resources=more), {"rules": {"check": True}})
        pod = rendered["Deployment", "model-sidewatch"]["spec"]["template"]["spec"]
        for container in pod["initContainers"] + pod["containers"]:
            self.assertEqual(container["resources"], more)
        rendered = with_values(objects, TARGET)
        pod = rendered["Deployment", "model-sidewatch"]["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["resources"]["limits"], {"cpu": "50m", "memory": "64Mi"})


class Network(unittest.TestCase):
    def test_names_can_always_be_looked_up(self):
        port = {"ports": [{"port": 9090}]}
        policy = {"networkPolicy": {"enabled": True, "egress": [port]}}
        egress = with_values(objects, SOURCE, policy)["NetworkPolicy", "model-sidewatch"]["spec"]["egress"]
        self.assertEqual(egress, [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}, port])
        egress = with_values(objects, SOURCE, {"networkPolicy": {"enabled": True}})["NetworkPolicy", "model-sidewatch"]["spec"]["egress"]
        self.assertEqual(egress, [{}])


if __name__ == "__main__":
    unittest.main()
