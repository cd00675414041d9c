{{/*
The sidecar for people who own the pod. In a chart that depends on this one (as "sidewatch"), the context is
the subchart's, .Subcharts.sidewatch.

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
{{- include "sidewatch.secretVolumes" . }}
{{- end -}}

{{- define "sidewatch.secretVolumes" -}}
{{- range .Values.secrets }}
- name: sidewatch-secret-{{ .name }}
  secret:
    secretName: {{ .name }}
    optional: {{ .optional | default false }}
{{- end }}
{{- with .Values.webConfig.secret }}
- name: sidewatch-web
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sidewatch.secretMounts" -}}
{{- range .Values.secrets }}
- name: sidewatch-secret-{{ .name }}
  mountPath: /etc/sidewatch/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- if .Values.webConfig.secret }}
- name: sidewatch-web
  mountPath: /etc/sidewatch/web
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whose pod it is, for the labels of alerts: two sidecars' alerts must never be equal. */}}
{{- define "sidewatch.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One container. Takes {root, role: sidecar or judge, native}; the role is the name of its configuration file. */}}
{{- define "sidewatch.spec" -}}
{{- $values := .root.Values -}}
name: sidewatch
image: {{ include "sidewatch.image" .root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- if .native }}
restartPolicy: Always
{{- end }}
args:
  - run
  - --config.file=/etc/sidewatch/config/{{ .role }}.yaml
  - --web.listen-address=:{{ $values.ports.http }}
  - --web.health-listen-address=:{{ $values.ports.health }}
  - --log.level={{ $values.logLevel }}
  - --log.format={{ $values.logFormat }}
  {{- if $values.webConfig.secret }}
  - --web.config.file=/etc/sidewatch/web/{{ $values.webConfig.key }}
  {{- end }}
  {{- with $values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "sidewatch.env" .root | nindent 2 }}
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
  {{- toYaml $values.resources | nindent 2 }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
volumeMounts:
  - name: sidewatch-config
    mountPath: /etc/sidewatch/config
    readOnly: true
  {{- if or (eq .role "judge") $values.sidecar.stateVolume }}
  - name: sidewatch-state
    mountPath: /var/lib/sidewatch
  {{- end }}
  {{- with include "sidewatch.secretMounts" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
