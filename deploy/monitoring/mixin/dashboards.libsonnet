{
  grafanaDashboards+:: {
    'nodeguard-fleet.json': (import 'dashboards/fleet.libsonnet')($._config),
    'nodeguard-node.json': (import 'dashboards/node.libsonnet')($._config),
  },
}
