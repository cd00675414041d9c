{{/* CEL expression for a parameter of injection: the pod's annotation, else the default. Takes {name, default}. */}}
{{- define "sidewatch.annotation" -}}
has(object.metadata.annotations) && {{ printf "sidewatch.dev/%s" .name | squote }} in object.metadata.annotations
? object.metadata.annotations[{{ printf "sidewatch.dev/%s" .name | squote }}]
: {{ .default | squote }}
{{- end -}}

{{/* CEL expression for a label of the pod, else another expression. Takes {name, else: CEL}. */}}
{{- define "sidewatch.label" -}}
(has(object.metadata.labels) && {{ .name | squote }} in object.metadata.labels
? object.metadata.labels[{{ .name | squote }}] : {{ .else }})
{{- end -}}

{{- define "sidewatch.injectionSelectors" -}}
namespaceSelector:
  {{- with .Values.injection.namespaceSelector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- toYaml .Values.injection.excludedNamespaces | nindent 8 }}
    {{- with .Values.injection.namespaceSelector.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
