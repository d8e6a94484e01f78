// Label lists and texts that rules and dashboards share.
function(c) {
  local join(labels) = std.join(', ', labels),
  // A node, with where it belongs.
  node: join([c.clusterLabel, c.poolLabel] + c.nodeLabels),
  // A node in its cluster: what alerts of one node have in common.
  nodeList: [c.clusterLabel] + c.nodeLabels,
  cluster: c.clusterLabel,
  pool: join([c.clusterLabel, c.poolLabel]),
  // The first of the node's labels that is there, in an annotation.
  name: '{{ or %s }}' % std.join(' ', ['$labels.' + l for l in c.nodeLabels]),
  // The cluster in front of a name, where there are several.
  inCluster: '{{ with $labels.%s }} in cluster {{ . }}{{ end }}' % c.clusterLabel,
}
