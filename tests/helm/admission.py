"""What the API server and the kubelet demand of a pod beyond the schema, written from the Kubernetes API reference:
names, volumes and mounts, ports, amounts, users, probes. problems(pod) returns sentences; an empty list means that every
container would be accepted and started, given its image.
"""
import re
from decimal import Decimal

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
IMAGE = re.compile(r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")
QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
UNITS = {None: 1, "m": Decimal("0.001")} | {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)} \
    | {unit + "i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}
# The least that the program has been seen to start with.
LEAST = {"cpu": Decimal("0.01"), "memory": 32 * 1024 ** 2}
PROBE = {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1, "successThreshold": 1}


def amount(text):
    """A quantity as a number; None when it is none."""
    match = QUANTITY.fullmatch(str(text))
    return match and Decimal(match[1]) * UNITS[match[2]]


def duplicates(values):
    values = list(values)
    return sorted({value for value in values if values.count(value) > 1})


def named(name):
    return len(name) <= 63 and LABEL.fullmatch(name)


def of_metadata(metadata):
    for key, value in metadata.get("labels", {}).items():
        if not KEY.fullmatch(key) or not VALUE.fullmatch(value) or len(value) > 63:
            yield f"label {key}={value}"
    for key, value in metadata.get("annotations", {}).items():
        if not KEY.fullmatch(key) or not isinstance(value, str):
            yield f"annotation {key}={value}"


def of_resources(resources):
    for kind in ("requests", "limits"):
        for name, value in (resources.get(kind) or {}).items():
            if amount(value) is None:
                yield f"{kind}.{name}: {value} is no quantity"
    for name, limit in (resources.get("limits") or {}).items():
        request = (resources.get("requests") or {}).get(name, limit)
        if amount(request) is not None and amount(limit) is not None and amount(request) > amount(limit):
            yield f"requests.{name} of {request} is more than the limit of {limit}"


def of_security(own, pod):
    user = own.get("runAsUser", pod.get("runAsUser"))
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) and user == 0:
        yield "the kubelet starts no container as root that must not run as root"
    if own.get("allowPrivilegeEscalation") is False and (own.get("privileged") or "SYS_ADMIN" in own.get("capabilities", {}).get("add", [])):
        yield "allowPrivilegeEscalation is false in a privileged container"
    if own.get("seccompProfile", {}).get("type") == "Localhost":
        yield "a profile of seccomp may be missing on the node"


def of_env(env):
    for name in duplicates(each["name"] for each in env):
        yield f"variable {name} is there twice"
    for each in env:
        if not re.fullmatch(r"[-._a-zA-Z][-._a-zA-Z0-9]*", each["name"]):
            yield f"variable {each['name']}"
        source = each.get("valueFrom", {})
        if each.get("value") and source or len(source) > 1:
            yield f"variable {each['name']} has two values"
        for kind in ("secretKeyRef", "configMapKeyRef"):
            if kind in source and not source[kind].get("optional"):
                yield f"variable {each['name']} needs {source[kind]['name']} in the pod's namespace"


def of_container(container, volumes, pod):
    yield from of_resources(container.get("resources", {}))
    yield from of_security(container.get("securityContext", {}), pod.get("securityContext", {}))
    yield from of_env(container.get("env", []))
    if not named(container["name"]) or not IMAGE.fullmatch(container.get("image", "")):
        yield f"name {container['name']} or image {container.get('image')}"
    if container.get("imagePullPolicy", "Always") not in ("Always", "IfNotPresent", "Never"):
        yield f"imagePullPolicy {container['imagePullPolicy']}"
    mounts = container.get("volumeMounts", [])
    for path in duplicates(mount["mountPath"].rstrip("/") for mount in mounts):
        yield f"two mounts at {path}"
    for mount in mounts:
        if mount["name"] not in volumes:
            yield f"no volume {mount['name']}"
    for port in container.get("ports", []):
        if not 1 <= port["containerPort"] <= 65535 or not re.fullmatch(r"(?=.*[a-z])[a-z0-9-]{1,15}", port.get("name", "a")):
            yield f"port {port}"
    for field, least in PROBE.items():
        if container.get("livenessProbe", {}).get(field, least) < least:
            yield f"livenessProbe.{field}"
    if container.get("livenessProbe", {}).get("successThreshold", 1) != 1:
        yield "livenessProbe.successThreshold must be 1"


def of_pod_resources(spec):
    """The containers that run at the same time must fit into the resources of the pod."""
    whole = spec.get("resources") or {}
    running = spec["containers"] + [each for each in spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]
    for name, most in (whole.get("requests") or {}).items():
        asked = sum(amount((each.get("resources", {}).get("requests") or {}).get(name, 0)) for each in running)
        if asked > amount(most):
            yield f"the containers request {asked} {name}, the pod {most}"


def problems(pod):
    spec = pod["spec"]
    found = list(of_metadata(pod.get("metadata", {}))) + list(of_pod_resources(spec))
    containers = spec.get("initContainers", []) + spec["containers"]
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    found += [f"two containers called {name}" for name in duplicates(each["name"] for each in containers)]
    found += [f"two volumes called {name}" for name in duplicates(volumes)]
    found += [f"volume {name}" for name in volumes if not named(name)]
    for volume in spec.get("volumes", []):
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit is not None and amount(limit) is None:
            found.append(f"volume {volume['name']}: {limit} is no quantity")
    ports = [port["containerPort"] for each in containers for port in each.get("ports", [])]
    found += [f"two containers listen on {port}" for port in duplicates(ports)]
    for container in containers:
        found += [f"{container['name']}: {problem}" for problem in of_container(container, volumes, spec)]
    return found


def starts(container):
    """Whether our container has what the program needs."""
    limits = container.get("resources", {}).get("limits") or {}
    return [f"{name}: {limits[name]} is too little" for name, least in LEAST.items() if name in limits and amount(limits[name]) < least]
