{{/* The pods of the judge and of the relay. Each takes {root, role: judge or relay}. */}}
{{- define "sidewatch.podTemplate" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $own := get $values .role -}}
{{- $private := eq .role "relay" | ternary $values.relay $values -}}
metadata:
  labels:
    {{- $labels := include "sidewatch.podLabels" $root | fromYaml }}
    {{- $labels = mergeOverwrite $labels $own.podLabels (include "sidewatch.roleLabels" . | fromYaml) }}
    {{- toYaml $labels | nindent 4 }}
  annotations:
    checksum/config: {{ include "sidewatch.configuration" . | sha256sum | quote }}
    {{- with mergeOverwrite (deepCopy $values.commonAnnotations) $own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with concat $values.imagePullSecrets $values.global.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "sidewatch.serviceAccountName" $root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int64 $own.terminationGracePeriodSeconds }}
  {{- with $values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $check := and $values.rules.check (eq .role "judge") }}
  {{- if or $check $own.extraInitContainers }}
  initContainers:
    {{- with $own.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- if $check }}
    - name: check
      image: {{ include "sidewatch.image" $root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [check, config, /etc/sidewatch/config/judge.yaml]
      env:
        {{- include "sidewatch.env" $values | nindent 8 }}
      {{- with $own.resources | default $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: sidewatch-config
          mountPath: /etc/sidewatch/config
          readOnly: true
        {{- with include "sidewatch.secretMounts" $values | trim }}
        {{- . | nindent 8 }}
        {{- end }}
  {{- end }}
  containers:
    - {{- include "sidewatch.spec" (dict "root" $root "role" .role "native" false) | nindent 6 }}
      # The pod serves no model, so its readiness cannot stop one. The Service selects the pod that has the store and has started.
      readinessProbe:
        httpGet:
          path: /-/ready
          port: {{ $values.ports.health }}
        periodSeconds: {{ include "sidewatch.waits" $own | empty | ternary 10 2 }}
        timeoutSeconds: 5
    {{- with $own.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: sidewatch-config
      configMap:
        name: {{ include "sidewatch.roleName" . | quote }}
    {{- with $own.persistence }}
    {{- if not .enabled }}
    - name: sidewatch-state
      emptyDir:
        sizeLimit: 256Mi
    {{- else if ne $own.availability "active" }}
    - name: sidewatch-state
      persistentVolumeClaim:
        claimName: {{ default (include "sidewatch.roleName" $) .existingClaim | quote }}
    {{- end }}
    {{- end }}
    {{- with include "sidewatch.secretVolumes" $private | trim }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "dnsPolicy" "dnsConfig" "hostAliases" "runtimeClassName" "schedulerName" }}
  {{- with get $own $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $own.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  {{- if has $own.availability (list "standby" "active") }}
  # If both pods ran on one node, its failure would end both.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "sidewatch.roleLabels" $ | nindent 10 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* Spec of a PersistentVolumeClaim. Takes the values of persistence. */}}
{{- define "sidewatch.claim" -}}
accessModes:
  {{- toYaml .accessModes | nindent 2 }}
{{- with .storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size | quote }}
{{- end -}}
