// What a cluster may want otherwise. Everything here can be overridden, see README.md.
{
  _config+:: {
    // The agents' targets. A PodMonitor makes the job "namespace/name".
    selector: 'job=~"(.+/)?nodeguard"',
    // Tells clusters apart where one Prometheus holds several. A label that is not there costs nothing.
    clusterLabel: 'cluster',
    // What names a node. The PodMonitor of deploy/daemonset sets node; instance is its address.
    nodeLabels: ['node', 'instance'],
    // Nodes that should be alike. Where no target has it, all nodes of a cluster are one pool.
    poolLabel: 'pool',
    // A page for each alert, NAME.md.
    runbookURL: 'https://github.com/nodeguard/nodeguard/blob/main/docs/runbooks',
    dashboardTags: ['nodeguard'],
    dashboardRefresh: '1m',

    // How long a finding is there before somebody is told, by its severity.
    findingFor: { critical: '2m', warning: '10m' },
    // An alert outlives gaps of this length: the agent's restart resolves and pages nothing.
    keepFiringFor: '2m',
    pendingFor: '1h',
    // The same operation on this many nodes is a rollout, not a node.
    massDriftNodes: 5,
    massDriftFor: '1m',
    // While it is undone, the last nodes are still part of it.
    massDriftKeepFiringFor: '10m',
    // Of the nodes that have it, those that got it within this time are called new.
    massDriftWindow: '30m',
    blindFor: '15m',
    downFor: '10m',
    absentFor: '15m',
    // The longest time between two looks is 10m.
    staleSeconds: 1800,
    staleFor: '5m',
    reportWindow: '15m',
    reportFor: '5m',
    // A source has noticed at once for this many scrapes of the last time, and is off now.
    sourceWindow: '1d',
    sourceSamples: 20,
    sourceFor: '15m',
    // They are off as long as a better source does their work.
    sourceFallbacks: ['held-sysctl', 'inotify-sysctl', 'fanotify-procfs'],
    // More than half of a pool is at least two of three; ask for more nodes here. The time is that of a pool's upgrade.
    outlierNodes: 3,
    outlierFor: '1h',
    waiverDays: 7,
    // What is documented about an operation is a series, for annotations and dashboards.
    operationsInterval: '1m',
  },
}
