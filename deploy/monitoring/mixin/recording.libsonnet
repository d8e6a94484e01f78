// Series that alerts and dashboards share.
local catalogue = import 'catalogue.json';

{
  prometheusRules+:: {
    local c = $._config,
    local l = (import 'labels.libsonnet')(c),
    local alone = if c.selector == '' then '' else '{%s}' % c.selector,
    local with = if c.selector == '' then '' else ', ' + c.selector,

    groups+: [
      {
        // What is documented about each operation, as labels of a series that is always 1.
        name: 'nodeguard.operations',
        interval: c.operationsInterval,
        rules: [
          {
            record: 'nodeguard:operation:info',
            expr: 'vector(1)',
            labels: {
              operation: o.operation,
              title: o.title,
              impact: o.impact,
              recovery: o.recovery,
              class: o.class,
            },
          }
          for o in catalogue.operations
        ],
      },
      {
        name: 'nodeguard.rules',
        rules: [
          {
            record: 'nodeguard:finding:active',
            expr: 'max by (%s, operation, subject, condition, severity) (nodeguard_finding_info{state="active", waived="false", severity=~"critical|warning"%s})' % [l.node, with],
          },
          {
            record: 'nodeguard:operation_nodes:count',
            expr: 'count by (%s, operation, condition, severity) (max by (%s, operation, condition, severity) (nodeguard:finding:active))' % [l.cluster, l.node],
          },
          {
            record: 'nodeguard:condition_nodes:count',
            expr: 'sum by (%s, condition, status) (max by (%s, condition, status) (nodeguard_condition%s))' % [l.pool, l.node, alone],
          },
          {
            record: 'nodeguard:baseline_digest_nodes:count',
            expr: 'count by (%s, scope, digest) (max by (%s, scope, digest) (nodeguard_baseline_info%s))' % [l.pool, l.node, alone],
          },
        ],
      },
    ],
  },
}
