{{- define "phase.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* One name where the release is called like the chart. At most 52 characters: the tests' pods add to it. */ -}}
{{- define "phase.fullname" -}}
{{- $name := include "phase.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "phase.selector" -}}
app.kubernetes.io/name: {{ include "phase.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The selector's labels come last: commonLabels cannot change them. */ -}}
{{- define "phase.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $selector := include "phase.selector" . | fromYaml -}}
{{ toYaml (merge (dict) $selector $own .Values.commonLabels) }}
{{- end }}

{{- define "phase.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (ternary (include "phase.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "phase.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The container's security context: the values', with the SELinux type that another value asks for. */ -}}
{{- define "phase.securityContext" -}}
{{- $type := .Values.selinux.type | default (ternary "spc_t" "" .Values.openshift.enabled) -}}
{{- $selinux := ternary (dict "seLinuxOptions" (dict "type" $type)) (dict) (ne $type "") -}}
{{ toYaml (mergeOverwrite (dict) (deepCopy .Values.securityContext) $selinux) }}
{{- end }}
