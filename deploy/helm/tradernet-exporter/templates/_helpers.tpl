{{- define "tradernet-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters: a StatefulSet's pods add the hash of a revision to it. */}}
{{- define "tradernet-exporter.fullname" -}}
{{- $name := include "tradernet-exporter.name" . }}
{{- $full := .Values.fullnameOverride }}
{{- if not $full }}
{{- $full = contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- end }}
{{- $full = $full | trunc 52 | trimAll "-" }}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $full) }}
{{- fail (printf "a Service cannot be named %s: set fullnameOverride" $full) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "tradernet-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tradernet-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "tradernet-exporter.labels" -}}
{{ include "tradernet-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tradernet-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tradernet-exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tradernet-exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "tradernet-exporter.pod" -}}
metadata:
  labels:
    {{- include "tradernet-exporter.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # The accounts file is read at the start.
    checksum/config: {{ .Values.config | toJson | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "tradernet-exporter.serviceAccountName" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int64 .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    # The group that may read the Secrets.
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "tradernet-exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- if .Values.demo }}
      args: [demo]
      {{- else }}
      args:
        - --config.file=/config/accounts.yml
        {{- if gt (int .Values.replicas) 1 }}
        - --shard=auto/{{ .Values.replicas }}
        {{- end }}
      {{- end }}
      env:
        - name: WEB_LISTEN_ADDRESS
          value: "[::]:10460"
        # Needs no TLS and no password, whatever WEB_CONFIG_FILE requires of the pages.
        - name: WEB_PROBE_LISTEN_ADDRESS
          value: "[::]:10461"
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- if .Values.ca.configMap }}
        - name: SSL_CERT_FILE
          value: /ca/{{ .Values.ca.key }}
        {{- end }}
        {{- range $name, $value := .Values.env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      ports:
        - name: http
          containerPort: 10460
        - name: probes
          containerPort: 10461
      livenessProbe:
        httpGet:
          path: /-/healthy
          port: probes
        periodSeconds: 30
        timeoutSeconds: 5
      readinessProbe:
        httpGet:
          path: /-/ready
          port: probes
        periodSeconds: 5
        timeoutSeconds: 5
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- if or (not .Values.demo) .Values.secrets .Values.ca.configMap }}
      volumeMounts:
        {{- if not .Values.demo }}
        - name: config
          mountPath: /config
          readOnly: true
        {{- end }}
        {{- range $index, $name := .Values.secrets }}
        - name: secret-{{ $index }}
          mountPath: /secrets/{{ $name }}
          readOnly: true
        {{- end }}
        {{- if .Values.ca.configMap }}
        - name: ca
          mountPath: /ca
          readOnly: true
        {{- end }}
      {{- end }}
  {{- if or (not .Values.demo) .Values.secrets .Values.ca.configMap }}
  volumes:
    {{- if not .Values.demo }}
    - name: config
      configMap:
        name: {{ include "tradernet-exporter.fullname" . }}
    {{- end }}
    {{- range $index, $name := .Values.secrets }}
    - name: secret-{{ $index }}
      secret:
        secretName: {{ $name | quote }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.ca.configMap }}
    - name: ca
      configMap:
        name: {{ .Values.ca.configMap | quote }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
{{- end }}
