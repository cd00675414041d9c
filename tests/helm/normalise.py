"""Prints a render with sorted documents and keys, so that the renders of two Helm versions can be compared."""
import sys

import yaml


class Dumper(yaml.SafeDumper):
    """Block style for texts of several lines, so that a diff of a ConfigMap can be read."""


def text(dumper, value):
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, text)


def shorten(document):
    """Leaves out the text of dashboards: the chart has them as files, and they would dominate the diff."""
    for key in document.get("data") or {}:
        if key.endswith(".json"):
            document["data"][key] = f"(the text of dashboards/{key})"
    return document


with open(sys.argv[1], encoding="utf-8") as file:
    documents = [shorten(document) for document in yaml.safe_load_all(file) if document]
documents.sort(key=lambda document: (document["kind"], document["metadata"]["name"]))
print(yaml.dump_all(documents, Dumper=Dumper, width=140, allow_unicode=True), end="")
