{{/*
Injection by label: the spec of a MutatingAdmissionPolicy, which Kyverno's MutatingPolicy takes unchanged. Whatever a pod
looks like, the pod with the sidecar must be valid and must start, or the sidecar must be left out.
*/}}

{{/* Policies have no namespace, so their names contain that of the release. */}}
{{- define "sidewatch.policyName" -}}
{{- printf "%s.%s" (include "sidewatch.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "sidewatch.policyMetadata" -}}
{{- $metadata := include "sidewatch.metadata" (dict "root" .) | fromYaml -}}
{{- toYaml (omit (mergeOverwrite $metadata (dict "name" (include "sidewatch.policyName" .))) "namespace") -}}
{{- end -}}

{{/* CEL: whether the pod has an annotation, such as sidewatch.dev/port. Takes the part after the slash. */}}
{{- define "sidewatch.hasAnnotation" -}}
has(object.metadata.annotations) && 'sidewatch.dev/{{ . }}' in object.metadata.annotations
{{- end -}}

{{/* CEL: a pod's annotation if it has one that matches, else another expression. Takes {name, pattern, else}. */}}
{{- define "sidewatch.annotation" -}}
{{- $value := printf "object.metadata.annotations['sidewatch.dev/%s']" .name -}}
{{ include "sidewatch.hasAnnotation" .name }}
{{- with .pattern }} && {{ $value }}.matches({{ . | squote }}){{ end }} ? {{ $value }} : {{ .else }}
{{- end -}}

{{/* CEL: an argument with the value of an annotation, as a list that is empty without it. Takes {name, flag}. */}}
{{- define "sidewatch.annotatedFlag" -}}
({{ include "sidewatch.hasAnnotation" .name }} ? ['{{ .flag }}=' + object.metadata.annotations['sidewatch.dev/{{ .name }}']] : [])
{{- end -}}

{{/* CEL: a label of the pod, else another expression. Takes {name, else}. */}}
{{- define "sidewatch.label" -}}
(has(object.metadata.labels) && {{ .name | squote }} in object.metadata.labels
? object.metadata.labels[{{ .name | squote }}] : {{ .else }})
{{- end -}}

{{/*
A value as CEL. A map becomes a message of the type that the API server expects at its place, such as
Object.spec.initContainers.env{…}; amounts of resources are plain maps, and annotations of the pod take precedence over them. Takes {value, type}.
*/}}
{{- define "sidewatch.cel" -}}
{{- $type := .type -}}
{{- if kindIs "map" .value -}}
{{- $plain := has (splitList "." $type | last) (list "limits" "requests") -}}
{{- if not $plain }}{{ $type }}{{ end }}{{ "{" }}
{{- $value := .value -}}
{{- range $index, $key := keys .value | sortAlpha -}}
{{- if $index }}, {{ end -}}
{{- $item := get $value $key -}}
{{- if $plain -}}
{{ $key | quote }}: {{ if has $key (list "cpu" "memory") }}{{ printf "variables.%s != '' ? variables.%s : " $key $key }}{{ end }}{{ include "sidewatch.amountText" $item | quote }}
{{- else -}}
{{ $key }}: {{ include "sidewatch.cel" (dict "value" $item "type" (printf "%s.%s" $type $key)) }}
{{- end -}}
{{- end -}}
{{ "}" }}
{{- else if kindIs "slice" .value -}}
[{{ range $index, $item := .value }}{{ if $index }}, {{ end }}{{ include "sidewatch.cel" (dict "value" $item "type" $type) }}{{ end }}]
{{- else if kindIs "string" .value -}}
{{ toRawJson .value }}
{{- else if kindIs "bool" .value -}}
{{ .value }}
{{- else -}}
{{ int64 .value }}
{{- end -}}
{{- end -}}

{{/* Which namespaces. Without an excluded namespace the expression is left out, because the API refuses an empty list. */}}
{{- define "sidewatch.namespaces" -}}
{{- with .Values.injection -}}
{{- $expressions := .namespaceSelector.matchExpressions | default list -}}
{{- with .excludedNamespaces -}}
{{- $expressions = prepend $expressions (dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" .) -}}
{{- end -}}
{{- $selector := dict -}}
{{- with .namespaceSelector.matchLabels }}{{ $_ := set $selector "matchLabels" . }}{{ end -}}
{{- with $expressions }}{{ $_ := set $selector "matchExpressions" . }}{{ end -}}
{{- toYaml $selector -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.policy" -}}
# If injection fails, the pod must still be created, without a sidecar.
failurePolicy: Ignore
reinvocationPolicy: Never
matchConstraints:
  namespaceSelector:
    {{- include "sidewatch.namespaces" . | nindent 4 }}
  objectSelector:
    {{- if .Values.injection.byNamespace }}
    matchExpressions:
      - key: sidewatch.dev/inject
        operator: NotIn
        values: ["false"]
    {{- else }}
    matchLabels:
      sidewatch.dev/inject: "true"
    {{- end }}
  resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [pods]
matchConditions:
  {{- include "sidewatch.conditions" . | nindent 2 }}
variables:
  {{- include "sidewatch.variables" . | nindent 2 }}
mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: |-
        {{- include "sidewatch.patch" . | nindent 8 }}
{{- end -}}

{{/* CEL: whether the container c declares a port of the sidecar. */}}
{{- define "sidewatch.takenPort" -}}
{{- printf "has(c.ports) && c.ports.exists(p, p.containerPort in [%v, %v])" .Values.ports.http .Values.ports.health -}}
{{- end -}}

{{/* Pods that a sidecar could harm are left alone. */}}
{{- define "sidewatch.conditions" -}}
- name: not-there-yet
  expression: >-
    !object.spec.containers.exists(c, c.name == 'sidewatch')
    && !(has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == 'sidewatch'))
- name: linux
  expression: "!has(object.spec.os) || object.spec.os.name != 'windows'"
# On the host's network the ports of two sidecars on one node would collide.
- name: own-network
  expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork"
# The sidecar starts first: it would take a port from the container that declares it.
- name: ports-are-free
  {{- $taken := include "sidewatch.takenPort" . }}
  expression: >-
    !object.spec.containers.exists(c, {{ $taken }})
    && !(has(object.spec.initContainers) && object.spec.initContainers.exists(c, {{ $taken }}))
# The sidecar uses these volumes; of a pod that has one it keeps sidewatch-state only.
- name: no-volume-of-this-name
  expression: "!has(object.spec.volumes) || !object.spec.volumes.exists(v, v.name == 'sidewatch-no-token')"
{{- if not (dig "runAsUser" "" (.Values.securityContext | default dict)) }}
# Without a user of its own the sidecar would run as the pod's, and the kubelet starts no container as root that must not be.
- name: not-root
  expression: >-
    !has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)
    || object.spec.securityContext.runAsUser != 0
{{- end }}
{{- if .Values.injection.byNamespace }}
- name: asked-for
  expression: >-
    (has(object.metadata.labels) && 'sidewatch.dev/inject' in object.metadata.labels
    && object.metadata.labels['sidewatch.dev/inject'] == 'true')
    || (has(namespaceObject.metadata.labels) && 'sidewatch.dev/inject' in namespaceObject.metadata.labels
    && namespaceObject.metadata.labels['sidewatch.dev/inject'] == 'true')
{{- end }}
{{- end -}}

{{/* What the pod's annotations say. The program itself reports an address or a pack that is wrong; a wrong amount would make the pod invalid, so it is ignored. */}}
{{- define "sidewatch.variables" -}}
{{- $defaults := .Values.injection.defaults -}}
{{- $patterns := include "sidewatch.patterns" . | fromYaml -}}
- name: target
  expression: >-
    ({{ include "sidewatch.annotation" (dict "name" "scheme" "else" (toRawJson $defaults.scheme)) }}) + '://127.0.0.1:'
    + ({{ include "sidewatch.annotation" (dict "name" "port" "else" ($defaults.port | toString | toRawJson)) }})
    + ({{ include "sidewatch.annotation" (dict "name" "path" "else" (toRawJson $defaults.path)) }})
- name: modelId
  {{- $else := "'default'" }}
  {{- range list "app" "app.kubernetes.io/name" "serving.kserve.io/inferenceservice" }}
  {{- $else = include "sidewatch.label" (dict "name" . "else" $else) }}
  {{- end }}
  expression: >-
    {{- include "sidewatch.annotation" (dict "name" "model-id" "else" $else) | nindent 4 }}
- name: annotated
  expression: >-
    {{- $flags := list (list "pack" "--rules") (list "model-version" "--model.version") (list "interval" "--scrape.interval") }}
    {{- range $index, $each := $flags }}
    {{ if $index }}+ {{ end }}{{ include "sidewatch.annotatedFlag" (dict "name" (first $each) "flag" (last $each)) }}
    {{- end }}
{{- range $name := list "cpu" "memory" }}
- name: {{ $name }}
  expression: >-
    {{- include "sidewatch.annotation" (dict "name" $name "pattern" (get $patterns $name) "else" "''") | nindent 4 }}
{{- end }}
- name: storage
  expression: >-
    {{- include "sidewatch.annotation" (dict "name" "storage" "pattern" $patterns.storage "else" (squote "256Mi")) | nindent 4 }}
- name: ownState
  expression: "!has(object.spec.volumes) || !object.spec.volumes.exists(v, v.name == 'sidewatch-state')"
# The cluster autoscaler does not remove the node of a pod with an emptyDir that this annotation does not name.
- name: autoscaler
  expression: "'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes'"
- name: evictable
  expression: >-
    (has(object.metadata.annotations) && variables.autoscaler in object.metadata.annotations
    ? object.metadata.annotations[variables.autoscaler] + ',' : '')
    + (variables.ownState ? 'sidewatch-state,' : '') + 'sidewatch-no-token'
{{- end -}}

{{- define "sidewatch.patch" -}}
{{- $container := include "sidewatch.spec" (dict "root" . "role" "sidecar" "native" true "injected" true) | fromYaml -}}
{{- $type := "Object.spec.initContainers" -}}
{{- if .Values.injection.byNamespace -}}
{{- /* Monitors and kubectl find the pod by the label. */ -}}
(has(object.metadata.labels)
  ? [JSONPatch{op: "add", path: "/metadata/labels/sidewatch.dev~1inject", value: "true"}]
  : [JSONPatch{op: "add", path: "/metadata/labels", value: {"sidewatch.dev/inject": "true"}}])
+ {{ end -}}
(has(object.metadata.annotations)
  ? [JSONPatch{op: "add", path: "/metadata/annotations/cluster-autoscaler.kubernetes.io~1safe-to-evict-local-volumes", value: variables.evictable}]
  : [JSONPatch{op: "add", path: "/metadata/annotations", value: {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": variables.evictable}}])
+ (has(object.spec.volumes) ? [] : [JSONPatch{op: "add", path: "/spec/volumes", value: []}])
+ (variables.ownState ? [JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{
  name: "sidewatch-state",
  emptyDir: Object.spec.volumes.emptyDir{sizeLimit: variables.storage}
}}] : [])
+ [JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{
  name: "sidewatch-no-token",
  emptyDir: Object.spec.volumes.emptyDir{sizeLimit: "1Mi"}
}}]
+ (has(object.spec.initContainers) ? [] : [JSONPatch{op: "add", path: "/spec/initContainers", value: []}])
+ [JSONPatch{op: "add", path: "/spec/initContainers/-", value: {{ $type }}{
  args: [
    {{- range $index, $arg := $container.args }}
    {{- if $index }},{{ end }}
    {{ toRawJson $arg }}
    {{- end }}
  ] + ["--target=" + variables.target, "--model.id=" + variables.modelId] + variables.annotated,
  {{- $resources := printf "%s.resources" $type }}
  {{- /* The containers of a pod with resources of its own must fit into them. */}}
  resources: has(object.spec.resources) ? {{ $resources }}{} : {{ include "sidewatch.cel" (dict "value" ($container.resources | default dict) "type" $resources) }}
  {{- range $key := keys (omit $container "args" "resources") | sortAlpha }},
  {{ $key }}: {{ include "sidewatch.cel" (dict "value" (get $container $key) "type" (printf "%s.%s" $type $key)) }}
  {{- end }}
}}]
{{- end -}}
