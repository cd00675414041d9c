{{/*
The sidecar, for charts that render the model's pod themselves. A chart that depends on this one (as "sidewatch")
passes the subchart's context, .Subcharts.sidewatch.

  sidewatch.initContainer  native sidecar for initContainers; nothing when sidecar.native is false
  sidewatch.container      plain container for containers; nothing when sidecar.native is true
  sidewatch.volumes        the volumes that either needs
*/}}
{{- define "sidewatch.initContainer" -}}
{{- if .Values.sidecar.native -}}
- {{- include "sidewatch.spec" (dict "root" . "role" "sidecar" "native" true) | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sidewatch.container" -}}
{{- if not .Values.sidecar.native -}}
- {{- include "sidewatch.spec" (dict "root" . "role" "sidecar" "native" false) | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sidewatch.volumes" -}}
- name: sidewatch-config
  configMap:
    name: {{ include "sidewatch.configMapName" . | quote }}
{{- if .Values.sidecar.stateVolume }}
- name: sidewatch-state
  emptyDir:
    sizeLimit: 256Mi
{{- end }}
{{- include "sidewatch.secretVolumes" .Values }}
{{- end -}}

{{/* The name of a Secret's volume: a Secret may have dots and 253 characters in its name, a volume may not. Takes the Secret's name. */}}
{{- define "sidewatch.secretVolume" -}}
sidewatch-secret-{{ regexMatch "^[a-z0-9-]{1,46}$" . | ternary . (sha256sum . | trunc 12) }}
{{- end -}}

{{/* Volumes that the user configures. Takes the values with secrets, webConfig, token and extraVolumes: the chart's or the relay's. */}}
{{- define "sidewatch.secretVolumes" -}}
{{- range .secrets }}
- name: {{ include "sidewatch.secretVolume" .name }}
  secret:
    secretName: {{ .name | quote }}
    optional: {{ .optional | default false }}
{{- end }}
{{- with .webConfig.secret }}
- name: sidewatch-web
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with (.token | default dict).secret }}
- name: sidewatch-token
  secret:
    secretName: {{ . | quote }}
    items: [{key: {{ $.token.key | quote }}, path: {{ $.token.key | quote }}}]
{{- end }}
{{- with .extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sidewatch.secretMounts" -}}
{{- range .secrets }}
- name: {{ include "sidewatch.secretVolume" .name }}
  mountPath: /etc/sidewatch/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- if .webConfig.secret }}
- name: sidewatch-web
  mountPath: /etc/sidewatch/web
  readOnly: true
{{- end }}
{{- if (.token | default dict).secret }}
- name: sidewatch-token
  mountPath: /etc/sidewatch/token
  readOnly: true
{{- end }}
{{- with .extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name and namespace of the pod, for the labels of alerts: the alerts of two sidecars must differ. */}}
{{- define "sidewatch.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Arguments of a container. Takes {root, role, injected}. */}}
{{- define "sidewatch.args" -}}
{{- $values := .root.Values -}}
{{- $relay := eq .role "relay" -}}
{{- $private := ternary $values.relay $values $relay -}}
- {{ ternary "relay" "run" $relay }}
{{- if eq .role "sidecar" }}
# A sidecar that ends keeps the model from starting, so it reports a mistake and goes on.
- --keep-running
{{- end }}
{{- if .injected }}
{{- /* The kubelet expands $(NAME), and takes $$ for $. */}}
- {{ include "sidewatch.config" . | replace "$" "$$" | printf "--config.text=%s" | toRawJson }}
{{- else }}
- --config.file=/etc/sidewatch/config/{{ .role }}.yaml
{{- end }}
{{- if include "sidewatch.waits" (get $values .role) }}
- --storage.wait
{{- end }}
- --web.listen-address=:{{ $values.ports.http }}
- --web.health-listen-address=:{{ $values.ports.health }}
- --log.level={{ $values.logLevel }}
- --log.format={{ $values.logFormat }}
{{- if and $private.webConfig.secret (not .injected) }}
- --web.config.file=/etc/sidewatch/web/{{ $private.webConfig.key }}
{{- end }}
{{- with $private.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Mounts of a container. Takes {root, role, injected}. */}}
{{- define "sidewatch.mounts" -}}
{{- $values := .root.Values -}}
{{- if .injected }}
# Sidewatch needs no API: this folder is empty, where the pod's token would be.
- name: sidewatch-no-token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
- name: sidewatch-state
  mountPath: /var/lib/sidewatch
{{- else }}
- name: sidewatch-config
  mountPath: /etc/sidewatch/config
  readOnly: true
{{- if or (ne .role "sidecar") $values.sidecar.stateVolume }}
- name: sidewatch-state
  mountPath: /var/lib/sidewatch
{{- end }}
{{- include "sidewatch.secretMounts" (ternary $values.relay $values (eq .role "relay")) }}
{{- end }}
{{- end -}}

{{/*
One container. Takes {root, role: sidecar, judge or relay, native, injected}; its configuration file is named after the role.
An injected one has its configuration as an argument, because a ConfigMap lives in one namespace.
*/}}
{{- define "sidewatch.spec" -}}
{{- $values := .root.Values -}}
{{- $own := get $values .role -}}
name: sidewatch
image: {{ include "sidewatch.image" .root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- if .native }}
restartPolicy: Always
{{- end }}
args:
  {{- include "sidewatch.args" . | nindent 2 }}
env:
  {{- include "sidewatch.env" (ternary $values.relay $values (eq .role "relay")) | nindent 2 }}
ports:
  - name: sidewatch
    containerPort: {{ $values.ports.http }}
    protocol: TCP
livenessProbe:
  httpGet:
    path: /-/healthy
    port: {{ $values.ports.health }}
  {{- with $values.livenessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $own.resources | default $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "sidewatch.mounts" . | trim | nindent 2 }}
{{- end -}}
