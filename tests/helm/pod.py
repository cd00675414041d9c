"""Makes a rendered Deployment of a model, or of a relay, playable by podman: pod.py DEPLOYMENT_YAML IMAGE PORT SECRETS > kube.yaml

podman 4 has no native sidecars (render with sidecar.native=false), no network of its own here (so the host's, without ports), and runs probes by
a curl that the image does not have (so they go). Everything else is as rendered: user, read-only root, capabilities, mounts. A claim becomes
a volume of podman's, the same for every pod that names it; a Secret is the folder of its name in SECRETS, since podman 4 does not decode one.
The model server is the one of `sidewatch demo`, which degrades after a third of its time.
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
