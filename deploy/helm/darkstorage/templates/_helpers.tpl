{{- define "darkstorage.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name | trunc 30 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 30 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "darkstorage.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "darkstorage.labels" -}}
{{ include "darkstorage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* What can't be written in the schema: numbers against each other. */}}
{{- define "darkstorage.check" -}}
{{- $zones := len .Values.storage.zones -}}
{{- if and $zones (lt $zones (int .Values.cluster.copies)) -}}
{{- fail (printf "storage.zones has %d zones: copies are in different ones, and cluster.copies is %d" $zones (int .Values.cluster.copies)) -}}
{{- end -}}
{{- if ne $zones (len (uniq .Values.storage.zones)) -}}{{- fail "storage.zones names a zone twice" -}}{{- end -}}
{{- if and (not $zones) (lt (int .Values.storage.replicas) (int .Values.cluster.copies)) -}}
{{- fail (printf "storage.replicas is %d: each copy is on a node of its own, and cluster.copies is %d" (int .Values.storage.replicas) (int .Values.cluster.copies)) -}}
{{- end -}}
{{- if and $zones .Values.storage.zoneFromLabel -}}{{- fail "storage.zones and storage.zoneFromLabel are one or the other" -}}{{- end -}}
{{- end -}}

{{/* The environment that nodes and gateways share. */}}
{{- define "darkstorage.environment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: DARKSTORAGE_NODE
  value: $(POD_NAME)
- name: DARKSTORAGE_DATA
  value: /data
- name: DARKSTORAGE_S3_URL
  value: http://0.0.0.0:9000
- name: DARKSTORAGE_MANAGEMENT_URL
  value: http://0.0.0.0:9001
- name: DARKSTORAGE_INDEX
  value: {{ required "index.url: where the database is, as postgres://USER@HOST/DATABASE" .Values.index.url | quote }}
- name: PGPASSFILE
  value: /run/secrets/darkstorage/pgpass
- name: DARKSTORAGE_CLUSTER_SECRET_FILE
  value: /run/secrets/darkstorage/cluster-secret
- name: DARKSTORAGE_ROOT_ACCESS_KEY_FILE
  value: /run/secrets/darkstorage/root-access-key
- name: DARKSTORAGE_ROOT_SECRET_KEY_FILE
  value: /run/secrets/darkstorage/root-secret-key
- name: DARKSTORAGE_REGION
  value: {{ .Values.s3.region | quote }}
{{- with .Values.s3.domain }}
- name: DARKSTORAGE_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.s3.websiteDomains }}
- name: DARKSTORAGE_WEBSITE_DOMAIN
  value: {{ join "," . | quote }}
{{- end }}
- name: DARKSTORAGE_LOG_FORMAT
  value: json
- name: DARKSTORAGE_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: DARKSTORAGE_Cluster__Copies
  value: {{ .Values.cluster.copies | quote }}
- name: DARKSTORAGE_Cluster__GracePeriod
  value: {{ .Values.cluster.gracePeriod | quote }}
{{- range $name, $value := .Values.settings }}
- name: DARKSTORAGE_{{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* All of a container but its environment and name. */}}
{{- define "darkstorage.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  - {name: s3, containerPort: 9000}
  - {name: management, containerPort: 9001}
  - {name: peers, containerPort: 9002}
  - {name: silo, containerPort: 9003}
# A start reads the list of what is on the drive, and waits for the rest of a lease after a crash.
startupProbe:
  httpGet: {path: /health/live, port: management}
  periodSeconds: 2
  failureThreshold: 300
# Says that the program answers, whatever the database does: a restart would not bring that back.
livenessProbe:
  httpGet: {path: /health/live, port: management}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /health/ready, port: management}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    # Until those who send requests have heard that it goes.
    exec: {command: [sleep, "5"]}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  - {name: secrets, mountPath: /run/secrets/darkstorage, readOnly: true}
  {{- if .Values.index.caSecret }}
  - {name: database-ca, mountPath: /run/secrets/database-ca, readOnly: true}
  {{- end }}
{{- end -}}

{{/* All of a pod but its containers, where it may run, and its data. */}}
{{- define "darkstorage.pod" -}}
serviceAccountName: {{ include "darkstorage.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
# 5 s before the end begins, 8 s for requests under way, and what is left.
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "darkstorage.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .Values.secrets.cluster.name }}
          items: [{key: {{ .Values.secrets.cluster.key }}, path: cluster-secret}]
      - secret:
          name: {{ .Values.secrets.root.name }}
          items: [{key: {{ .Values.secrets.root.accessKey }}, path: root-access-key}, {key: {{ .Values.secrets.root.secretKey }}, path: root-secret-key}]
      - secret:
          name: {{ .Values.secrets.database.name }}
          items: [{key: {{ .Values.secrets.database.key }}, path: pgpass}]
{{- with .Values.index.caSecret }}
- name: database-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}
