{{/* The beginning of every name: the release and the chart, or only the release if it has the name of the chart in it. */}}
{{- define "event-aggregator.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods of one component: a dict of root and component. */}}
{{- define "event-aggregator.selector" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object: a dict of root and component. */}}
{{- define "event-aggregator.labels" -}}
{{ include "event-aggregator.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: event-aggregator
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "event-aggregator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "event-aggregator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The image of a program: a dict of root and program. */}}
{{- define "event-aggregator.image" -}}
{{- $image := (index .root.Values .program).image -}}
{{- $tag := $image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}:{{ $tag }}
{{- end -}}

{{/* The name of the Secret with the addresses of a program: a dict of root and program. */}}
{{- define "event-aggregator.secret" -}}
{{- (index .root.Values .program).existingSecret | default .root.Values.existingSecret -}}
{{- end -}}

{{/* A value as text. Helm reads numbers as floating point, which would print a million as 1e+06. */}}
{{- define "event-aggregator.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* The settings of a program, without those that come from Secrets, as a map of texts: a dict of root and program. */}}
{{- define "event-aggregator.settings" -}}
{{- $values := .root.Values -}}
{{- $own := (index $values .program).settings -}}
{{- $settings := dict -}}
{{- range $name, $value := merge dict $own $values.settings -}}
{{- $_ := set $settings $name (include "event-aggregator.text" $value) -}}
{{- end -}}
{{- $_ := set $settings "QUEUE_NAME" $values.queue.name -}}
{{- $_ := set $settings "QUEUE_SHARDS" (include "event-aggregator.text" $values.queue.shards) -}}
{{- $_ := set $settings "REDIS_WAIT_REPLICAS" (include "event-aggregator.text" $values.redis.waitReplicas) -}}
{{- $_ := set $settings "SHUTDOWN_GRACE_SECONDS" (include "event-aggregator.text" $values.shutdown.graceSeconds) -}}
{{- if $values.auth.disabled -}}
{{- $_ := set $settings "AUTH_DISABLED" "true" -}}
{{- else -}}
{{- $_ := set $settings "API_KEYS_FILE" (printf "/etc/event-aggregator/keys/%s" $values.auth.key) -}}
{{- end -}}
{{- if $values.metrics.public -}}
{{- $_ := set $settings "METRICS_PUBLIC" "true" -}}
{{- end -}}
{{- if and $values.authorities.existingConfigMap $values.authorities.forRedis -}}
{{- $_ := set $settings "REDIS_CA_CERT" (printf "/etc/event-aggregator/ca/%s" $values.authorities.key) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* What every pod of the chart may do. */}}
{{- define "event-aggregator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# Mounted Secrets belong to this group, so that the programs can read them and others cannot.
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "event-aggregator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* The rule that lets pods ask name servers. */}}
{{- define "event-aggregator.nameServers" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end -}}
