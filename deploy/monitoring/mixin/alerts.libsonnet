// Alerts: one for each condition, and those about nodeguard itself.
local catalogue = import 'catalogue.json';

{
  prometheusAlerts+:: {
    local c = $._config,
    local l = (import 'labels.libsonnet')(c),
    local alone = if c.selector == '' then '' else '{%s}' % c.selector,
    local with = if c.selector == '' then '' else ', ' + c.selector,

    // What the catalogue says of the alert's operation; one of a configuration's own is not in it.
    local said(label, otherwise) =
      '{{ with query (printf "nodeguard:operation:info{operation=%%q}" $labels.operation) }}{{ . | first | label "%s" }}{{ else }}%s{{ end }}' % [label, otherwise],
    local ownOperation = 'This operation is not in the catalogue; nodeguard check on the node prints what its configuration says.',
    local title = said('title', 'an operation of the configuration'),
    local impact = said('impact', ownOperation),
    local recovery = said('recovery', ownOperation),

    local alert(name, rule) = rule {
      alert: name,
      annotations+: { runbook_url: '%s/%s.md' % [c.runbookURL, name] },
    },

    local family(condition, severity) = alert('NodeGuard' + condition, {
      expr: 'nodeguard:finding:active{condition="%s", severity="%s"}' % [condition, severity],
      'for': c.findingFor[severity],
      keep_firing_for: c.keepFiringFor,
      labels: { severity: severity },
      annotations: {
        summary: '{{ $labels.subject }} of node %s is out of support: %s' % [l.name, title],
        description: |||
          Operation {{ $labels.operation }} on {{ $labels.subject }} of node %s%s: %s.
          Impact: %s
          Recovery: %s
          The observed and the supported value are in condition {{ $labels.condition }} of the Node and in the agent's report.
        ||| % [l.name, l.inCluster, title, impact, recovery],
        impact: impact,
        recovery: recovery,
      },
    }),

    local families = [
      family(condition, severity)
      for condition in catalogue.conditions
      for severity in ['critical', 'warning']
    ],

    local pending = alert('NodeGuardDriftPending', {
      expr: 'max by (%s, operation, subject, condition) (nodeguard_finding_info{state="pending", waived="false", severity=~"critical|warning"%s})' % [l.node, with],
      'for': c.pendingFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: '{{ $labels.subject }} of node %s will be out of support: %s' % [l.name, title],
        description: |||
          Operation {{ $labels.operation }} on {{ $labels.subject }} of node %s%s takes effect at the next boot or restart: %s.
          Impact, then: %s
          Recovery: %s
        ||| % [l.name, l.inCluster, title, impact, recovery],
        impact: impact,
        recovery: recovery,
      },
    }),

    local rebuild = alert('NodeGuardRebuildAdvised', {
      expr: 'max by (%s) (nodeguard_condition{condition="NodeRebuildAdvised", status="True"%s}) == 1' % [l.node, with],
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'critical' },
      annotations: {
        summary: 'Node %s should be replaced' % l.name,
        description: |||
          Node %s%s has had a critical finding for ten minutes whose documented recovery is another node.
          Condition NodeRebuildAdvised of the Node names it.
        ||| % [l.name, l.inCluster],
        impact: 'What runs on the node is at risk, and putting a setting back does not help.',
        recovery: 'Cordon and drain the node, and have its pool replace it; node repairers that act on NodeRebuildAdvised do that by themselves.',
      },
    }),

    local mass = alert('NodeGuardMassDrift', {
      expr: 'nodeguard:operation_nodes:count >= %d' % c.massDriftNodes,
      'for': c.massDriftFor,
      keep_firing_for: c.massDriftKeepFiringFor,
      annotations: {
        summary: '{{ $labels.operation }} on {{ $value }} nodes at once: a rollout, not a node',
        description: |||
          Operation {{ $labels.operation }} is active on {{ $value }} nodes%(inCluster)s: %(title)s.
          {{ with printf "count(nodeguard:finding:active{operation=%%q, severity=%%q, %(cluster)s=%%q} unless on (%(node)s, operation) nodeguard:finding:active offset %(window)s)" $labels.operation $labels.severity $labels.%(cluster)s | query }}{{ . | first | value }} of these findings are younger than %(window)s.{{ else }}None of these findings is younger than %(window)s.{{ end }}
          Impact: %(impact)s
          Recovery: %(recovery)s
          Something changes nodes: stop it first. The nodes' own alerts of this operation are not sent meanwhile.
        ||| % { inCluster: l.inCluster, title: title, impact: impact, recovery: recovery, cluster: c.clusterLabel, node: std.join(', ', l.nodeList), window: c.massDriftWindow },
        impact: impact,
        recovery: 'Stop what changes the nodes, then on each: ' + recovery,
      },
    }),

    local blind = alert('NodeGuardBlind', {
      expr: 'max by (%s, condition) (nodeguard_condition{condition!="NodeOutOfSupport", status="Unknown"%s}) == 1' % [l.node, with],
      'for': c.blindFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: '{{ $labels.condition }} of node %s cannot be told' % l.name,
        description: |||
          nodeguard on node %s%s cannot look at something that {{ $labels.condition }} is about; what it can look at is in support.
          The condition's message and "unknown" in the agent's report say what and why.
        ||| % [l.name, l.inCluster],
        impact: 'Drift of this kind would not be noticed.',
        recovery: 'Remove the reason that the condition names, a missing capability or a file that cannot be read for example; nothing has to be restarted.',
      },
    }),

    local source = alert('NodeGuardSourceLost', {
      expr: |||
        max by (%(node)s, source) (nodeguard_source_info{mode="off", source!~"%(fallbacks)s"%(with)s})
          and on (%(node)s, source)
        max by (%(node)s, source) (count_over_time(nodeguard_source_info{mode="event"%(with)s}[%(window)s])) > %(samples)d
      ||| % { node: l.node, with: with, fallbacks: std.join('|', c.sourceFallbacks), window: c.sourceWindow, samples: c.sourceSamples },
      'for': c.sourceFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'info' },
      annotations: {
        summary: 'Source {{ $labels.source }} of node %s is off' % l.name,
        description: |||
          Source {{ $labels.source }} of nodeguard on node %s%s noticed changes at once and does so no more.
          What it noticed is found at the next look. The agent's log has the reason.
        ||| % [l.name, l.inCluster],
        impact: 'Drift is found later, and without the name of the process.',
        recovery: "See the reason in the agent's log and remove it; the agent takes the source up again by itself.",
      },
    }),

    local down = alert('NodeGuardDown', {
      expr: 'max by (%s) (up%s) == 0' % [l.node, alone],
      'for': c.downFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: 'nodeguard on node %s does not answer' % l.name,
        description: 'Prometheus cannot scrape the agent on node %s%s. The conditions of the Node are as it left them.\n' % [l.name, l.inCluster],
        impact: 'Drift of the node is not noticed; its conditions grow old.',
        recovery: "See whether the node is up, then the agent's pod and its log.",
      },
    }),

    local absent = alert('NodeGuardDown', {
      expr: 'absent(up%s)' % alone,
      'for': c.absentFor,
      labels: { severity: 'critical' },
      annotations: {
        summary: 'There is no nodeguard at all',
        description: 'Prometheus has no target of nodeguard: it is not installed, or not discovered.\n',
        impact: 'No drift on any node is noticed here.',
        recovery: 'See whether the DaemonSet is there, then the PodMonitor or the scrape configuration.',
      },
    }),

    local stale = alert('NodeGuardStale', {
      expr: 'time() - min by (%s, check) (nodeguard_check_last_success_timestamp_seconds%s) > %d' % [l.node, alone, c.staleSeconds],
      'for': c.staleFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Check {{ $labels.check }} of node %s does not come to an end' % l.name,
        description: |||
          The last look of check {{ $labels.check }} on node %s%s that came to its end was {{ if gt $value 1e9 }}never{{ else }}{{ $value | humanizeDuration }} ago{{ end }}.
        ||| % [l.name, l.inCluster],
        impact: 'What the check looks at is told as it was then.',
        recovery: "See the agent's log for the deadline that is missed; a hung mount or an exhausted node is the usual reason.",
      },
    }),

    local report = alert('NodeGuardReportFailing', {
      expr: |||
        sum by (%(node)s, reporter) (increase(nodeguard_report_failures_total%(alone)s[%(window)s])) > 0
          and
        sum by (%(node)s, reporter) (increase(nodeguard_report_failures_total%(alone)s[%(window)s]))
          >= sum by (%(node)s, reporter) (increase(nodeguard_report_attempts_total%(alone)s[%(window)s]))
      ||| % { node: l.node, alone: alone, window: c.reportWindow },
      'for': c.reportFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: 'Reports of node %s do not reach {{ $labels.reporter }}' % l.name,
        description: 'Every attempt of nodeguard on node %s%s to write to {{ $labels.reporter }} has failed for %s.\n' % [l.name, l.inCluster, c.reportWindow],
        impact: 'The conditions of the Node are old, and repairers and people who read them are misled.',
        recovery: "See the agent's log: rights that are missing, an admission policy or an API server that cannot be reached.",
      },
    }),

    local outlier = alert('NodeGuardBaselineOutlier', {
      expr: |||
        max by (%(node)s, scope, digest) (nodeguard_baseline_info%(alone)s)
          unless on (%(pool)s, scope, digest)
            (nodeguard:baseline_digest_nodes:count > on (%(pool)s, scope) group_left () sum by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) / 2)
          and on (%(pool)s, scope)
            (max by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) > sum by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) / 2)
          and on (%(pool)s, scope)
            (sum by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) >= %(nodes)d)
      ||| % { node: l.node, pool: l.pool, alone: alone, nodes: c.outlierNodes },
      'for': c.outlierFor,
      keep_firing_for: c.keepFiringFor,
      labels: { severity: 'warning' },
      annotations: {
        summary: '{{ $labels.scope }} of node %s is not that of its pool' % l.name,
        description: |||
          What check {{ $labels.scope }} sees on node %(name)s%(inCluster)s differs from what most of {{ with $labels.%(pool)s }}pool {{ . }}{{ else }}the nodes{{ end }} shows: {{ $labels.digest }}.
          The digest has nothing in it that differs between equal nodes.
        ||| % { name: l.name, inCluster: l.inCluster, pool: c.poolLabel },
        impact: 'The node was different before nodeguard recorded it, or was changed and accepted; it behaves unlike the others.',
        recovery: 'Compare the node with another one of its pool, and put it back or replace it.',
      },
    }),

    local waiver = alert('NodeGuardWaiverExpiring', {
      expr: 'min by (%s, operation, subject, owner) (nodeguard_waiver_expiry_timestamp_seconds%s) - time() < %d * 86400 > 0' % [l.cluster, alone, c.waiverDays],
      labels: { severity: 'warning' },
      annotations: {
        summary: 'The waiver of {{ $labels.operation }} on {{ $labels.subject }} ends in {{ $value | humanizeDuration }}',
        description: |||
          The waiver of operation {{ $labels.operation }} on {{ $labels.subject }}{{ with $labels.owner }} of {{ . }}{{ end }}%s ends in {{ $value | humanizeDuration }}; what it holds back counts again from then on.
        ||| % l.inCluster,
        impact: 'Nodes that it holds for turn out of support, and their alerts fire.',
        recovery: 'Undo what is waived, or agree on a longer time and set expires in the configuration.',
      },
    }),

    groups+: [
      { name: 'nodeguard.findings', rules: families + [pending, rebuild, mass] },
      { name: 'nodeguard.agents', rules: [down, absent, stale, blind, source, report] },
      { name: 'nodeguard.fleet', rules: [outlier, waiver] },
    ],
  },
}
