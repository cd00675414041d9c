{{/* Sidewatch's configuration file. Takes {root, role: sidecar or judge}. */}}
{{- define "sidewatch.config" -}}
{{- $values := .root.Values -}}
{{- $sidecar := eq .role "sidecar" -}}
global:
  scrape_interval: {{ $values.scrape.interval }}
  scrape_timeout: {{ $values.scrape.timeout }}
  {{- with $values.externalLabels }}
  external_labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.externalUrl }}
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
    - url: "http://127.0.0.1:{{ $values.sidecar.target.port }}{{ $values.sidecar.target.path }}"
      labels:
        namespace: "${POD_NAMESPACE}"
        pod: "${POD_NAME}"
  {{- else }}
  discovery:
    dns: {{ printf "%s:%v" $values.judge.target.headlessService $values.judge.target.port | quote }}
    path: {{ $values.judge.target.path | quote }}
    refresh: {{ $values.judge.target.refresh }}
  {{- end }}
  {{- with $values.scrape.extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
rule_files:
  {{- range $values.rules.packs }}
  {{- if $.root.Files.Get (printf "rules/%s.yaml" .) }}
  - /etc/sidewatch/config/rules-{{ . }}.yaml
  {{- else }}
  - {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- range $name, $text := $values.rules.files }}
  - /etc/sidewatch/config/rules-{{ $name }}
  {{- end }}
alerting:
  mode: {{ $values.alerting.mode }}
  {{- /* With a judge, the judge alone alerts and asks for retraining: fifty sidecars would each have their false alarms. */}}
  {{- if not (and $sidecar $values.judge.enabled) }}
  {{- with $values.alerting.alertmanagers }}
  alertmanagers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  resend_delay: {{ $values.alerting.resendDelay }}
retraining:
  enabled: {{ $values.retraining.enabled }}
  {{- if $values.retraining.dryRun }}
  dry_run: true
  {{- end }}
  {{- if not (and $sidecar $values.judge.enabled) }}
  {{- with $values.retraining.webhooks }}
  webhooks:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- if or (not $sidecar) $values.sidecar.stateVolume }}
storage:
  path: /var/lib/sidewatch
{{- end }}
{{- end -}}
