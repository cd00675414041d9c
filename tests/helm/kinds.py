"""The schemas of schemas.yaml: custom resources and dashboards, for which kubernetes-validate has none."""
import pathlib

import jsonschema
import yaml

SCHEMAS = yaml.safe_load(pathlib.Path(__file__).with_name("schemas.yaml").read_text(encoding="utf-8"))


def problems(kind, document):
    schema = SCHEMAS["kinds"][kind] | {"definitions": SCHEMAS["definitions"]}
    errors = jsonschema.Draft7Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]
