{{/* What the schema of the values cannot say in words. It stops the installation with a message that says what to set. */}}
{{- define "event-aggregator.checks" -}}
{{- $values := .Values -}}
{{- range $program := list "publisher" "aggregator" -}}
{{- if not (include "event-aggregator.secret" (dict "root" $ "program" $program)) -}}
{{- fail "existingSecret is not set: make a Secret with the keys REDIS_URL and DATABASE_URL, and set existingSecret to its name" -}}
{{- end -}}
{{- end -}}

{{- if and $values.auth.existingSecret $values.auth.disabled -}}
{{- fail "auth.existingSecret and auth.disabled contradict each other: unset one of them" -}}
{{- end -}}
{{- if not (or $values.auth.existingSecret $values.auth.disabled) -}}
{{- fail "nothing says who may call: set auth.existingSecret to the name of a Secret with a file of API keys, or set auth.disabled to true if something else keeps strangers out" -}}
{{- end -}}

{{- if and $values.migration.enabled (not $values.migration.existingSecret) -}}
{{- fail "migration.existingSecret is not set: set it to the name of a Secret whose DATABASE_URL is that of the owner of the tables, or set migration.enabled to false" -}}
{{- end -}}

{{- if and $values.aggregator.keda.enabled $values.auth.existingSecret (not $values.aggregator.keda.apiKeySecret.name) -}}
{{- fail "aggregator.keda.apiKeySecret.name is not set: KEDA needs an API key of the scope read to ask for /stats" -}}
{{- end -}}
{{- $monitor := $values.metrics.serviceMonitor -}}
{{- if and $monitor.enabled $values.auth.existingSecret (not $values.metrics.public) (not $monitor.apiKeySecret.name) -}}
{{- fail "metrics.serviceMonitor.apiKeySecret.name is not set: Prometheus needs an API key of the scope read to ask for /metrics; or set metrics.public to true" -}}
{{- end -}}

{{- range $name, $scaling := dict "publisher.autoscaling" $values.publisher.autoscaling "aggregator.keda" $values.aggregator.keda -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "%s.minReplicas is more than %s.maxReplicas" $name $name) -}}
{{- end -}}
{{- end -}}

{{- $elsewhere := dict
  "REDIS_URL" "it belongs into the Secret of existingSecret"
  "DATABASE_URL" "it belongs into the Secret of existingSecret"
  "READ_DATABASE_URL" "it belongs into the Secret of existingSecret"
  "API_KEYS_FILE" "set auth.existingSecret and auth.key"
  "AUTH_DISABLED" "set auth.disabled"
  "BIND_ADDR" "the images set it"
  "METRICS_PUBLIC" "set metrics.public"
  "QUEUE_NAME" "set queue.name"
  "QUEUE_SHARDS" "set queue.shards"
  "REDIS_CA_CERT" "set authorities.existingConfigMap"
  "REDIS_WAIT_REPLICAS" "set redis.waitReplicas"
  "SHUTDOWN_GRACE_SECONDS" "set shutdown.graceSeconds"
  "TLS_CERT" "the chart mounts no certificates for the programs"
  "TLS_KEY" "the chart mounts no certificates for the programs"
  "TLS_CLIENT_CA" "the chart mounts no certificates for the programs"
-}}
{{- range $where, $settings := dict "settings" $values.settings "publisher.settings" $values.publisher.settings "aggregator.settings" $values.aggregator.settings -}}
{{- range $name, $_ := $settings -}}
{{- with get $elsewhere $name -}}
{{- fail (printf "%s must not have %s: %s" $where $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
