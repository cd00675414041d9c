{{/* Checks across values that a schema cannot express. Each message names the value and the remedy. */}}
{{- define "sidewatch.validate" -}}
{{- include "sidewatch.validatePods" . -}}
{{- if .Values.injection.enabled -}}
{{- include "sidewatch.validateInjection" . -}}
{{- end -}}
{{- if eq .Values.alerting.mode "metrics" -}}
{{- if .Values.alerting.alertmanagers -}}
{{- fail "alerting.mode: metrics, but alerting.alertmanagers is set: every alert would arrive twice; empty it, or set alerting.mode: direct" -}}
{{- end -}}
{{- if not .Values.prometheusRule.enabled -}}
{{- fail "alerting.mode: metrics needs prometheusRule.enabled: true: without it no alert is sent" -}}
{{- end -}}
{{- end -}}
{{- include "sidewatch.validateNames" . -}}
{{- include "sidewatch.setInstances" . -}}
{{- range .Values.instances -}}
{{- include (eq .role "relay" | ternary "sidewatch.validateRelay" "sidewatch.validateJudge") .root -}}
{{- include "sidewatch.validateStore" . -}}
{{- if .root.Values.judgeName -}}
{{- include "sidewatch.validatePods" .root -}}
{{- end -}}
{{- end -}}
{{- range $name, $text := .Values.rules.files -}}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*\\.ya?ml$" $name) -}}
{{- fail (printf "rules.files: %q must be a file name ending in .yaml" $name) -}}
{{- end -}}
{{- end -}}
{{- $open := dict "scrape.extra" .Values.scrape.extra "alerting.alertmanagers" .Values.alerting.alertmanagers "retraining.webhooks" .Values.retraining.webhooks -}}
{{- $open = merge $open (dict "judge.source" .Values.judge.source "judge.backfill" .Values.judge.backfill "sidecar.backfill" .Values.sidecar.backfill) -}}
{{- $open = merge $open (dict "config" .Values.config "judge.config" .Values.judge.config "relay.config" .Values.relay.config "judges" .Values.judges) -}}
{{- range $path, $value := $open -}}
{{- include "sidewatch.refuseSecrets" (dict "path" $path "value" $value) -}}
{{- end -}}
{{- end -}}

