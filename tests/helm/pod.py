"""Makes a rendered Deployment of a model, or of a relay, playable by podman: pod.py DEPLOYMENT_YAML IMAGE PORT SECRETS > kube.yaml

podman 4 has no native sidecars: render with sidecar.native=false. It runs here without a network of its own, so pods use the host's, without ports.
Its probes need curl, which the image lacks, so they are removed. User, read-only root, capabilities and mounts are as rendered. A claim becomes
a podman volume, shared by every pod that names it. podman 4 does not decode Secrets, so a Secret is the folder of its name in SECRETS.
The model server is `sidewatch demo`, which degrades after a third of its time.
"""
import sys

import yaml

path, image, port, secrets = sys.argv[1:5]
kept = []
for document in yaml.safe_load_all(open(path, encoding="utf-8")):
    if document["kind"] == "ConfigMap":
        kept.append(document)
    if document["kind"] != "Deployment":
        continue
    spec, server = document["spec"]["template"]["spec"], None
    spec["hostNetwork"] = True
    for volume in spec["volumes"]:
        if secret := volume.pop("secret", None):
            volume["hostPath"] = {"path": f"{secrets}/{secret['secretName']}", "type": "Directory"}
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
    if server:
        server["securityContext"] = sidecar["securityContext"]
    # podman has no downward API for metadata.name.
    sidecar["env"] = [{"name": "POD_NAME", "value": "fraud-0"}, {"name": "POD_NAMESPACE", "value": "ml"}]
    kept.append(document)
print(yaml.safe_dump_all(kept))
