"""The relay of the chart: authentication, network policy, retraining requests, and the notes for Alertmanager."""
import pathlib
import subprocess
import tempfile
import unittest

import yaml

from judges_test import TARGET, Refusing, with_values
from values_test import CHART, configurations, objects, render

ROOT = pathlib.Path(__file__).parents[2]
HOOK = {"retraining": {"webhooks": [{"url": "http://hook"}]}}
RELAY = {"relay": {"enabled": True, "token": {"secret": "shown"}}} | HOOK
NAME = "model-sidewatch-relay"


def relay(**more):
    return {"relay": more}


def config(rendered, name=NAME):
    return yaml.safe_load(rendered["ConfigMap", name]["data"]["relay.yaml"])


def pod(rendered):
    return rendered["Deployment", NAME]["spec"]["template"]["spec"]


def notes(values):
    """The notes that Helm prints after an installation; only Helm 4 prints them without a cluster."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        command = ["helm", "install", "sidewatch", str(CHART), "--namespace", "monitoring", "--dry-run=client", "-f", file.name]
        run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split("\nNOTES:\n")[1]


def snippet(text):
    """Routes and receivers in the notes, as YAML."""
    lines = text[text.index("  routes:"):].splitlines()
    end = next((index for index, line in enumerate(lines) if line and not line.startswith("  ")), len(lines))
    return yaml.safe_load("\n".join(lines[:end]))


class Owner(Refusing):
    def test_exactly_one_role_requests_retraining(self):
        for more, asks in (({}, "sidecar.yaml"), (TARGET, "judge.yaml"), (TARGET | RELAY, "relay"), (RELAY, "relay")):
            with self.subTest(asks):
                rendered = with_values(objects, HOOK, more)
                found = [name for name, each in configurations(rendered).items() if "webhooks" in each["retraining"]]
                found += ["relay"] if ("ConfigMap", NAME) in rendered else []
                self.assertEqual(found, [asks])
        self.assertEqual(config(with_values(objects, RELAY))["retraining"]["webhooks"], [{"url": "http://hook"}])

    def test_an_injected_sidecar_does_not_request_retraining_beside_it(self):
        injection = {"injection": {"engine": "mutatingAdmissionPolicy"}}
        for more, asks in ((HOOK, True), (RELAY, False), (HOOK | TARGET, False)):
            spec = with_values(objects, more, injection)["MutatingAdmissionPolicy", "model-sidewatch.default"]["spec"]
            self.assertEqual("http://hook" in spec["mutations"][0]["jsonPatch"]["expression"], asks)

    def test_retraining_enabled_false_stops_the_relay_too(self):
        off = {"retraining": {"enabled": False, "dryRun": True, "inFlightTimeout": "1d"}}
        expected = {"enabled": False, "dry_run": True, "in_flight_timeout": "1d"}
        self.assertEqual(config(with_values(objects, RELAY, off))["retraining"], expected | HOOK["retraining"])

    def test_it_needs_webhooks_and_matchers(self):
        self.refused("relay.enabled: true needs retraining.webhooks", RELAY, {"retraining": {"webhooks": []}})
        self.refused("retrain", RELAY, relay(retrain=[]))
        self.refused("retrain", RELAY, relay(retrain=[{"matchers": []}]))
        self.refused("cool_down", RELAY, relay(retrain=[{"matchers": ["a=b"], "cool_down": "6h"}]))


class Safety(Refusing):
    def test_it_requires_authentication_by_default(self):
        self.refused("relay.token.secret: missing", {"relay": {"enabled": True}} | HOOK)
        for more in ({"token": {"secret": "t"}}, {"webConfig": {"secret": "w"}}, {"anonymous": True}):
            run = with_values(render, {"relay": {"enabled": True} | more} | HOOK)
            self.assertEqual(run.returncode, 0, run.stderr)

    def test_the_token_is_mounted_where_the_configuration_points(self):
        rendered = with_values(objects, RELAY, relay(token={"key": "bearer"}))
        self.assertEqual(config(rendered)["authorization"], {"credentials_file": "/etc/sidewatch/token/bearer"})
        container = pod(rendered)["containers"][0]
        self.assertIn({"name": "sidewatch-token", "mountPath": "/etc/sidewatch/token", "readOnly": True}, container["volumeMounts"])
        secret = {"secretName": "shown", "items": [{"key": "bearer", "path": "bearer"}]}
        self.assertIn({"name": "sidewatch-token", "secret": secret}, pod(rendered)["volumes"])

    def test_it_and_the_judge_see_none_of_each_others_secrets(self):
        own = {"secrets": [{"name": "alertmanager"}], "webConfig": {"secret": "judge-web"}, "extraEnv": [{"name": "A", "value": "a"}]}
        rendered = with_values(objects, RELAY, TARGET, own, relay(secrets=[{"name": "argo"}], webConfig={"secret": "relay-web"}))

        def secrets(name):
            volumes = rendered["Deployment", name]["spec"]["template"]["spec"]["volumes"]
            return {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}

        self.assertEqual(secrets(NAME), {"shown", "argo", "relay-web"})
        self.assertEqual(secrets("model-sidewatch"), {"alertmanager", "judge-web"})
        self.assertNotIn({"name": "A", "value": "a"}, pod(rendered)["containers"][0]["env"])

    def test_only_alertmanager_reaches_it(self):
        def peers(*values):
            rules = with_values(objects, RELAY, {"networkPolicy": {"enabled": True}}, *values)["NetworkPolicy", NAME]["spec"]["ingress"]
            self.assertEqual([rule["ports"] for rule in rules], [[{"port": 9755, "protocol": "TCP"}]])
            return [peer.get("podSelector", peer) for peer in rules[0]["from"]]

        def named(name):
            return {"matchLabels": {"app.kubernetes.io/name": name}}

        self.assertEqual(peers(), [named("alertmanager")])
        self.assertEqual(peers({"serviceMonitor": {"enabled": True}}), [named("alertmanager"), named("prometheus")])
        pipelines = {"namespaceSelector": {"matchLabels": {"pipelines": "true"}}}
        self.assertEqual(peers(relay(networkPolicy={"others": [pipelines]})), [named("alertmanager"), pipelines])
        # Access to the judge does not include access to the relay.
        self.assertEqual(peers({"networkPolicy": {"ingressFrom": [pipelines]}}), [named("alertmanager")])
        self.refused("no pod could post", RELAY, {"networkPolicy": {"enabled": True}}, relay(networkPolicy={"alertmanager": []}))


class Pod(Refusing):
    def test_it_is_a_deployment_of_its_own_with_its_own_store(self):
        rendered = with_values(objects, RELAY, TARGET)
        spec = rendered["Deployment", NAME]["spec"]
        self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}))
        container = pod(rendered)["containers"][0]
        self.assertEqual(container["args"][:2], ["relay", "--config.file=/etc/sidewatch/config/relay.yaml"])
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod(rendered)["volumes"] if "persistentVolumeClaim" in volume]
        self.assertEqual(claims, [NAME])
        self.assertEqual(config(rendered)["storage"], {"path": "/var/lib/sidewatch"})
        self.assertEqual(rendered["Service", NAME]["spec"]["selector"], spec["selector"]["matchLabels"])
        judge = rendered["Service", "model-sidewatch"]["spec"]["selector"]
        self.assertFalse(judge.items() <= spec["template"]["metadata"]["labels"].items(), "the judge's Service would lead to the relay")

    def test_its_successor_stands_by(self):
        rendered = with_values(objects, RELAY, relay(availability="rolling"))
        self.assertEqual(rendered["Deployment", NAME]["spec"]["strategy"]["rollingUpdate"], {"maxUnavailable": "100%", "maxSurge": 1})
        self.assertIn("--storage.wait", pod(rendered)["containers"][0]["args"])
        self.refused("relay.availability", RELAY, relay(availability="standby"))
        self.refused("availability", RELAY, relay(availability="active"))

    def test_only_a_change_of_its_configuration_restarts_it(self):
        def checksum(*values):
            annotations = with_values(objects, RELAY, *values)["Deployment", NAME]["spec"]["template"]["metadata"]["annotations"]
            return annotations["checksum/config"]

        self.assertNotEqual(checksum(relay(labels={"model": "name"})), checksum())
        self.assertEqual(checksum(TARGET, {"scrape": {"interval": "30s"}}), checksum())

    def test_its_service_monitor_has_its_own_tls_and_password(self):
        monitor = {"serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "p"}}}
        rendered = with_values(objects, RELAY, TARGET, monitor, relay(serviceMonitor={"scheme": "https"}))
        own, judges = (rendered["ServiceMonitor", name] for name in (NAME, "model-sidewatch"))
        self.assertEqual(own["metadata"]["labels"]["release"], "p")
        self.assertEqual(own["spec"]["selector"]["matchLabels"].items() - rendered["Service", NAME]["metadata"]["labels"].items(), set())
        self.assertEqual((own["spec"]["endpoints"][0]["scheme"], own["spec"]["endpoints"][0]["interval"]), ("https", "30s"))
        self.assertNotIn("scheme", judges["spec"]["endpoints"][0])


class Alertmanager(unittest.TestCase):
    def test_the_notes_have_routes_and_a_receiver_that_amtool_accepts(self):
        asks = [{"matchers": ['retrain="true"', "severity=page"], "cooldown": "12h"}, {"matchers": ["alertname=Drift"]}]
        for values, url, auth in (
            (relay(retrain=asks, labels={"model": "model_name"}), "http://sidewatch-relay.monitoring.svc:9755/api/v1/alertmanager",
             {"authorization": {"credentials_file": "/etc/alertmanager/secrets/shown/token"}}),
            (relay(token={"secret": ""}, webConfig={"secret": "web"}), "https://sidewatch-relay.monitoring.svc:9755/api/v1/alertmanager",
             {"basic_auth": {"username": "alertmanager", "password_file": "/etc/alertmanager/secrets/NAME/password"},
              "tls_config": {"ca_file": "/etc/alertmanager/secrets/NAME/ca.crt"}})):
            said = snippet(notes(RELAY | {"relay": RELAY["relay"] | values["relay"]}))
            hook = said["receivers"][0]["webhook_configs"][0]
            self.assertEqual((hook["url"], hook["http_config"], hook["max_alerts"]), (url, auth, 200))
            route = {"receiver": "sidewatch-relay", "routes": said["routes"]}
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump({"route": route, "receivers": said["receivers"]}, file)
                file.flush()
                run = subprocess.run(["amtool", "check-config", file.name], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            if "retrain" in values["relay"]:
                self.assertEqual([each["repeat_interval"] for each in said["routes"]], ["12h", "6h"])
                self.assertEqual(said["routes"][0]["matchers"], asks[0]["matchers"])
                self.assertEqual(said["routes"][0]["group_by"], ["model_name"])

    def test_the_notes_of_a_relay_alone_do_not_mention_missing_alertmanagers(self):
        self.assertNotIn("no alert is sent", notes(RELAY | {"injection": {"enabled": False}}))
        self.assertIn("no alert is sent", notes(RELAY | TARGET | {"injection": {"enabled": False}}))

    def test_the_example_fits_the_example_of_alertmanager(self):
        values = yaml.safe_load((ROOT / "helm/examples/relay-values.yaml").read_text(encoding="utf-8"))
        said = snippet(notes(values))
        example = yaml.safe_load((ROOT / "helm/examples/alertmanager.yaml").read_text(encoding="utf-8"))
        receiver = next(each for each in example["receivers"] if each["name"] == "retraining")
        self.assertEqual(receiver["webhook_configs"], said["receivers"][0]["webhook_configs"])
        route = next(each for each in example["route"]["routes"] if each["receiver"] == "retraining")
        self.assertEqual(route | {"receiver": "sidewatch-relay"}, said["routes"][0])


if __name__ == "__main__":
    unittest.main()
