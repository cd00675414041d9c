{{/*
What kubectl says about a labelled pod or the template of one: a ValidatingAdmissionPolicy that warns and refuses nothing. Without
it a person would have to look for a sidecar that is missing, or at its page.
*/}}

{{/* Patterns of annotations; a value of cpu, memory or storage that does not match is ignored. */}}
{{- define "sidewatch.patterns" -}}
{{- $packs := list "auto" -}}
{{- range $path, $_ := .Files.Glob "rules/*.yaml" -}}
{{- $packs = append $packs (base $path | trimSuffix ".yaml") -}}
{{- end -}}
{{- $packs = printf " *(%s) *" (join "|" $packs) -}}
scheme: ^https?$
port: {{ `^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$` | quote }}
path: ^/
pack: {{ printf "^%s(,%s)*$" $packs $packs | quote }}
interval: ^([0-9]+(ms|s|m|h|d|w|y))+$
cpu: {{ `^[1-9][0-9]{1,4}m$|^[1-9][0-9]?$` | quote }}
memory: {{ `^(3[2-9]|[4-9][0-9]|[1-9][0-9]{2,4})Mi$|^[1-9][0-9]?Gi$` | quote }}
storage: {{ `^[1-9][0-9]{2,4}Mi$|^[1-9][0-9]?Gi$` | quote }}
{{- end -}}

{{- define "sidewatch.warnings" -}}
{{- $hints := dict "scheme" "http or https" "port" "a port" "path" "a path that begins with /" "interval" "a duration such as 15s"
  "pack" "packs of Sidewatch, separated by commas, or auto"
  "cpu" "an amount from 10m, such as 100m; it is ignored" "memory" "an amount from 32Mi, such as 128Mi; it is ignored"
  "storage" "an amount from 100Mi, such as 1Gi; it is ignored" -}}
failurePolicy: Ignore
matchConstraints:
  namespaceSelector:
    {{- include "sidewatch.namespaces" . | nindent 4 }}
  resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
    - apiGroups: [apps]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [deployments, statefulsets, daemonsets]
    - apiGroups: [batch]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [jobs]
matchConditions:
  {{- $metadata := "(has(object.spec.template) ? object.spec.template : object).metadata" }}
  {{- $value := printf "(has(%s.labels) && 'sidewatch.dev/inject' in %s.labels ? %s.labels['sidewatch.dev/inject'] : '')" $metadata $metadata $metadata }}
  - name: asked-for
    expression: >-
      {{ $value }} == 'true'
      {{- if .Values.injection.byNamespace }}
      || ({{ $value }} != 'false' && has(namespaceObject.metadata.labels)
      && 'sidewatch.dev/inject' in namespaceObject.metadata.labels && namespaceObject.metadata.labels['sidewatch.dev/inject'] == 'true')
      {{- end }}
variables:
  - name: pod
    expression: "has(object.spec.template) ? object.spec.template : object"
  - name: annotations
    expression: "has(variables.pod.metadata.annotations) ? variables.pod.metadata.annotations : {}"
validations:
  {{- $patterns := include "sidewatch.patterns" . | fromYaml }}
  {{- range $name := keys $patterns | sortAlpha }}
  - expression: >-
      !('sidewatch.dev/{{ $name }}' in variables.annotations)
      || variables.annotations['sidewatch.dev/{{ $name }}'].matches({{ get $patterns $name | toRawJson }})
    message: the annotation sidewatch.dev/{{ $name }} must be {{ get $hints $name }}
  {{- end }}
  {{- $taken := printf "c.name != 'sidewatch' && %s" (include "sidewatch.takenPort" .) }}
  - expression: >-
      !variables.pod.spec.containers.exists(c, {{ $taken }})
      && !(has(variables.pod.spec.initContainers) && variables.pod.spec.initContainers.exists(c, {{ $taken }}))
    message: the pod gets no sidecar of Sidewatch, because a container declares the port {{ .Values.ports.http }} or {{ .Values.ports.health }}
  - expression: "!has(variables.pod.spec.hostNetwork) || !variables.pod.spec.hostNetwork"
    message: the pod gets no sidecar of Sidewatch, because it is on the host's network
{{- end -}}
