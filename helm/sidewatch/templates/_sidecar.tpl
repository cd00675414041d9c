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
    name: {{ include "sidewatch.configMapName" . }}
{{- if .Values.sidecar.stateVolume }}
- name: sidewatch-state
  emptyDir:
    sizeLimit: 256Mi
{{- end }}
{{- include "sidewatch.secretVolumes" .Values }}
{{- end -}}

{{/* Volumes that the user configures. Takes the values with secrets, webConfig, token and extraVolumes: the chart's or the relay's. */}}
{{- define "sidewatch.secretVolumes" -}}
{{- range .secrets }}
- name: sidewatch-secret-{{ .name }}
  secret:
    secretName: {{ .name }}
    optional: {{ .optional | default false }}
{{- end }}
{{- with .webConfig.secret }}
- name: sidewatch-web
  secret:
    secretName: {{ . }}
{{- end }}
{{- with (.token | default dict).secret }}
- name: sidewatch-token
  secret:
    secretName: {{ . }}
    items: [{key: {{ $.token.key }}, path: {{ $.token.key }}}]
{{- end }}
{{- with .extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sidewatch.secretMounts" -}}
{{- range .secrets }}
- name: sidewatch-secret-{{ .name }}
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

{{/* One container. Takes {root, role: sidecar, judge or relay, native}; its configuration file is named after the role. */}}
{{- define "sidewatch.spec" -}}
{{- $values := .root.Values -}}
{{- $relay := eq .role "relay" -}}
{{- $own := get $values .role -}}
{{- /* The relay shares no secrets with the judge and the sidecars. */}}
{{- $private := ternary $values.relay $values $relay -}}
name: sidewatch
image: {{ include "sidewatch.image" .root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- if .native }}
restartPolicy: Always
{{- end }}
args:
  - {{ ternary "relay" "run" $relay }}
  - --config.file=/etc/sidewatch/config/{{ .role }}.yaml
  {{- if include "sidewatch.waits" $own }}
  - --storage.wait
  {{- end }}
  - --web.listen-address=:{{ $values.ports.http }}
  - --web.health-listen-address=:{{ $values.ports.health }}
  - --log.level={{ $values.logLevel }}
  - --log.format={{ $values.logFormat }}
  {{- if $private.webConfig.secret }}
  - --web.config.file=/etc/sidewatch/web/{{ $private.webConfig.key }}
  {{- end }}
  {{- with $private.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "sidewatch.env" $private | nindent 2 }}
ports:
  - name: sidewatch
    containerPort: {{ $values.ports.http }}
    protocol: TCP
livenessProbe:
  httpGet:
    path: /-/healthy
    port: {{ $values.ports.health }}
  {{- toYaml $values.livenessProbe | nindent 2 }}
resources:
  {{- toYaml ($own.resources | default $values.resources) | nindent 2 }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
volumeMounts:
  - name: sidewatch-config
    mountPath: /etc/sidewatch/config
    readOnly: true
  {{- if or (ne .role "sidecar") $values.sidecar.stateVolume }}
  - name: sidewatch-state
    mountPath: /var/lib/sidewatch
  {{- end }}
  {{- with include "sidewatch.secretMounts" $private | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
