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

{{- define "phase.controllerName" -}}
{{ include "phase.fullname" . }}-controller
{{- end }}

{{- /* Not the DaemonSet's: neither its Service nor its NetworkPolicy may take these pods for its own. */ -}}
{{- define "phase.controllerSelector" -}}
app.kubernetes.io/name: {{ include "phase.name" . | trunc 52 | trimSuffix "-" }}-controller
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "phase.controllerLabels" -}}
{{ toYaml (merge (include "phase.controllerSelector" . | fromYaml) (include "phase.labels" . | fromYaml)) }}
{{- end }}

{{- /* The controller's rights, in the cluster or in one namespace. */ -}}
{{- define "phase.controllerRules" -}}
# What is to be done. patch: the finalizer that Phase's operator has left, and nothing else.
- {apiGroups: [secrets.phase.dev], resources: [phasesecrets], verbs: [list, watch, patch]}
# Classes with mirror, and those that annotated workloads mount.
- {apiGroups: [secrets-store.csi.x-k8s.io], resources: [secretproviderclasses], verbs: [get, list, watch]}
# How it went: status alone, never a resource's fields.
- {apiGroups: [secrets.phase.dev], resources: [phasesecrets/status], verbs: [patch]}
# get: the Secret with the token. list, watch: metadata of what it wrote, to repair it.
# create, patch: server-side apply. delete: onTypeChange: Recreate, and what a class does not name any more.
# Names cannot be listed, since they stand in the resources.
- {apiGroups: [""], resources: [secrets], verbs: [get, list, watch, create, patch, delete]}
# Restarts: which annotated workloads use a changed Secret or mount a changed class, and an annotation
# in their pod templates. Watched is their metadata alone.
- {apiGroups: [apps], resources: [deployments, statefulsets, daemonsets], verbs: [get, list, watch, patch]}
# What cannot be restarted, and is said. Watched is its metadata alone.
- {apiGroups: [batch], resources: [jobs, cronjobs], verbs: [list, watch]}
# Events on the resources; patch: the same event again counts.
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
{{- end }}

{{- /* Of (root, address): the flag of the port that Prometheus reaches. */ -}}
{{- define "phase.httpListen" -}}
{{- $http := (index . 0).Values.http -}}
{{ ternary (printf "--http-listen=%s:%d" (index . 1) (int64 $http.port)) "--http-listen=off" $http.enabled }}
{{- end }}

{{- /* Port and probes. Probes ask on a socket of the container's own: nobody else can reach it. */ -}}
{{- define "phase.health" -}}
{{- $values := .Values -}}
{{- if $values.http.enabled -}}
ports:
  - {name: http, containerPort: {{ $values.http.port }}}
{{- end }}
{{- range $probe, $question := dict "startupProbe" "--live" "livenessProbe" "--live" "readinessProbe" "--ready" }}
{{ $probe }}:
  exec: {command: [/phase-csi-provider, probe, {{ $question }}, {{ include "phase.healthSocket" $ | quote }}]}
  {{- toYaml (index $values $probe) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "phase.healthSocket" -}}
unix:///run/phase-csi-provider/health.sock
{{- end }}

{{- /* In: whoever may reach the port of health and metrics. */ -}}
{{- define "phase.ingress" -}}
ingress:
  - ports: [{port: {{ .Values.http.port }}, protocol: TCP}]
    {{- with .Values.networkPolicy.from }}
    from: {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}

{{- /* The controller has the pod's network, whatever the DaemonSet has: there Prometheus reaches no loopback. */ -}}
{{- define "phase.controllerAddress" -}}
{{ ternary "0.0.0.0" .Values.http.address (hasPrefix "127." .Values.http.address) }}
{{- end }}
