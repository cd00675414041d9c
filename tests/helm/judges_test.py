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
SOURCE = {"judge": {"enabled": True, "source": {"prometheus": "http://mimir/prometheus"}}}
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

    def test_a_source_stands_in_the_place_of_the_replicas(self):
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

    def test_what_the_source_says_holds_for_the_backfill(self):
        config = self.scrape(SOURCE, judge(source={"tenant": "ml"}, backfill={"enabled": True, "range": "14d"}))
        self.assertEqual(config["backfill"], {"range": "14d"})
        config = self.scrape(TARGET, judge(backfill={"enabled": True, "prometheus": "http://p:9090", "matchers": ['a="b"']}))
        self.assertEqual(config["backfill"], {"prometheus": "http://p:9090", "matchers": ['a="b"']})

    def test_there_is_one_place_that_the_series_come_from(self):
        self.refused("stands in the place of", SOURCE, TARGET)
        self.refused("judge.source.prometheus", {"judge": {"enabled": True}})
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
            ("judge.source.prometheus: its password", [judge(enabled=True, source={"prometheus": "https://u:p@mimir"})]),
            ("judge.backfill.extra.bearer_token", [SOURCE, judge(backfill={"extra": {"bearer_token": "t"}})]),
            ("sidecar.backfill.extra.bearer_token", [{"sidecar": {"backfill": {"extra": {"bearer_token": "t"}}}}]),
            ("scrape.extra.oauth2.client_secret", [{"scrape": {"extra": {"oauth2": {"client_secret": "s"}}}}]),
            ("alerting.alertmanagers[1].authorization.credentials",
             [{"alerting": {"alertmanagers": [url, url | {"authorization": {"credentials": "c"}}]}}]),
            ("retraining.webhooks[0].secret", [{"retraining": {"webhooks": [url | {"secret": "s"}]}}]),
            ("injection.retrainUrl: its password", [{"injection": {"retrainUrl": "https://u:p@hook"}}]),
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

    def test_the_service_leads_to_the_one_that_has_the_store(self):
        """Who stands by answers /-/ready with 503; it is alive, and may wait as long as it likes."""
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

    def test_two_that_judge_have_a_store_and_a_lasting_name_each(self):
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

    def test_two_never_ask_for_retraining_twice(self):
        hook = {"retraining": {"webhooks": [{"url": "http://hook"}]}}
        active = judge(availability="active")
        self.refused("both judges would ask", TARGET, active, hook)
        relay = {"relay": {"enabled": True, "token": {"secret": "t"}}}
        self.assertNotIn("webhooks", configurations(with_values(objects, TARGET, active, hook, relay))["judge.yaml"]["retraining"])
        self.refused("externalLabels.replica", TARGET, active, {"externalLabels": {"replica": "a"}})
        self.refused("existingClaim", TARGET, active, judge(persistence={"existingClaim": "c"}))

    def test_two_that_wait_for_one_store_need_one(self):
        self.refused("a store of its own", TARGET, judge(availability="rolling", persistence={"enabled": False}))
        self.refused("a store of its own", TARGET, judge(availability="standby", persistence=MANY | {"enabled": False}))
        self.refused("ReadWriteMany", TARGET, judge(availability="standby"))
        run = with_values(render, TARGET, judge(availability="standby", persistence={"existingClaim": "shared"}))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.refused("availability", TARGET, judge(availability="ha"))


class Upgrades(Refusing):
    def test_what_the_api_server_does_not_let_change_does_not(self):
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

    def test_the_judge_is_made_anew_for_what_it_reads_and_for_nothing_else(self):
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
        """What helm upgrade --reuse-values does: the chart's new defaults are not there."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(CHART, f"{folder}/sidewatch")
            file = pathlib.Path(folder, "sidewatch/values.yaml")
            values = yaml.safe_load(file.read_text(encoding="utf-8"))
            del values["relay"]
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            run = subprocess.run(["helm", "template", "model", f"{folder}/sidewatch"], capture_output=True, text=True)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("relay", run.stderr)
        self.assertIn("schema", run.stderr)

    def test_no_name_is_longer_than_that_of_a_service_may_be(self):
        long = {"fullnameOverride": "a-name-that-is-as-long-as-the-name-of-a-service-in-kubernetes-may"}
        relay = {"relay": {"enabled": True, "anonymous": True}, "retraining": {"webhooks": [{"url": "http://x"}]}}
        names = {name for kind, name in with_values(objects, TARGET, relay, long, {"dashboards": {"enabled": True}})}
        self.assertLessEqual(max(map(len, names)), 63)
        self.assertEqual(len([name for name in names if name.endswith("-relay")]), 1)


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
