"""The notes of an installation lead to an alert: what they advise has an effect on the sidecars that they describe."""
import unittest

import yaml

from judges_test import with_values
from policy import Policy
from policy_test import pod, sidecar
from relay_test import notes
from values_test import objects

INJECTION = {"injection": {"engine": "mutatingAdmissionPolicy"}, "image": {"repository": "registry.example.com/sidewatch"}}
ALERTMANAGER = {"alerting": {"alertmanagers": [{"url": "http://alertmanager.example:9093"}]}}


def injected(values):
    """The configuration of a sidecar that the release injects."""
    document = with_values(objects, values)["MutatingAdmissionPolicy", "model-sidewatch.default"]
    args = sidecar(Policy(document).admit(pod()))["args"]
    return yaml.safe_load(next(arg for arg in args if arg.startswith("--config.text=")).removeprefix("--config.text="))


class Notes(unittest.TestCase):
    def test_their_advice_makes_injected_sidecars_post_alerts(self):
        self.assertIn("Set alerting.alertmanagers", notes(INJECTION))
        self.assertNotIn("alertmanagers", injected(INJECTION)["alerting"])
        self.assertNotIn("no alert is sent", notes(INJECTION | ALERTMANAGER))
        self.assertEqual(injected(INJECTION | ALERTMANAGER)["alerting"]["alertmanagers"], ALERTMANAGER["alerting"]["alertmanagers"])

    def test_they_warn_of_an_image_without_a_registry(self):
        self.assertIn("no labelled pod starts", notes({"injection": INJECTION["injection"]}))
        self.assertNotIn("no labelled pod starts", notes(INJECTION))

    def test_they_name_every_judge(self):
        judges = [{"name": name, "judge": {"target": {"headlessService": f"{name}.ml.svc"}}} for name in ("fraud", "churn")]
        said = notes({"judges": judges, "injection": {"enabled": False}})
        for name in ("fraud", "churn"):
            self.assertIn(f"every replica behind {name}.ml.svc", said)
            self.assertIn(f"service/sidewatch-{name} ", said)


if __name__ == "__main__":
    unittest.main()
