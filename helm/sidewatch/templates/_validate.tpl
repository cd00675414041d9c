{{/* Rules between values that a schema can't say. Each message names the value and the remedy. */}}
{{- define "sidewatch.validate" -}}
{{- $direct := or .Values.alerting.alertmanagers .Values.injection.alertmanagerUrl -}}
{{- if eq .Values.alerting.mode "metrics" -}}
{{- if $direct -}}
{{- fail "alerting.mode: metrics, but alerting.alertmanagers or injection.alertmanagerUrl is set: every alert would arrive twice; empty them, or set alerting.mode: direct" -}}
{{- end -}}
{{- if not .Values.prometheusRule.enabled -}}
{{- fail "alerting.mode: metrics needs prometheusRule.enabled: true, or nobody would alert" -}}
{{- end -}}
{{- end -}}
{{- with .Values.judge -}}
{{- if .target.loadBalancedService -}}
{{- fail (printf "judge.target.loadBalancedService: refused: each scrape of %s would reach another replica, and every counter would seem to reset; make a headless Service (clusterIP: None) over the same pods and name it in judge.target.headlessService" .target.loadBalancedService) -}}
{{- end -}}
{{- if and .enabled (not .target.headlessService) -}}
{{- fail "judge.target.headlessService: is missing: name a headless Service (clusterIP: None) over the model's pods, such as fraud-headless.ml.svc" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.judge.enabled .Values.judge.target.headlessService -}}
{{- include "sidewatch.refuseLoadBalanced" . -}}
{{- end -}}
{{- range $name, $text := .Values.rules.files -}}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*\\.ya?ml$" $name) -}}
{{- fail (printf "rules.files: %q must be a file name ending in .yaml" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* In a live cluster the named Service is looked up: one with a cluster IP balances load. Offline, lookup finds nothing. */}}
{{- define "sidewatch.refuseLoadBalanced" -}}
{{- $parts := splitList "." .Values.judge.target.headlessService -}}
{{- $namespace := .Release.Namespace -}}
{{- if gt (len $parts) 1 -}}{{- $namespace = index $parts 1 -}}{{- end -}}
{{- $service := lookup "v1" "Service" $namespace (first $parts) -}}
{{- if $service -}}
{{- if ne (dig "spec" "clusterIP" "" $service) "None" -}}
{{- fail (printf "judge.target.headlessService: %s balances load (clusterIP is not None): each scrape would reach another replica, and every counter would seem to reset; make a headless Service over the same pods" .Values.judge.target.headlessService) -}}
{{- end -}}
{{- end -}}
{{- end -}}
