// One node: its findings, their timeline, the sources that notice them, and what looking costs.
local p = import 'panels.libsonnet';

function(c) (
  local name = c.nodeLabels[0];
  local at = '%s=~"$cluster", %s=~"$node"' % [c.clusterLabel, name];
  local here = if c.selector == '' then at else c.selector + ', ' + at;
  local f = { at: at, here: here };
  local status(condition) = 'max(nodeguard_condition{condition="%s", status="True", %s}) + 2 * max(nodeguard_condition{condition="%s", status="Unknown", %s})' % [condition, here, condition, here];
  local found = 'max by (operation, subject, condition, severity, state, waived) (nodeguard_finding_info{%s})' % here;
  local quantile(q) = 'histogram_quantile(%s, sum by (le) (rate(nodeguard_detection_latency_seconds_bucket{%s}[$__rate_interval])))' % [q, here];

  p.dashboard(
    'nodeguard-node',
    'nodeguard / Node',
    'One node: what is out of support and what to do, when it was, how it is noticed and what that costs.',
    c.dashboardTags,
    c.dashboardRefresh,
    [
      p.variable('cluster', 'Cluster', 'label_values(nodeguard_build_info{%s}, %s)' % [c.selector, c.clusterLabel]),
      p.variable('node', 'Node', 'label_values(nodeguard_build_info{%s}, %s)' % [std.join(', ', [s for s in [c.selector, '%s=~"$cluster"' % c.clusterLabel] if s != '']), name], multi=false),
    ],
    [
      p.row('Now', [
        p.stat('Support', 'Condition NodeOutOfSupport.', [p.now(status('NodeOutOfSupport'))], mappings=p.answers),
        p.stat('Rebuild advised', 'Condition NodeRebuildAdvised.', [p.now('max(nodeguard_condition{condition="NodeRebuildAdvised", status="True", %(here)s})' % f)], mappings=p.yesNo),
        p.stat('Findings', 'Open findings that are not waived, in force and pending.', [
          p.now('sum(nodeguard_findings{severity="critical", %(here)s})' % f, 'critical'),
          p.now('sum(nodeguard_findings{severity="warning", %(here)s})' % f, 'warning'),
          p.now('sum(nodeguard_findings{severity="info", %(here)s})' % f, 'info'),
        ], width=6),
        p.stat('Waived', 'Findings that a waiver holds back.', [p.now('count(nodeguard_finding_info{waived="true", %(here)s}) or vector(0)' % f)], width=3),
        p.stat('Not shown', 'Findings that have no room in the metrics; the report of the agent has them.', [p.now('max(nodeguard_findings_truncated{%(here)s})' % f)], p.none('orange'), width=3),
        p.stat('Out of support in this time', 'How long condition NodeOutOfSupport was True, since the agent started at the most.', [p.now('max(increase(nodeguard_out_of_support_seconds_total{condition="NodeOutOfSupport", %(here)s}[$__range]))' % f)], unit='s'),
      ]),
      p.row('Findings', [
        p.table('Findings and recovery', 'What is open, pending and waived ones too, with the documented recovery. The observed and the supported value are in the condition of the Node.', p.rows('(%s) * on (operation) group_left (title, recovery, class) max by (operation, title, recovery, class) (nodeguard:operation:info) or (%s) unless on (operation) nodeguard:operation:info' % [found, found]), [['severity', 'Severity'], ['state', 'State'], ['waived', 'Waived'], ['condition', 'Condition'], ['operation', 'Operation'], ['subject', 'Subject'], ['title', 'What was done'], ['recovery', 'Recovery'], ['class', 'Class']], height=10, overrides=[
          p.column('Severity', p.severityColors),
          p.column('Condition', p.link('Runbook', c.runbookURL + '/NodeGuard${__value.text}.md')),
          p.column('Recovery', p.width(420)),
        ]),
        p.timeline('Conditions', 'The conditions of the Node over time.', [p.over('max by (condition) (nodeguard_condition{status="True", %(here)s}) + on (condition) 2 * max by (condition) (nodeguard_condition{status="Unknown", %(here)s})' % f, '{{condition}}')], p.answers),
        p.timeline('Findings over time', 'When each finding was open.', [p.over('max by (operation, subject, state) (nodeguard_finding_info{waived="false", %(here)s})' % f, '{{operation}} {{subject}} ({{state}})')]),
      ]),
      p.row('How it notices', [
        p.table('Sources', 'How each source notices: at once (event), at the next look (poll), or off.', p.rows('max by (source, mode) (nodeguard_source_info{%(here)s})' % f), [['source', 'Source'], ['mode', 'Mode']], width=6, height=10, sortBy='Source'),
        p.series('Events by source', 'What the sources had to say.', [p.over('sum by (source) (rate(nodeguard_source_events_total{%(here)s}[$__rate_interval]))' % f, '{{source}}')], unit='ops', width=9, height=10),
        p.series('Events lost and errors', 'After a loss everything is looked at again.', [
          p.over('sum by (source) (rate(nodeguard_source_overflows_total{%(here)s}[$__rate_interval]))' % f, 'lost: {{source}}'),
          p.over('sum by (source) (rate(nodeguard_source_errors_total{%(here)s}[$__rate_interval]))' % f, 'error: {{source}}'),
        ], unit='ops', width=9, height=10),
        p.series('Detection latency', 'From an event to the published report.', [p.over(quantile('0.5'), '50 %'), p.over(quantile('0.9'), '90 %'), p.over(quantile('0.99'), '99 %')], unit='s', width=8),
        p.series('Age of the last look', 'How long ago each check came to its end.', [p.over('time() - max by (check) (nodeguard_check_last_success_timestamp_seconds{%(here)s} > 0)' % f, '{{check}}')], unit='s', width=8),
        p.series('Deliveries', 'Attempts to write to the cluster, and those that failed. None without a cluster.', [
          p.over('sum by (reporter) (rate(nodeguard_report_attempts_total{%(here)s}[$__rate_interval]))' % f, '{{reporter}}'),
          p.over('sum by (reporter) (rate(nodeguard_report_failures_total{%(here)s}[$__rate_interval]))' % f, '{{reporter}} failed'),
        ], unit='ops', width=8),
      ]),
      p.row('What it costs', [
        p.series('CPU', 'Seconds of CPU a second.', [p.over('rate(process_cpu_seconds_total{%(here)s}[$__rate_interval])' % f, 'agent')], unit='percentunit', width=6),
        p.series('Memory', 'Resident, and in use by Go.', [p.over('process_resident_memory_bytes{%(here)s}' % f, 'resident'), p.over('go_memstats_heap_inuse_bytes{%(here)s}' % f, 'heap')], unit='bytes', width=6),
        p.series('Looks', 'Looks of each check.', [p.over('sum by (check) (rate(nodeguard_check_passes_total{%(here)s}[$__rate_interval]))' % f, '{{check}}'), p.over('sum by (check) (rate(nodeguard_check_failures_total{%(here)s}[$__rate_interval]))' % f, '{{check}} failed')], unit='ops', width=6),
        p.series('Duration of a look', 'How long the last look of each check took.', [p.over('max by (check) (nodeguard_check_duration_seconds{%(here)s})' % f, '{{check}}')], unit='s', width=6),
      ]),
    ],
    [{ title: 'Fleet', type: 'link', url: '/d/nodeguard-fleet', icon: 'dashboard', tooltip: 'All nodes', asDropdown: false, includeVars: false, keepTime: true, targetBlank: false, tags: [] }],
  )
)
