{{/* The chart's name is its alias in a chart that has it twice, so that the two differ. */}}
{{- define "sidewatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sidewatch.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sidewatch.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The full name with a suffix, cut to 63 characters, the limit for the name of a Service. Takes {root, suffix}. */}}
{{- define "sidewatch.suffixed" -}}
{{- $name := include "sidewatch.fullname" .root -}}
{{- with .suffix -}}
{{- $name = printf "%s-%s" ($name | trunc (sub 62 (len .) | int) | trimSuffix "-") . -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Name of the StatefulSet of {root, role}. A label of its pods has it with the hash of a revision, eleven characters more. */}}
{{- define "sidewatch.statefulSetName" -}}
{{- $suffix := .root.Values.judgeName | default "" -}}
{{- $name := include "sidewatch.fullname" .root | trunc (sub 51 (len $suffix) | int) | trimSuffix "-" -}}
{{- $suffix | empty | ternary $name (printf "%s-%s" $name $suffix) -}}
{{- end -}}

{{/*
Sets .Values.instances to what runs in pods of the chart's own, each {root, role: judge or relay}: the judge, those of judges,
whose root has their values, and the relay.
*/}}
{{- define "sidewatch.setInstances" -}}
{{- $instances := list -}}
{{- if .Values.judge.enabled -}}
{{- $instances = append $instances (dict "root" . "role" "judge") -}}
{{- end -}}
{{- range .Values.judges -}}
{{- $values := mergeOverwrite (deepCopy (omit $.Values "instances" "judges")) (deepCopy (omit . "name")) (dict "judgeName" .name "judges" list) -}}
{{- $_ := set $values.judge "enabled" true -}}
{{- $instances = append $instances (dict "role" "judge" "root" (mergeOverwrite (omit $ "Values" "Subcharts") (dict "Values" $values))) -}}
{{- end -}}
{{- if .Values.relay.enabled -}}
{{- $instances = append $instances (dict "root" . "role" "relay") -}}
{{- end -}}
{{- $_ := set .Values "instances" $instances -}}
{{- end -}}

{{/* The judge has the full name; the relay and those of judges have a suffix. Takes {root, role}. */}}
{{- define "sidewatch.roleName" -}}
{{- include "sidewatch.suffixed" (dict "root" .root "suffix" (eq .role "relay" | ternary "relay" (.root.Values.judgeName | default ""))) -}}
{{- end -}}

{{/* Labels of selectors. They never change, because the selector of a Deployment is immutable. */}}
{{- define "sidewatch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sidewatch.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* judge, relay, or judge-NAME for one of judges. Takes {root, role}. */}}
{{- define "sidewatch.component" -}}
{{- .role }}{{ if eq .role "judge" }}{{ with .root.Values.judgeName }}-{{ . }}{{ end }}{{ end -}}
{{- end -}}

{{/* Labels of the pods of a role. Takes {root, role}. */}}
{{- define "sidewatch.roleLabels" -}}
{{ include "sidewatch.selectorLabels" .root }}
app.kubernetes.io/component: {{ include "sidewatch.component" . | quote }}
{{- end -}}

{{/* Labels of the chart's pods; none changes with the chart's version alone, because that would restart the pods. */}}
{{- define "sidewatch.podLabels" -}}
{{- $own := include "sidewatch.selectorLabels" . | fromYaml -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/version" (regexReplaceAll "^[^A-Za-z0-9]+|[^A-Za-z0-9]+$" ($tag | trunc 63) "") -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{/* Labels of every object. version is the image's tag, so that lists of objects show which release runs. */}}
{{- define "sidewatch.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) -}}
{{- toYaml (merge $own (include "sidewatch.podLabels" . | fromYaml)) -}}
{{- end -}}

{{/* metadata of an object: its name, labels and annotations; its namespace if it is not the release's. Takes {root, suffix or role, labels, annotations, namespace}. */}}
{{- define "sidewatch.metadata" -}}
{{- $labels := include "sidewatch.labels" .root | fromYaml -}}
{{- $labels = mergeOverwrite $labels (.labels | default dict) -}}
{{- if .role -}}
{{- $_ := set $labels "app.kubernetes.io/component" (include "sidewatch.component" .) -}}
{{- end -}}
name: {{ include (.role | empty | ternary "sidewatch.suffixed" "sidewatch.roleName") . | quote }}
{{- with .namespace | default .root.Values.namespaceOverride }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- $annotations := mergeOverwrite (deepCopy .root.Values.commonAnnotations) (.annotations | default dict) }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sidewatch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sidewatch.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The namespace of the objects. */}}
{{- define "sidewatch.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "sidewatch.image" -}}
{{- with .Values.image -}}
{{- with $.Values.global.imageRegistry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.modelId" -}}
{{- .Values.model.id | default .Values.judgeName | default .Release.Name -}}
{{- end -}}

{{- define "sidewatch.configMapName" -}}
{{- default (include "sidewatch.fullname" .) .Values.sidecar.configMap -}}
{{- end -}}

{{/* "true" when a judge is made, so that the sidecars only export. */}}
{{- define "sidewatch.judges" -}}
{{- if or .Values.judge.enabled .Values.judges .Values.judgeName -}}true{{- end -}}
{{- end -}}

{{/* The role that requests retraining: the relay if enabled, else the judge if enabled, else each sidecar. */}}
{{- define "sidewatch.retrainingRole" -}}
{{- if .Values.relay.enabled -}}
relay
{{- else if include "sidewatch.judges" . -}}
judge
{{- else -}}
sidecar
{{- end -}}
{{- end -}}

{{/* URL of the relay, to which Alertmanager posts. */}}
{{- define "sidewatch.relayUrl" -}}
{{- $scheme := .Values.relay.serviceMonitor.scheme | default (empty .Values.relay.webConfig.secret | ternary "http" "https") -}}
{{- printf "%s://%s.%s.svc:%v/api/v1/alertmanager" $scheme (include "sidewatch.roleName" (dict "root" . "role" "relay")) (include "sidewatch.namespace" .) .Values.ports.http -}}
{{- end -}}

{{/* "true" when the instances of a role share one store and a standby waits for it. Takes the role's values. */}}
{{- define "sidewatch.waits" -}}
{{- if has .availability (list "rolling" "standby") -}}true{{- end -}}
{{- end -}}

{{/* Engine that injects sidecars in this cluster: mutatingAdmissionPolicy or kyverno; empty when there is none. */}}
{{- define "sidewatch.engine" -}}
{{- if .Values.injection.enabled -}}
{{- if ne .Values.injection.engine "auto" -}}
{{- .Values.injection.engine -}}
{{- else if include "sidewatch.policyVersion" . -}}
mutatingAdmissionPolicy
{{- else if .Capabilities.APIVersions.Has "policies.kyverno.io/v1/MutatingPolicy" -}}
kyverno
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Version of the MutatingAdmissionPolicy API in this cluster; empty when it has none. */}}
{{- define "sidewatch.policyVersion" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1beta1
{{- end -}}
{{- end -}}
