{{/* Name of every object: the release's, which says what it is when it has the chart's name in it. */}}
{{- define "tidemark.name" -}}
{{- if contains "tidemark" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tidemark" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.selectorLabels" -}}
app.kubernetes.io/name: tidemark
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "tidemark.labels" -}}
{{ include "tidemark.selectorLabels" . }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidemark.pageSelectorLabels" -}}
app.kubernetes.io/name: tidemark
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: page
{{- end -}}

{{- define "tidemark.pageLabels" -}}
{{ include "tidemark.pageSelectorLabels" . }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidemark.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "tidemark.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "tidemark.name" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* What the restricted pod security standard asks of a container. */}}
{{- define "tidemark.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "tidemark.podSecurity" -}}
runAsNonRoot: true
{{- if eq (include "tidemark.podUser" .) "image" }}
runAsUser: 1000
runAsGroup: 1000
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* As whom pods run: `image` or `platform`. */}}
{{- define "tidemark.podUser" -}}
{{- if ne .Values.podUser "auto" -}}
{{- .Values.podUser -}}
{{- else if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
platform
{{- else -}}
image
{{- end -}}
{{- end -}}

{{/* Namespaces that are watched, as JSON; none: all. */}}
{{- define "tidemark.namespaces" -}}
{{- if and .Values.clusterWide .Values.watchNamespaces -}}
{{- fail "watchNamespaces must be empty where clusterWide is true: it watches all" -}}
{{- end -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* Namespace of the LogCluster that notes and `helm test` speak of: the release's, or the first one that is watched. */}}
{{- define "tidemark.testNamespace" -}}
{{- $namespaces := include "tidemark.namespaces" . | fromJsonArray -}}
{{- if or (not $namespaces) (has .Release.Namespace $namespaces) -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- first $namespaces -}}
{{- end -}}
{{- end -}}
