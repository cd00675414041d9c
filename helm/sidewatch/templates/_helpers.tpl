{{- define "sidewatch.name" -}}
{{- default "sidewatch" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
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

{{- define "sidewatch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sidewatch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* version is the image's tag, so that two releases of the program are told apart in any list. */}}
{{- define "sidewatch.labels" -}}
{{ include "sidewatch.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata: the object's name, labels and annotations. Takes {root, suffix, labels, annotations}. */}}
{{- define "sidewatch.metadata" -}}
name: {{ include "sidewatch.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
labels:
  {{- $own := include "sidewatch.labels" .root | fromYaml }}
  {{- toYaml (mergeOverwrite $own (.labels | default dict)) | nindent 2 }}
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

{{- define "sidewatch.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sidewatch.modelId" -}}
{{- default .Release.Name .Values.model.id -}}
{{- end -}}

{{- define "sidewatch.configMapName" -}}
{{- default (include "sidewatch.fullname" .) .Values.sidecar.configMap -}}
{{- end -}}

{{/* mutatingAdmissionPolicy, kyverno or nothing: what injects in this cluster. */}}
{{- define "sidewatch.engine" -}}
{{- if .Values.injection.enabled -}}
{{- if ne .Values.injection.engine "auto" -}}
{{- .Values.injection.engine -}}
{{- else if include "sidewatch.policyVersion" . -}}
mutatingAdmissionPolicy
{{- else if .Capabilities.APIVersions.Has "kyverno.io/v1/ClusterPolicy" -}}
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