{{/* What the API server or the kubelet would refuse, or what would keep a container from starting. */}}
{{- define "sidewatch.validatePods" -}}
{{- if eq (int .Values.ports.http) (int .Values.ports.health) -}}
{{- fail (printf "ports.health: must differ from ports.http, which is %v" .Values.ports.http) -}}
{{- end -}}
{{- range $path, $resources := dict "resources" .Values.resources "judge.resources" .Values.judge.resources "relay.resources" .Values.relay.resources -}}
{{- include "sidewatch.validateResources" (dict "path" $path "resources" ($resources | default dict)) -}}
{{- end -}}
{{- range $name := .Values.rules.packs -}}
{{- if not (or (eq $name "auto") ($.Files.Get (printf "rules/%s.yaml" $name))) -}}
{{- fail (printf "rules.packs: no pack is called %q; packs are auto and the files of the chart's rules/" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Requests must not exceed limits, and Sidewatch must be able to start. Takes {path, resources}. */}}
{{- define "sidewatch.validateResources" -}}
{{- $path := .path -}}
{{- $least := dict "cpu" "10m" "memory" "32Mi" "ephemeral-storage" "320Mi" -}}
{{- $requests := .resources.requests | default dict -}}
{{- range $name, $limit := .resources.limits | default dict -}}
{{- $most := include "sidewatch.amount" $limit | float64 -}}
{{- if lt $most (include "sidewatch.amount" (get $least $name) | float64) -}}
{{- fail (printf "%s.limits.%s: %v is too little for Sidewatch to start; the least is %s" $path $name (include "sidewatch.amountText" $limit) (get $least $name)) -}}
{{- end -}}
{{- if hasKey $requests $name -}}
{{- if gt (include "sidewatch.amount" (get $requests $name) | float64) $most -}}
{{- fail (printf "%s.requests.%s: %v is more than the limit of %v, so no pod would be accepted; raise the limit too" $path $name (include "sidewatch.amountText" (get $requests $name)) (include "sidewatch.amountText" $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* An amount as text. Helm reads a number of a values file as a float, which would be written as 6.7e+07. */}}
{{- define "sidewatch.amountText" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* An amount such as 50m or 64Mi as a number. */}}
{{- define "sidewatch.amount" -}}
{{- $text := include "sidewatch.amountText" . -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- printf "%.4f" (mulf ($number | float64) (get $units $unit)) -}}
{{- end -}}

{{/* Injected sidecars are in the models' namespaces, so they can use nothing of the release's; and nothing may keep a model from starting. */}}
{{- define "sidewatch.validateInjection" -}}
{{- $elsewhere := "an injected sidecar is in the model's namespace, where this does not exist; use the named template or a judge with injection.enabled: false" -}}
{{- with .Values.injection -}}
{{- range $old, $new := dict "alertmanagerUrl" "alerting.alertmanagers" "retrainUrl" "retraining.webhooks" -}}
{{- if get $.Values.injection $old -}}
{{- fail (printf "injection.%s: set %s instead, which every shape reads" $old $new) -}}
{{- end -}}
{{- end -}}
{{- if .defaults.pack -}}
{{- fail "injection.defaults.pack: set rules.packs instead, which every shape reads" -}}
{{- end -}}
{{- end -}}
{{- if not (include "sidewatch.judges" .) -}}
{{- range $path, $value := dict "secrets" .Values.secrets "webConfig.secret" .Values.webConfig.secret "rules.files" .Values.rules.files "extraVolumes" .Values.extraVolumes "extraVolumeMounts" .Values.extraVolumeMounts -}}
{{- if $value -}}
{{- fail (printf "%s: %s" $path $elsewhere) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if contains "/etc/sidewatch/secrets" (include "sidewatch.config" (dict "root" . "role" "sidecar" "injected" true)) -}}
{{- fail (printf "a value names a file below /etc/sidewatch/secrets: %s" $elsewhere) -}}
{{- end -}}
{{- if eq .Values.image.pullPolicy "Never" -}}
{{- fail "image.pullPolicy: Never, and injection.enabled is true: on a node without the image no labelled model would start; set IfNotPresent" -}}
{{- end -}}
{{- range $index, $variable := .Values.extraEnv -}}
{{- range $kind := list "secretKeyRef" "configMapKeyRef" -}}
{{- $reference := dig "valueFrom" $kind dict $variable -}}
{{- if and $reference (not $reference.optional) -}}
{{- fail (printf "extraEnv[%d].valueFrom.%s: without optional: true no labelled model starts in a namespace that lacks it" $index $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.validateJudge" -}}
{{- with .Values.judge -}}
{{- if .target.loadBalancedService -}}
{{- fail (printf "judge.target.loadBalancedService: refused: each scrape of %s would reach another replica, and every counter would seem to reset; make a headless Service (clusterIP: None) over the same pods and name it in judge.target.headlessService" .target.loadBalancedService) -}}
{{- end -}}
{{- if and .target.headlessService .source.prometheus -}}
{{- fail "judge.source.prometheus and judge.target.headlessService are both set: the judge either queries Prometheus or scrapes the replicas; empty one of them" -}}
{{- end -}}
{{- if not (or .target.headlessService .source.prometheus) -}}
{{- fail "judge.target.headlessService: missing: name a headless Service (clusterIP: None) over the model's pods, such as fraud-headless.ml.svc, or set judge.source.prometheus" -}}
{{- end -}}
{{- if and .source.prometheus (has "auto" $.Values.rules.packs) -}}
{{- fail "rules.packs: auto recognises a model server by its metrics, but a judge with judge.source.prometheus scrapes none; name the pack, such as vllm" -}}
{{- end -}}
{{- if and .backfill.enabled (not (or .backfill.prometheus .source.prometheus)) -}}
{{- fail "judge.backfill.prometheus: missing: name the server that has the history, such as http://prometheus-operated.monitoring.svc:9090" -}}
{{- end -}}
{{- if eq .availability "active" -}}
{{- if and $.Values.retraining.webhooks (not $.Values.relay.enabled) -}}
{{- fail "judge.availability: active, and retraining.webhooks is set: both judges would send each retraining request; set relay.enabled: true to send it once, or empty retraining.webhooks" -}}
{{- end -}}
{{- if hasKey $.Values.externalLabels "replica" -}}
{{- fail "externalLabels.replica: with judge.availability: active this label is each judge's own name; remove it" -}}
{{- end -}}
{{- if .persistence.existingClaim -}}
{{- fail "judge.persistence.existingClaim: with judge.availability: active each judge has a claim of its own; empty it" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.judge.target.headlessService .Values.judge.target.checkService -}}
{{- include "sidewatch.refuseLoadBalanced" . -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.validateRelay" -}}
{{- with .Values.relay -}}
{{- if not $.Values.retraining.webhooks -}}
{{- fail "relay.enabled: true needs retraining.webhooks: name a receiver of retraining requests, such as {url: \"http://retrain-eventsource-svc.argo-events.svc:12000/retrain\"}" -}}
{{- end -}}
{{- if not (or .token.secret .webConfig.secret .anonymous) -}}
{{- fail "relay.token.secret: missing: any client that reaches the relay could trigger retraining; name a Secret with the token that Alertmanager sends, or a relay.webConfig.secret with passwords, or set relay.anonymous: true" -}}
{{- end -}}
{{- if and $.Values.networkPolicy.enabled (not .networkPolicy.alertmanager) -}}
{{- fail "relay.networkPolicy.alertmanager: empty: no pod could post to the relay; select the pods of Alertmanager" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.validateNames" -}}
{{- $names := list -}}
{{- range .Values.judges -}}
{{- if has .name (append $names "relay") -}}
{{- fail (printf "judges: the name %s is taken; give each judge a name of its own" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{/* Pods that wait for a store must share one claim. Takes {root, role}. */}}
{{- define "sidewatch.validateStore" -}}
{{- with get .root.Values .role -}}
{{- $claim := dict -}}
{{- if and .persistence.enabled (not .persistence.existingClaim) (ne (toJson .persistence.accessModes) "[\"ReadWriteOnce\"]") -}}
{{- $claim = lookup "v1" "PersistentVolumeClaim" (include "sidewatch.namespace" $.root) (include "sidewatch.roleName" $) -}}
{{- end -}}
{{- if and $claim (ne (dig "spec" "accessModes" list $claim | toJson) (toJson .persistence.accessModes)) -}}
{{- fail (printf "%s.persistence.accessModes: the claim %s has %s, which Kubernetes lets nobody change; make a claim of your own and name it in %s.persistence.existingClaim" $.role (include "sidewatch.roleName" $) (dig "spec" "accessModes" list $claim | join ", ") $.role) -}}
{{- end -}}
{{- if include "sidewatch.waits" . -}}
{{- if not .persistence.enabled -}}
{{- fail (printf "%s.availability: %s needs %s.persistence.enabled: true: without a claim each pod has a store of its own, so none waits and both send" $.role .availability $.role) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .availability "standby") (not .persistence.existingClaim) (not (has "ReadWriteMany" .persistence.accessModes)) -}}
{{- fail (printf "%s.availability: standby needs %s.persistence.accessModes: [ReadWriteMany], or an existingClaim that has it: pods on two nodes share the claim" $.role $.role) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses secrets among values that are rendered into a ConfigMap or a pod's arguments. Takes {path, value}. */}}
{{- define "sidewatch.refuseSecrets" -}}
{{- $remedy := "would be readable in a ConfigMap or in a pod's arguments; put it into a Secret, name the Secret in secrets, and refer to its file below /etc/sidewatch/secrets" -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $path := printf "%s.%s" $.path $key -}}
{{- if and $value (or (has $key (list "password" "credentials" "bearer_token" "client_secret" "secret" "secrets")) (and (eq $key "key") (hasSuffix "tls_config" $.path))) -}}
{{- fail (printf "%s: %s" $path $remedy) -}}
{{- end -}}
{{- include "sidewatch.refuseSecrets" (dict "path" $path "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "sidewatch.refuseSecrets" (dict "path" (printf "%s[%d]" $.path $index) "value" $value) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if regexMatch "^[a-z0-9]+://[^/@]*:[^/@$]+@" .value -}}
{{- fail (printf "%s: its password %s; use basic_auth" .path $remedy) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses a Service with a cluster IP, because it balances load. Without a cluster, lookup finds nothing and nothing is refused. */}}
{{- define "sidewatch.refuseLoadBalanced" -}}
{{- $parts := splitList "." .Values.judge.target.headlessService -}}
{{- /* Skip the prefix of an SRV name such as _http._tcp.fraud-headless.ml.svc. */ -}}
{{- range list 0 1 -}}
{{- if hasPrefix "_" (first $parts | default "") -}}{{- $parts = rest $parts -}}{{- end -}}
{{- end -}}
{{- $namespace := include "sidewatch.namespace" . -}}
{{- if gt (len $parts) 1 -}}{{- $namespace = index $parts 1 -}}{{- end -}}
{{- $service := lookup "v1" "Service" $namespace (first $parts | default "none") -}}
{{- if $service -}}
{{- if ne (dig "spec" "clusterIP" "" $service) "None" -}}
{{- fail (printf "judge.target.headlessService: %s balances load (clusterIP is not None): each scrape would reach another replica, and every counter would seem to reset; make a headless Service over the same pods" .Values.judge.target.headlessService) -}}
{{- end -}}
{{- end -}}
{{- end -}}
