"""Evaluates a rendered MutatingAdmissionPolicy without an API server.

The CEL is real and evaluated by cel-python, with one translation: a message such as `Object.spec{a: 1}` becomes the map
`{"a": 1}`, because cel-python has no types of Kubernetes. The patch is applied by jsonpatch. Not covered: the API
server's own type check of messages (only that an Object's type names the field it fills, see `misplaced`) and its cost budget.
"""
import re

import celpy
import celpy.celtypes
import jsonpatch

TOKEN = re.compile(r'''\s+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*|\d+|[!=<>]=|&&|[|][|]|\S''')
MESSAGE = re.compile(r"^(JSONPatch|Object(\.\w+)*)$")


def tokens(expression):
    return [token for token in TOKEN.findall(expression) if not token.isspace()]


def translate(expression):
    """CEL with messages → (CEL with maps, what is wrong with the messages' types)."""
    words, out, stack, misplaced = tokens(expression), [], [], []
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if MESSAGE.match(word) and following == "{":
            parent = next((name for name, _ in reversed(stack) if name), None)
            field = next((field for name, field in reversed(stack) if name), None)
            if word.startswith("Object") and parent and parent.startswith("Object") and word != f"{parent}.{field}":
                misplaced.append(f"{word} fills {parent}.{field}")
            stack.append([word, None])
            continue
        if word == "{":
            if not (index and MESSAGE.match(words[index - 1])):
                stack.append(["", None])
        elif word == "}":
            stack.pop()
        elif following == ":" and stack and stack[-1][0] and words[index - 1] in ("{", ","):
            stack[-1][1] = word
            word = f'"{word}"'
        if word in ("}", "]") and out and out[-1] == ",":
            out.pop()
        out.append(word)
    return " ".join(out), misplaced


def plain(value):
    """A CEL value as JSON would have it; celpy's booleans are integers."""
    if isinstance(value, celpy.celtypes.BoolType):
        return bool(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else int(value)


def warnings(document, pod, namespace=None):
    """The messages of a ValidatingAdmissionPolicy about an object that its selectors match."""
    environment = celpy.Environment()
    bound = {"object": celpy.json_to_cel(pod), "namespaceObject": celpy.json_to_cel({"metadata": {"labels": namespace or {}}})}

    def value(rule):
        return environment.program(environment.compile(rule["expression"])).evaluate(bound)

    def holds(rule):
        return bool(value(rule))

    if not all(map(holds, document["spec"].get("matchConditions", []))):
        return []
    bound["variables"] = celpy.celtypes.MapType({})
    for rule in document["spec"].get("variables", []):
        bound["variables"][celpy.celtypes.StringType(rule["name"])] = value(rule)
    return [rule["message"] for rule in document["spec"]["validations"] if not holds(rule)]


class Policy:
    """One policy; `admit` does what the API server does when a pod that the selectors match is created."""

    def __init__(self, document):
        spec = document["spec"]
        self.environment = celpy.Environment()
        self.conditions = {each["name"]: self.compile(each["expression"]) for each in spec.get("matchConditions", [])}
        self.variables = {each["name"]: self.compile(each["expression"]) for each in spec.get("variables", [])}
        source, self.misplaced = translate(spec["mutations"][0]["jsonPatch"]["expression"])
        self.mutation = self.compile(source)

    def compile(self, expression):
        return self.environment.program(self.environment.compile(expression))

    def patch(self, pod, namespace=None):
        """The JSON patch, or None when a condition does not match. `namespace` has the labels of the pod's namespace."""
        bound = {"object": celpy.json_to_cel(pod), "namespaceObject": celpy.json_to_cel({"metadata": {"labels": namespace or {}}})}
        if not all(bool(condition.evaluate(bound)) for condition in self.conditions.values()):
            return None
        bound["variables"] = celpy.celtypes.MapType({})
        for name, program in self.variables.items():
            # A variable may use those before it.
            bound["variables"][celpy.celtypes.StringType(name)] = program.evaluate(bound)
        return plain(self.mutation.evaluate(bound))

    def admit(self, pod, namespace=None):
        patch = self.patch(pod, namespace)
        return pod if patch is None else jsonpatch.apply_patch(pod, patch)
