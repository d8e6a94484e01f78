{{- define "nodeguard.name" -}}
{{- if contains "nodeguard" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-nodeguard" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "nodeguard.labels" -}}
app.kubernetes.io/name: nodeguard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nodeguard.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}
