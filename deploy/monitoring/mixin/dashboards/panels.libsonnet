// Panels, as Grafana's schema has them, and how they are laid out.
local datasource = { type: 'prometheus', uid: '${datasource}' };

{
  local panel(type, title, description, width, height, queries) = {
    type: type,
    title: title,
    description: description,
    datasource: datasource,
    gridPos: { w: width, h: height },
    targets: [
      queries[i] { refId: std.char(65 + i), datasource: datasource, editorMode: 'code' }
      for i in std.range(0, std.length(queries) - 1)
    ],
  },

  // What a panel asks: now, or over the time of the dashboard.
  now(expr, legend=''):: { expr: expr, instant: true, range: false, legendFormat: legend },
  rows(expr):: { expr: expr, instant: true, range: false, format: 'table' },
  over(expr, legend=''):: { expr: expr, instant: false, range: true, legendFormat: legend },

  thresholds(steps):: { mode: 'absolute', steps: steps },
  // Green as long as there is none.
  none(color='red'):: $.thresholds([{ color: 'green', value: null }, { color: color, value: 1 }]),
  plain:: $.thresholds([{ color: 'text', value: null }]),
  // The three answers of a condition.
  answers:: [{
    type: 'value',
    options: {
      '0': { text: 'in support', color: 'green', index: 0 },
      '1': { text: 'out of support', color: 'red', index: 1 },
      '2': { text: 'cannot tell', color: 'orange', index: 2 },
    },
  }],
  yesNo:: [{
    type: 'value',
    options: { '0': { text: 'no', color: 'green', index: 0 }, '1': { text: 'yes', color: 'red', index: 1 } },
  }],

  stat(title, description, queries, thresholds=$.plain, unit='none', mappings=[], width=4):: panel('stat', title, description, width, 4, queries) {
    options: {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      percentChangeColorMode: 'standard',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      showPercentChange: false,
      textMode: if std.length(queries) > 1 then 'value_and_name' else 'auto',
      wideLayout: true,
    },
    fieldConfig: { defaults: { unit: unit, thresholds: thresholds, mappings: mappings, color: { mode: 'thresholds' } }, overrides: [] },
  },

  // columns are the labels to show, in order, each with its heading; value heads the number, "" hides it.
  table(title, description, query, columns, value='', width=24, height=8, overrides=[], sortBy='', desc=false):: panel('table', title, description, width, height, [query]) {
    local shown = columns + (if value == '' then [] else [['Value', value]]),
    options: { frameIndex: 0, showHeader: true, cellHeight: 'sm' } + (if sortBy == '' then {} else { sortBy: [{ displayName: sortBy, desc: desc }] }),
    fieldConfig: { defaults: { custom: { filterable: true, wrapText: true }, thresholds: $.plain, mappings: [] }, overrides: overrides },
    transformations: [
      { id: 'filterFieldsByName', options: { include: { names: [column[0] for column in shown] } } },
      { id: 'organize', options: {
        indexByName: { [shown[i][0]]: i for i in std.range(0, std.length(shown) - 1) },
        renameByName: { [column[0]]: column[1] for column in shown },
      } },
    ],
  },

  series(title, description, queries, unit='short', width=12, height=8, stack=false):: panel('timeseries', title, description, width, height, queries) {
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    fieldConfig: {
      defaults: {
        unit: unit,
        min: 0,
        custom: {
          drawStyle: 'line',
          lineWidth: 1,
          fillOpacity: if stack then 30 else 10,
          showPoints: 'never',
          spanNulls: false,
          stacking: { mode: if stack then 'normal' else 'none', group: 'A' },
        },
        thresholds: $.plain,
        mappings: [],
      },
      overrides: [],
    },
  },

  timeline(title, description, queries, mappings=[], width=24, height=9):: panel('state-timeline', title, description, width, height, queries) {
    options: {
      alignValue: 'left',
      mergeValues: true,
      rowHeight: 0.9,
      showValue: 'never',
      legend: { displayMode: 'list', placement: 'bottom', showLegend: std.length(mappings) > 0, calcs: [] },
      tooltip: { mode: 'single', sort: 'none' },
    },
    fieldConfig: {
      defaults: { custom: { fillOpacity: 80, lineWidth: 0 }, color: { mode: 'thresholds' }, thresholds: $.none(), mappings: mappings },
      overrides: [],
    },
  },

  // An override of one column.
  column(name, properties):: { matcher: { id: 'byName', options: name }, properties: [{ id: id, value: properties[id] } for id in std.objectFields(properties)] },
  link(title, url):: { links: [{ title: title, url: url, targetBlank: true }] },
  width(pixels):: { 'custom.width': pixels },
  severityColors:: {
    mappings: [{ type: 'value', options: { critical: { text: 'critical', color: 'red', index: 0 }, warning: { text: 'warning', color: 'orange', index: 1 } } }],
    'custom.cellOptions': { type: 'color-text' },
  },

  row(title, panels):: { title: title, panels: panels },

  // Rows under each other; in a row, panels from left to right, and below where there is no more room.
  layout(rows)::
    local place(state, p) =
      local wraps = state.x + p.gridPos.w > 24;
      local x = if wraps then 0 else state.x;
      local y = if wraps then state.y + state.h else state.y;
      state {
        x: x + p.gridPos.w,
        y: y,
        h: if wraps then p.gridPos.h else std.max(state.h, p.gridPos.h),
        id: state.id + 1,
        panels: state.panels + [p { id: state.id, gridPos+: { x: x, y: y } }],
      };
    local begin(state, title) = state {
      x: 0,
      y: state.y + state.h + 1,
      h: 0,
      id: state.id + 1,
      panels: state.panels + [{ type: 'row', title: title, collapsed: false, id: state.id, gridPos: { x: 0, y: state.y + state.h, w: 24, h: 1 }, panels: [] }],
    };
    std.foldl(function(state, r) std.foldl(place, r.panels, begin(state, r.title)), rows, { x: 0, y: 0, h: 0, id: 1, panels: [] }).panels,

  variable(name, label, query, multi=true):: {
    name: name,
    label: label,
    type: 'query',
    datasource: datasource,
    query: { query: query, refId: name },
    refresh: 2,
    sort: 1,
    multi: multi,
    includeAll: multi,
    hide: 0,
    regex: '',
    options: [],
  } + (if multi then { allValue: '.*', current: { text: ['All'], value: ['$__all'] } } else {}),

  dashboard(uid, title, description, tags, refresh, variables, rows, links=[]):: {
    uid: uid,
    title: title,
    description: description,
    tags: tags,
    refresh: refresh,
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    schemaVersion: 41,
    editable: true,
    graphTooltip: 1,
    annotations: { list: [] },
    links: links,
    templating: { list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', refresh: 1, hide: 0, regex: '', multi: false, includeAll: false, options: [] }] + variables },
    panels: $.layout(rows),
  },
}
