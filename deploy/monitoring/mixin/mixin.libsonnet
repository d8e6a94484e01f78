(import 'config.libsonnet')
+ (import 'recording.libsonnet')
+ (import 'alerts.libsonnet')
+ (import 'dashboards.libsonnet')
