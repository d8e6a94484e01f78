// The files of this folder that are made from the mixin, by name. Overrides of
// _config are the argument: jsonnet -S -m . --tla-code 'config={clusterLabel: "k8s_cluster"}' render.jsonnet
local yaml(value) = '# Made from mixin/ by render.jsonnet; see README.md.\n' + std.manifestYamlDoc(value, indent_array_in_object=true, quote_keys=false) + '\n';

function(config={}) (
  local mixin = (import 'mixin/mixin.libsonnet') + { _config+:: config };
  local groups = mixin.prometheusRules.groups + mixin.prometheusAlerts.groups;
  {
    'prometheus/rules.yaml': yaml({ groups: groups }),
    'prometheus/prometheusrule.yaml': yaml({
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: { name: 'nodeguard', namespace: 'nodeguard', labels: { 'app.kubernetes.io/name': 'nodeguard' } },
      spec: { groups: groups },
    }),
  } + {
    ['grafana/' + name]: std.manifestJsonEx(mixin.grafanaDashboards[name], '  ') + '\n'
    for name in std.objectFields(mixin.grafanaDashboards)
  }
)
