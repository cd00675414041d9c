"""Valid pods of many shapes."""


def random_container(random, name, ports):
    container = {"name": name, "image": "registry.example.com/vllm:1"}
    if random.random() < 0.5:
        container["ports"] = [{"containerPort": ports.pop(), "name": f"p{len(ports)}"}]
    if random.random() < 0.5:
        cpu = random.choice(["100m", "1", "2.5"])
        container["resources"] = {"requests": {"cpu": cpu}, "limits": {"cpu": random.choice([cpu, "4"]), "memory": "1Gi"}}
    if random.random() < 0.3:
        container["securityContext"] = {"runAsUser": random.choice([1, 1000])}
    return container


def random_annotations(random):
    values = ["", "8000", "-1", "http", "/metrics", "vllm", "vlm, drift", "100m", "64Mi", "1Ki", "1e9", "2Gi", "15s", "'", '"', "$(X)", "{{", "\n", "é", "0"]
    names = ["scheme", "port", "path", "pack", "model-id", "model-version", "interval", "cpu", "memory", "storage"]
    found = {f"sidewatch.dev/{name}": random.choice(values) for name in names if random.random() < 0.3}
    if random.random() < 0.2:
        found["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"] = "cache"
    return found


def random_pod(random):
    """A pod that asks for a sidecar and that the API server would accept without one."""
    ports = random.sample([80, 8000, 8080, 9755, 9756, 9757, 50051], 7)
    metadata = {"name": "fraud-0", "labels": {"sidewatch.dev/inject": "true"}}
    for label in ("app", "app.kubernetes.io/name", "serving.kserve.io/inferenceservice"):
        if random.random() < 0.3:
            metadata["labels"][label] = random.choice(["", "fraud", "Fraud_2.x"])
    if random.random() < 0.6:
        metadata["annotations"] = random_annotations(random)
    spec = {"containers": [random_container(random, f"c{index}", ports) for index in range(random.randint(1, 3))]}
    if random.random() < 0.4:
        spec["initContainers"] = [random_container(random, f"i{index}", ports) for index in range(random.randint(0, 2))]
        for container in spec["initContainers"]:
            if random.random() < 0.4:
                container["restartPolicy"] = "Always"
    if random.random() < 0.5:
        volumes = ["weights", "sidewatch-state", "sidewatch-no-token", "sidewatch-config"]
        spec["volumes"] = [{"name": name, "emptyDir": {}} for name in volumes if random.random() < 0.3]
    if random.random() < 0.3:
        spec["securityContext"] = random.choice([{}, {"runAsUser": 0}, {"runAsUser": 1000, "runAsNonRoot": True}, {"fsGroup": 2000}])
    if random.random() < 0.2:
        spec["resources"] = random.choice([{"requests": {"cpu": "20"}}, {"requests": {"cpu": "15"}, "limits": {"cpu": "15"}}])
    if random.random() < 0.2:
        spec["os"] = {"name": random.choice(["linux", "windows"])}
    if random.random() < 0.2:
        spec["hostNetwork"] = random.choice([True, False])
    if random.random() < 0.2:
        spec["restartPolicy"] = random.choice(["Always", "Never", "OnFailure"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
