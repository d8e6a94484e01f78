// The fleet: which nodes are out of support, by what and since when, and how well nodeguard looks.
local catalogue = import '../catalogue.json';
local p = import 'panels.libsonnet';

function(c) (
  local l = (import '../labels.libsonnet')(c);
  local at = '%s=~"$cluster", %s=~"$pool"' % [c.clusterLabel, c.poolLabel];
  local here = if c.selector == '' then at else c.selector + ', ' + at;
  local name = c.nodeLabels[0];
  local families = 'condition!~"NodeOutOfSupport|NodeRebuildAdvised"';
  local alerts = std.join('|', ['NodeGuard' + condition for condition in catalogue.conditions]);
  local place = [[c.clusterLabel, 'Cluster'], [c.poolLabel, 'Pool'], [name, 'Node']];
  local f = { node: l.node, pool: l.pool, at: at, here: here, families: families, alerts: alerts };

  // A finding with what the catalogue says; one that the catalogue does not have is there without.
  local documented(expr) = '(%s) * on (operation) group_left (title, recovery, class) max by (operation, title, recovery, class) (nodeguard:operation:info) or (%s) unless on (operation) nodeguard:operation:info' % [expr, expr];

  local toNode = p.column('Node', p.link('This node', '/d/nodeguard-node?var-datasource=${datasource}&var-cluster=${__data.fields.Cluster}&var-node=${__value.text}'));
  local toRunbook = p.column('Condition', p.link('Runbook', c.runbookURL + '/NodeGuard${__value.text}.md'));
  local severity = p.column('Severity', p.severityColors);

  p.dashboard(
    'nodeguard-fleet',
    'nodeguard / Fleet',
    'Which nodes are out of support, by what, since when, and what to do; and how well nodeguard looks.',
    c.dashboardTags,
    c.dashboardRefresh,
    [
      p.variable('cluster', 'Cluster', 'label_values(nodeguard_build_info{%s}, %s)' % [c.selector, c.clusterLabel]),
      p.variable('pool', 'Pool', 'label_values(nodeguard_build_info{%s}, %s)' % [std.join(', ', [s for s in [c.selector, '%s=~"$cluster"' % c.clusterLabel] if s != '']), c.poolLabel]),
    ],
    [
      p.row('Now', [
        p.stat('Nodes watched', 'Agents that answer.', [p.now('count(max by (%(node)s) (up{%(here)s}) == 1) or vector(0)' % f)]),
        p.stat('Nodes out of support', 'Nodes with a critical or warning finding in force that is not waived.', [p.now('sum(max by (%(node)s) (nodeguard_condition{condition="NodeOutOfSupport", status="True", %(here)s})) or vector(0)' % f)], p.none()),
        p.stat('Rebuild advised', 'Nodes whose documented recovery is another node.', [p.now('sum(max by (%(node)s) (nodeguard_condition{condition="NodeRebuildAdvised", status="True", %(here)s})) or vector(0)' % f)], p.none()),
        p.stat('Nodes that cannot tell', 'Nodes with a condition that is Unknown: something could not be looked at.', [p.now('count(max by (%(node)s) (nodeguard_condition{%(families)s, status="Unknown", %(here)s} == 1)) or vector(0)' % f)], p.none('orange')),
        p.stat('Agents down', 'Targets that do not answer.', [p.now('count(max by (%(node)s) (up{%(here)s}) == 0) or vector(0)' % f)], p.none('orange')),
        p.stat('Findings', 'Open findings that are not waived, in force and pending.', [
          p.now('sum(nodeguard_findings{severity="critical", %(here)s}) or vector(0)' % f, 'critical'),
          p.now('sum(nodeguard_findings{severity="warning", %(here)s}) or vector(0)' % f, 'warning'),
        ], p.none()),
      ]),
      p.row('Out of support', [
        p.series('Nodes out of support by condition', 'How many nodes each condition is True on.', [p.over('sum by (condition) (nodeguard:condition_nodes:count{%(families)s, status="True", %(at)s})' % f, '{{condition}}')], width=14),
        p.table('By condition and pool', 'Where the nodes out of support are.', p.rows('sum by (condition, %(pool)s) (nodeguard:condition_nodes:count{%(families)s, status="True", %(at)s}) > 0' % f), [['condition', 'Condition'], [c.clusterLabel, 'Cluster'], [c.poolLabel, 'Pool']], 'Nodes', width=10, overrides=[toRunbook], sortBy='Nodes', desc=true),
        p.table('Since when', 'Since when Prometheus has known of a finding in force, the longest first.', p.rows('sort(min by (%(node)s, condition) (ALERTS_FOR_STATE{alertname=~"%(alerts)s", %(at)s}) * 1000)' % f), place + [['condition', 'Condition']], 'Since', overrides=[toNode, toRunbook, p.column('Since', { unit: 'dateTimeFromNow' })], sortBy='Since'),
        p.table('Findings and recovery', 'What is in force and not waived, with the documented recovery. The observed and the supported value are in the condition of the Node.', p.rows(documented('nodeguard:finding:active{%(at)s}' % f)), place + [['severity', 'Severity'], ['condition', 'Condition'], ['operation', 'Operation'], ['subject', 'Subject'], ['title', 'What was done'], ['recovery', 'Recovery'], ['class', 'Class']], height=12, overrides=[toNode, toRunbook, severity, p.column('Recovery', p.width(420))]),
      ]),
      p.row('Fleet', [
        p.table('Operations by nodes', 'The operations that most nodes have. Many nodes at once are a rollout.', p.rows(documented('topk(20, nodeguard:operation_nodes:count{%s=~"$cluster"})' % c.clusterLabel)), [['operation', 'Operation'], ['severity', 'Severity'], ['condition', 'Condition'], [c.clusterLabel, 'Cluster'], ['title', 'What was done']], 'Nodes', width=14, overrides=[toRunbook, severity], sortBy='Nodes', desc=true),
        p.table('Outliers', 'Nodes whose accepted state differs from that of most nodes of their pool.', p.rows(|||
          max by (%(node)s, scope, digest) (nodeguard_baseline_info{%(here)s})
            unless on (%(pool)s, scope, digest)
              (nodeguard:baseline_digest_nodes:count > on (%(pool)s, scope) group_left () sum by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) / 2)
            and on (%(pool)s, scope)
              (max by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) > sum by (%(pool)s, scope) (nodeguard:baseline_digest_nodes:count) / 2)
        ||| % f), place + [['scope', 'Scope'], ['digest', 'Digest']], width=10, overrides=[toNode]),
      ]),
      p.row('Detection', [
        p.table('Sources and modes', 'On how many nodes a source notices at once (event), at the next look (poll), or is off.', p.rows('count by (source, mode) (max by (%(node)s, source, mode) (nodeguard_source_info{%(here)s}))' % f), [['source', 'Source'], ['mode', 'Mode']], 'Nodes', width=8, height=10, sortBy='Source'),
        p.series('Sources that notice at once', 'The share of sources in mode event. A step down is a silent downgrade.', [p.over('count(nodeguard_source_info{mode="event", %(here)s}) / count(nodeguard_source_info{%(here)s})' % f, 'event')], unit='percentunit', width=8, height=10),
        p.series('Detection latency', 'From an event to the published report.', [
          p.over('histogram_quantile(0.5, sum by (le) (rate(nodeguard_detection_latency_seconds_bucket{%(here)s}[$__rate_interval])))' % f, '50 %'),
          p.over('histogram_quantile(0.99, sum by (le) (rate(nodeguard_detection_latency_seconds_bucket{%(here)s}[$__rate_interval])))' % f, '99 %'),
        ], unit='s', width=8, height=10),
        p.series('Events lost', 'Times that a source lost events, and everything was looked at again.', [p.over('sum by (source) (rate(nodeguard_source_overflows_total{%(here)s}[$__rate_interval]))' % f, '{{source}}')], unit='ops', width=8),
        p.series('Oldest look', 'The age of the oldest look of each check that came to its end.', [p.over('time() - min by (check) (nodeguard_check_last_success_timestamp_seconds{%(here)s} > 0)' % f, '{{check}}')], unit='s', width=8),
        p.table('Versions', 'What runs, on how many nodes.', p.rows('count by (version, goversion) (max by (%(node)s, version, goversion) (nodeguard_build_info{%(here)s}))' % f), [['version', 'Version'], ['goversion', 'Go']], 'Nodes', width=8),
      ]),
    ],
  )
)
