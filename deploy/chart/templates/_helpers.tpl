{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "k8slb.labels" -}}
app.kubernetes.io/name: k8slb
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "k8slb.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* CEL: whether the Namespace of the request is one that is never injected. */}}
{{- define "k8slb.cel.excluded" -}}
request.namespace.startsWith("kube-") || request.namespace in {{ concat .Values.inject.excludedNamespaces (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{/* CEL: whether this Pod is for Windows, by any of the ways to say so. */}}
{{- define "k8slb.cel.windows" -}}
{{ . }}.spec.?os.name.orValue("") == "windows"
|| {{ . }}.spec.?nodeSelector[?"kubernetes.io/os"].orValue("linux") != "linux"
|| {{ . }}.spec.?securityContext.windowsOptions.hasValue()
|| {{ . }}.spec.?affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.orValue([]).exists(t,
  t.?matchExpressions.orValue([]).exists(e, e.key == "kubernetes.io/os" && e.operator == "In" && !("linux" in e.?values.orValue([]))))
{{- end }}

{{/* CEL: whether the image is made for the machine that this Pod wants; its pull would fail otherwise. */}}
{{- define "k8slb.cel.machine" -}}
{{ . }}.spec.?nodeSelector[?"kubernetes.io/arch"].orValue("amd64") in ["amd64", "arm64"]
{{- end }}

{{/* CEL: a regular expression of images that have these names, whatever registry, tag or digest. */}}
{{- define "k8slb.cel.images" -}}
"(^|/)({{ join "|" . }})([:@].*)?$"
{{- end }}

{{/* CEL: names of a comma separated annotation of this Pod. */}}
{{- define "k8slb.cel.skipped" -}}
{{ . }}.?metadata.?annotations[?"k8slb.io/skip-containers"].orValue("").split(",").map(name, name.trim())
{{- end }}

{{/* CEL literals of settings that a container gets when it has none: NAME: VALUE. */}}
{{- define "k8slb.settings" -}}
{{- $programs := list }}
{{- range .Files.Get "files/programs.yaml" | fromYamlArray }}
{{- $programs = concat $programs .programs }}
{{- end }}
{{- merge (dict) .Values.inject.settings (dict "K8SLB_SKIP" (join " " $programs)) | toYaml }}
{{- end }}
