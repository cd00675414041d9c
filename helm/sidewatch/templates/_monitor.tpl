{{/* An endpoint of a ServiceMonitor or PodMonitor. Takes the monitor's values. */}}
{{- define "sidewatch.endpoint" -}}
port: sidewatch
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .scheme }}
scheme: {{ . }}
{{- end }}
{{- range $key := list "tlsConfig" "basicAuth" "authorization" "relabelings" "metricRelabelings" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What a ServiceMonitor and a PodMonitor have in common; one in another namespace must say where its pods are. Takes {root, monitor}. */}}
{{- define "sidewatch.monitor" -}}
{{- with .monitor -}}
{{- range $key := list "jobLabel" "targetLabels" "podTargetLabels" "sampleLimit" }}
{{- with get $.monitor $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- if and .namespace (not .anyNamespace) }}
namespaceSelector:
  matchNames: [{{ include "sidewatch.namespace" $.root | quote }}]
{{- end }}
{{- end -}}
{{- end -}}
