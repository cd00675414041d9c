"""Random values within the schema of the chart."""
import json
import pathlib
import re._parser as parser
import string

CHART = pathlib.Path(__file__).parents[2] / "helm/sidewatch"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Longest text for a pattern without a limit.
REPEATS = 4


def text_for(random, pattern):
    """A text that matches a pattern; anchors are taken as given."""
    return "".join(parts(random, parser.parse(pattern)))


def parts(random, tree):
    for kind, argument in tree:
        name = str(kind)
        if name == "LITERAL":
            yield chr(argument)
        elif name == "IN":
            yield one_of(random, argument)
        elif name == "ANY":
            yield random.choice(string.ascii_lowercase)
        elif name == "NOT_LITERAL":
            yield "a" if argument != ord("a") else "b"
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, inner = argument
            for _ in range(random.randint(low, min(int(high), low + REPEATS))):
                yield from parts(random, inner)
        elif name == "SUBPATTERN":
            yield from parts(random, argument[3])
        elif name == "BRANCH":
            yield from parts(random, random.choice(argument[1]))
        elif name not in ("AT", "ASSERT"):
            raise ValueError(f"{name} in a pattern of the schema")


def one_of(random, items):
    allowed, negated = set(), False
    for kind, argument in items:
        name = str(kind)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            allowed.add(chr(argument))
        elif name == "RANGE":
            allowed.update(map(chr, range(argument[0], argument[1] + 1)))
        elif name == "CATEGORY":
            allowed.update({"CATEGORY_SPACE": string.whitespace, "CATEGORY_WORD": string.ascii_letters, "CATEGORY_DIGIT": string.digits}[str(argument)])
    return random.choice(sorted(set(string.ascii_letters + string.digits + "-/:.") - allowed if negated else allowed))


def value_for(random, schema):
    """A value that a schema accepts."""
    if "$ref" in schema:
        return value_for(random, SCHEMA["properties"][schema["$ref"].removeprefix("#/properties/")])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return value_for(random, random.choice(schema[choice]))
    kind = schema["type"] if isinstance(schema["type"], str) else random.choice(schema["type"])
    if kind == "boolean":
        return random.random() < 0.5
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 10 ** 6)
        value = random.choice([low, high, random.randint(int(low), int(min(high, low + 1000)))])
        return int(value)
    if kind == "string":
        while True:
            text = text_for(random, schema["pattern"]) if "pattern" in schema else "".join(random.choices("abcxyz019", k=random.randint(1, 8)))
            if schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 253):
                return text
    if kind == "array":
        low = schema.get("minItems", 0)
        if "items" not in schema or free(schema["items"]) and not low:
            return []
        return [value_for(random, schema["items"]) for _ in range(random.randint(low, min(low + 2, schema.get("maxItems", 3))))]
    return object_for(random, schema)


def object_for(random, schema):
    found = {}
    for name, each in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or random.random() < 0.5 and not free(each):
            found[name] = value_for(random, each)
    names, more = schema.get("propertyNames"), schema.get("additionalProperties")
    if isinstance(more, dict):
        for _ in range(random.randint(0, 2)):
            found[value_for(random, names | {"type": "string"}) if names else random.choice(["team", "owner"])] = value_for(random, more)
    if "not" in schema:
        for name in schema["not"]["required"][1:]:
            found.pop(name, None)
    if schema.get("if") and found["operator"] in ("Exists", "DoesNotExist"):
        found.pop("values", None)
    elif schema.get("if"):
        found["values"] = [value_for(random, schema["properties"]["values"]["items"])]
    return found


def free(schema):
    """Whether a schema says nothing about what an object holds, so that only a person knows."""
    return schema.get("type") == "object" and "properties" not in schema and not isinstance(schema.get("additionalProperties"), dict)


def leaves(schema, path=()):
    for name, each in schema["properties"].items():
        if each.get("type") == "object" and "properties" in each and not path[:1] == ("resources",):
            yield from leaves(each, (*path, name))
        elif not free(each) and name != "extraObjects":
            yield (*path, name), each


LEAVES = list(leaves(SCHEMA))
SHAPES = ({}, {"injection": {"enabled": False}}, {"judges": [{"name": "b", "model": {"id": "b"}, "judge": {"target": {"headlessService": "b.ml.svc"}}}]},
          {"judge": {"enabled": True, "target": {"headlessService": "a.ml.svc"}}},
          {"relay": {"enabled": True, "anonymous": True}, "retraining": {"webhooks": [{"url": "http://hook"}]}})


def random_values(random):
    """A shape or two with up to twelve values of random keys."""
    values = {}
    for shape in random.sample(SHAPES, random.randint(1, 2)):
        merge(values, json.loads(json.dumps(shape)))
    for path, schema in random.sample(LEAVES, random.randint(1, 12)):
        inner = values
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value_for(random, schema)
    return values


def merge(values, more):
    for key, value in more.items():
        if isinstance(value, dict):
            merge(values.setdefault(key, {}), value)
        else:
            values[key] = value
