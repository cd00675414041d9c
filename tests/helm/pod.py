"""Makes a rendered Deployment playable by podman: pod.py DEPLOYMENT_YAML IMAGE PORT > kube.yaml

podman 4 has no native sidecars (render with sidecar.native=false), no network of its own here (so the host's, without ports), and runs probes by
a curl that the image does not have (so they go). Everything else is as rendered: user, read-only root, capabilities, mounts.
The model server is the one of `sidewatch demo`, which degrades after a third of its time.
"""
import sys

import yaml

path, image, port = sys.argv[1:4]
kept = []
for document in yaml.safe_load_all(open(path, encoding="utf-8")):
    if document["kind"] == "ConfigMap":
        kept.append(document)
    if document["kind"] != "Deployment":
        continue
    spec = document["spec"]["template"]["spec"]
    spec["hostNetwork"] = True
    for container in spec["containers"]:
        container["image"] = image
        container["imagePullPolicy"] = "Never"
        container.pop("ports", None)
        container.pop("livenessProbe", None)
        container.pop("readinessProbe", None)
        if container["name"] == "sidewatch":
            container["resources"] = {"limits": {"memory": "32Mi"}}
            sidecar = container
        else:
            container["args"] = ["demo", "--duration=120s", f"--model.listen-address=127.0.0.1:{port}", "--web.listen-address=127.0.0.1:0"]
            container["resources"] = {"limits": {"memory": "64Mi"}}
            server = container
    server["securityContext"] = sidecar["securityContext"]
    # podman has no downward API for metadata.name.
    sidecar["env"] = [{"name": "POD_NAME", "value": "fraud-0"}, {"name": "POD_NAMESPACE", "value": "ml"}]
    kept.append(document)
print(yaml.safe_dump_all(kept))
