{{/* Sidewatch's configuration file. Takes {root, role: sidecar, judge or relay, injected}. The user's own keys, in config, come last. */}}
{{- define "sidewatch.config" -}}
{{- $own := (get .root.Values .role).config | default dict -}}
{{- if ne .role "relay" -}}
{{- $own = mergeOverwrite (deepCopy .root.Values.config) (deepCopy $own) -}}
{{- end -}}
{{- $generated := eq .role "relay" | ternary "sidewatch.relayConfig" "sidewatch.generatedConfig" -}}
{{- $text := include $generated (eq .role "relay" | ternary .root .) -}}
{{- if $own -}}
{{- toYaml (mergeOverwrite ($text | fromYaml) $own) -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.generatedConfig" -}}
{{- $values := .root.Values -}}
{{- $sidecar := eq .role "sidecar" -}}
{{- $external := deepCopy $values.externalLabels -}}
{{- if and (not $sidecar) (eq $values.judge.availability "active") -}}
{{- /* Without this label the alerts of two judges are equal, so one judge's resolved alert would resolve the other's. */}}
{{- $_ := set $external "replica" "${POD_NAME}" -}}
{{- end -}}
global:
  scrape_interval: {{ $values.scrape.interval }}
  scrape_timeout: {{ $values.scrape.timeout }}
  {{- with $external }}
  external_labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $url := $values.externalUrl }}
  {{- with $values.judge.ingress }}
  {{- if and (not $sidecar) .enabled .hosts (not $url) }}
  {{- $url = printf "%s://%s%s" (.tls | empty | ternary "http" "https") (first .hosts) (.path | trimSuffix "/") }}
  {{- end }}
  {{- end }}
  {{- with $url }}
  external_url: {{ . | quote }}
  {{- end }}
model:
  id: {{ include "sidewatch.modelId" .root | quote }}
  {{- with $values.model.version }}
  version: {{ . | quote }}
  {{- end }}
  {{- if not $sidecar }}
  rollout_grace: {{ $values.judge.rolloutGrace }}
  baseline: {{ $values.judge.baseline }}
  {{- end }}
scrape:
  {{- if $sidecar }}
  targets:
    {{- $target := .injected | default false | ternary $values.injection.defaults $values.sidecar.target }}
    - url: "{{ $target.scheme }}://127.0.0.1:{{ $target.port }}{{ $target.path }}"
      labels:
        namespace: "${POD_NAMESPACE}"
        pod: "${POD_NAME}"
  {{- else if $values.judge.source.prometheus }}
  source:
    {{- include "sidewatch.source" $values.judge.source | nindent 4 }}
  {{- else }}
  {{- with $values.judge.target }}
  discovery:
    dns: {{ eq .type "SRV" | ternary .headlessService (printf "%s:%v" .headlessService .port) | quote }}
    {{- with .type }}
    type: {{ . }}
    {{- end }}
    path: {{ .path | quote }}
    scheme: {{ .scheme }}
    refresh: {{ .refresh }}
    {{- with .labels }}
    labels:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- if not (or (hasKey $values.scrape.extra "body_size_limit") (and (not $sidecar) $values.judge.source.prometheus)) }}
  body_size_limit: {{ $values.scrape.bodySizeLimit }}
  {{- end }}
  {{- with $values.scrape.extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $backfill := get $values .role | dig "backfill" dict }}
{{- if $backfill.enabled }}
backfill:
  {{- include "sidewatch.source" $backfill | nindent 2 }}
{{- end }}
rule_files:
  {{- range $values.rules.packs }}
  {{- if and (not $.injected) ($.root.Files.Get (printf "rules/%s.yaml" .)) }}
  - /etc/sidewatch/config/rules-{{ . }}.yaml
  {{- else }}
  - {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- range $name, $text := .injected | default false | ternary dict $values.rules.files }}
  - /etc/sidewatch/config/rules-{{ $name }}
  {{- end }}
alerting:
  mode: {{ $values.alerting.mode }}
  {{- /* With a judge, sidecars only export metrics: each sidecar would send its own false alarms. */}}
  {{- if not (and $sidecar (include "sidewatch.judges" .root)) }}
  {{- with $values.alerting.alertmanagers }}
  alertmanagers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  resend_delay: {{ $values.alerting.resendDelay }}
retraining:
  {{- include "sidewatch.retraining" (dict "values" $values "sends" (eq .role (include "sidewatch.retrainingRole" .root))) | nindent 2 }}
{{- if or (not $sidecar) .injected $values.sidecar.stateVolume }}
storage:
  path: /var/lib/sidewatch
{{- end }}
{{- end -}}

{{/* A server with stored series: scrape.source or backfill. Takes its values. */}}
{{- define "sidewatch.source" -}}
{{- $keys := dict -}}
{{- range $key := list "prometheus" "matchers" "range" "timeout" -}}
{{- with get $ $key -}}
{{- $_ := set $keys $key . -}}
{{- end -}}
{{- end -}}
{{- with .queryOffset -}}
{{- $_ := set $keys "query_offset" . -}}
{{- end -}}
{{- with .tenant -}}
{{- $_ := set $keys "http_headers" (dict $.tenantHeader (dict "values" (list .))) -}}
{{- end -}}
{{- toYaml (merge $keys (deepCopy .extra)) -}}
{{- end -}}

{{/* The retraining section. Takes {values, sends: whether this role sends the requests}. */}}
{{- define "sidewatch.retraining" -}}
{{- with .values.retraining -}}
enabled: {{ .enabled }}
{{- if .dryRun }}
dry_run: true
{{- end }}
{{- with .inFlightTimeout }}
in_flight_timeout: {{ . }}
{{- end }}
{{- if ne (int .hourlyLimit) 20 }}
hourly_limit: {{ int .hourlyLimit }}
{{- end }}
{{- if $.sends }}
{{- with .webhooks }}
webhooks:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Configuration of the relay. */}}
{{- define "sidewatch.relayConfig" -}}
retrain:
  {{- toYaml .Values.relay.retrain | nindent 2 }}
{{- with .Values.relay.labels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
retraining:
  {{- include "sidewatch.retraining" (dict "values" .Values "sends" true) | nindent 2 }}
storage:
  path: /var/lib/sidewatch
{{- if .Values.relay.token.secret }}
authorization:
  credentials_file: /etc/sidewatch/token/{{ .Values.relay.token.key }}
{{- end }}
{{- end -}}

{{/* The rule files of the ConfigMap. */}}
{{- define "sidewatch.ruleFiles" -}}
{{- range .Values.rules.packs }}
{{- $text := $.Files.Get (printf "rules/%s.yaml" .) }}
{{- if $text }}
rules-{{ . }}.yaml: |
  {{- $text | trim | nindent 2 }}
{{- end }}
{{- end }}
{{- range $name, $text := .Values.rules.files }}
rules-{{ $name }}: |
  {{- $text | trim | nindent 2 }}
{{- end }}
{{- end -}}

{{/* All configuration that a role reads at its start. Its checksum restarts the pod when it changes. Takes {root, role}. */}}
{{- define "sidewatch.configuration" -}}
{{- if eq .role "relay" -}}
{{ include "sidewatch.config" . }}
{{- else -}}
{{ include "sidewatch.config" . }}
{{ include "sidewatch.ruleFiles" .root }}
{{- end -}}
{{- end -}}
