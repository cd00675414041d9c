"""The look-up of the headless Service in a live cluster, against an API server that has three Services only."""
import http.server
import json
import os
import subprocess
import tempfile
import threading
import unittest

import yaml

from values_test import CHART

OWNED = {"labels": {"app.kubernetes.io/managed-by": "Helm"},
         "annotations": {"meta.helm.sh/release-name": "judge", "meta.helm.sh/release-namespace": "ml"}}
CLAIMS = {"ml/judge-sidewatch": ["ReadWriteOnce"]}
SERVICES = {"ml/fraud": "10.96.0.7", "ml/fraud-headless": "None", "other/fraud": "10.96.0.8"}
APPS = {"groupVersion": "apps/v1", "version": "v1"}


def resources(version, *kinds):
    listed = [{"name": f"{kind.lower()}s", "namespaced": True, "kind": kind, "verbs": ["get"]} for kind in kinds]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": listed}


DISCOVERY = {
    "version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
    "api": {"kind": "APIVersions", "versions": ["v1"]},
    "api/v1": resources("v1", "Service", "ConfigMap", "Pod", "PersistentVolumeClaim", "ServiceAccount"),
    "apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps", "versions": [APPS], "preferredVersion": APPS}]},
    "apis/apps/v1": resources("apps/v1", "Deployment"),
}


class Cluster(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        parts = path.split("/")
        if path in DISCOVERY:
            return self.answer(200, DISCOVERY[path])
        if parts[:3] == ["api", "v1", "namespaces"] and parts[4:5] == ["services"]:
            namespace, name = parts[3], parts[5]
            if namespace == "forbidden":
                return self.failed(403, "Forbidden", f'services "{name}" is forbidden')
            if f"{namespace}/{name}" in SERVICES:
                return self.answer(200, {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace},
                                         "spec": {"clusterIP": SERVICES[f"{namespace}/{name}"]}})
        if parts[:3] == ["api", "v1", "namespaces"] and parts[4:5] == ["persistentvolumeclaims"] and f"{parts[3]}/{parts[5]}" in CLAIMS:
            return self.answer(200, {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": parts[5], "namespace": parts[3]} | OWNED,
                                     "spec": {"accessModes": CLAIMS[f"{parts[3]}/{parts[5]}"]}})
        return self.failed(404, "NotFound", f"{path} not found")

    def failed(self, code, reason, message):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message})

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class HeadlessService(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.folder = tempfile.TemporaryDirectory()
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{cls.server.server_address[1]}"}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [{"name": "u", "user": {}}],
                  "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
        cls.kubeconfig = f"{cls.folder.name}/config"
        with open(cls.kubeconfig, "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()
        cls.folder.cleanup()

    def installed(self, service, *arguments, helm="helm"):
        values = f"judge.enabled=true,judge.target.headlessService={service}"
        command = [helm, "template", "judge", str(CHART), "--namespace", "ml", "--dry-run=server", "--disable-openapi-validation", "--kubeconfig", self.kubeconfig,
                   "--set", values, *arguments]
        # Helm caches the server's API versions below the home folder.
        run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": self.folder.name})
        return run.returncode == 0, run.stderr

    def test_one_that_balances_load_is_refused_wherever_it_is(self):
        for helm in ("helm", "helm3"):
            for service in ("fraud", "fraud.ml.svc", "fraud.other.svc.cluster.local"):
                with self.subTest(f"{helm} {service}"):
                    accepted, said = self.installed(service, helm=helm)
                    self.assertFalse(accepted)
                    self.assertIn("balances load", said)
        accepted, said = self.installed("_http._tcp.fraud.ml.svc", "--set", "judge.target.type=SRV")
        self.assertFalse(accepted)
        self.assertIn("balances load", said)

    def test_one_that_is_headless_or_not_there_yet_is_accepted(self):
        for service in ("fraud-headless", "fraud-headless.ml.svc", "not-there-yet.ml.svc", "judged.example.com"):
            with self.subTest(service):
                accepted, said = self.installed(service)
                self.assertTrue(accepted, said)
        accepted, said = self.installed("_http._tcp.fraud-headless.ml.svc", "--set", "judge.target.type=SRV")
        self.assertTrue(accepted, said)

    def test_a_claim_whose_access_modes_cannot_change_is_named_before_anything_is_applied(self):
        many = "judge.persistence.accessModes={ReadWriteMany},judge.availability=standby"
        accepted, said = self.installed("fraud-headless", "--set", many)
        self.assertFalse(accepted)
        self.assertIn("the claim judge-sidewatch has ReadWriteOnce", said)
        for values in ("judge.availability=rolling", many + ",judge.persistence.existingClaim=shared", many + ",fullnameOverride=other"):
            accepted, said = self.installed("fraud-headless", "--set", values)
            self.assertTrue(accepted, said)

    def test_a_user_without_the_right_to_read_services_can_disable_the_look_up(self):
        accepted, said = self.installed("fraud.forbidden.svc")
        self.assertFalse(accepted)
        self.assertIn("forbidden", said)
        accepted, said = self.installed("fraud.forbidden.svc", "--set", "judge.target.checkService=false")
        self.assertTrue(accepted, said)


if __name__ == "__main__":
    unittest.main()
