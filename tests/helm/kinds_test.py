"""The schemas of schemas.yaml are valid schemas, accept correct objects and refuse misspelt ones."""
import copy
import unittest

import jsonschema

import kinds

MONITOR = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "m"},
           "spec": {"endpoints": [{"port": "metrics", "interval": "15s"}], "selector": {"matchLabels": {"app": "m"}}}}


class Kinds(unittest.TestCase):
    def test_every_schema_is_a_valid_schema(self):
        for schema in kinds.SCHEMAS["kinds"].values():
            jsonschema.Draft7Validator.check_schema(schema | {"definitions": kinds.SCHEMAS["definitions"]})

    def test_a_monitor_is_accepted(self):
        self.assertEqual(kinds.problems("ServiceMonitor", MONITOR), [])

    def test_an_unknown_field_a_wrong_type_and_a_missing_selector_are_refused(self):
        changes = [lambda spec: spec["endpoints"][0].update(intervall="15s"), lambda spec: spec["endpoints"][0].update(port=9755),
                   lambda spec: spec["endpoints"][0].update(interval="15"), lambda spec: spec.pop("selector")]
        for change in changes:
            monitor = copy.deepcopy(MONITOR)
            change(monitor["spec"])
            self.assertEqual(len(kinds.problems("ServiceMonitor", monitor)), 1)


if __name__ == "__main__":
    unittest.main()
