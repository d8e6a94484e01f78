// A dashboard as Grafana's types have it, with panels that are typed to the end:
// options and custom fields are those of the panel's own plugin, and queries are
// Prometheus'. hack/grafana-schema.sh makes the JSON schema of it.
import type * as core from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as series from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// The fields of a Prometheus query that its editor writes; the package has no type of it.
export interface Query {
  refId: string;
  datasource: core.DataSourceRef;
  expr: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  legendFormat?: string;
  editorMode?: 'code' | 'builder';
}

// Each plugin calls its type Options; a schema wants names that differ.
interface StatOptions extends stat.Options {}
interface TableOptions extends table.Options {}
interface SeriesOptions extends series.Options {}
interface TimelineOptions extends timeline.Options {}
interface TableFields extends Partial<table.FieldConfig> {}
interface SeriesFields extends series.FieldConfig {}
interface TimelineFields extends timeline.FieldConfig {}

type Fields<Custom> = Omit<core.FieldConfig, 'custom'> & { custom?: Custom };

type PanelOf<Type extends string, Options, Custom> = Omit<core.Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'datasource'> & {
  id: number;
  type: Type;
  title: string;
  description: string;
  gridPos: core.GridPos;
  datasource: core.DataSourceRef;
  options: Options;
  fieldConfig: Omit<core.FieldConfigSource, 'defaults'> & { defaults: Fields<Custom> };
  targets: Query[];
};

type None = Record<string, never>;

export interface NodeguardDashboard extends Omit<core.Dashboard, 'panels'> {
  panels: Array<
    | PanelOf<'stat', StatOptions, None>
    | PanelOf<'table', TableOptions, TableFields>
    | PanelOf<'timeseries', SeriesOptions, SeriesFields>
    | PanelOf<'state-timeline', TimelineOptions, TimelineFields>
    | core.RowPanel
  >;
}
