// Turns classic dashboard JSON (schemaVersion 36 and later) into a scene.
import {
  ConstantVariable, CustomVariable, DataSourceVariable, EmbeddedScene, IntervalVariable, LocalValueVariable, MultiValueVariable, QueryVariable,
  SceneDataTransformer, SceneGridItem, SceneGridItemLike, SceneGridLayout, SceneGridRow, SceneQueryRunner, SceneTimeRange, SceneVariableSet,
  TextBoxVariable, VariableValueSelectors, VizPanel, sceneGraph,
} from '@grafana/scenes';
import { LoadingState, PanelData, createTheme, getFieldDisplayName, getFieldMatcher, getValueFormats } from '@grafana/data';
import { interpolate, warnings } from './prometheus';

type Json = any;
export interface Settings { prometheus: string; from?: string; to?: string; variables?: Record<string, string[]> }

// What the JSON needs and this renderer does not support; part of the report, so that a test can reject it.
export const unsupported: string[] = [];
// Queries of annotations: run and counted, not drawn.
const annotations: Json[] = [];

function variable(v: Json, chosen?: string[]) {
  const value = chosen ? (v.multi ? chosen : chosen[0]) : v.current?.value ?? '';
  const common = {
    name: v.name, label: v.label, hide: v.hide, skipUrlSync: true, isMulti: v.multi, includeAll: v.includeAll, allValue: v.allValue,
    defaultToAll: !chosen && v.includeAll && !v.current?.value?.length, value, text: chosen ? value : v.current?.text ?? value,
  };
  switch (v.type) {
    case 'query':
      return new QueryVariable({ ...common, query: v.query, datasource: v.datasource, sort: v.sort, refresh: 1, regex: v.regex ?? '' });
    case 'custom':
      return new CustomVariable({ ...common, query: v.query });
    case 'datasource':
      return new DataSourceVariable({ ...common, pluginId: v.query, regex: v.regex ?? '', value: '', text: '' });
    case 'interval':
      return new IntervalVariable({ ...common, value: String(value), intervals: v.query.split(',').map((s: string) => s.trim()), autoEnabled: v.auto, autoMinInterval: v.auto_min, autoStepCount: v.auto_count });
    case 'constant':
      return new ConstantVariable({ ...common, value: v.query });
    case 'textbox':
      return new TextBoxVariable({ ...common, value: chosen?.[0] ?? v.current?.value ?? v.query ?? '' });
    default:
      unsupported.push(`variable ${v.name}: type ${v.type}`);
      return undefined;
  }
}

function vizPanel(p: Json, local?: LocalValueVariable): VizPanel {
  for (const key of ['libraryPanel', 'timeFrom', 'timeShift', 'cacheTimeout'].filter((k) => p[k])) {
    unsupported.push(`panel ${p.id} ${p.title}: ${key}`);
  }
  const runner = p.targets?.length && new SceneQueryRunner({
    queries: p.targets, datasource: p.datasource ?? { uid: 'prometheus', type: 'prometheus' },
    minInterval: p.interval, maxDataPoints: p.maxDataPoints ?? undefined, maxDataPointsFromWidth: true,
  });
  return new VizPanel({
    key: `panel-${p.id}${local ? `-${local.state.value}` : ''}`,
    title: p.title ?? '', description: p.description, pluginId: p.type, pluginVersion: p.pluginVersion, options: p.options ?? {},
    fieldConfig: { defaults: {}, overrides: [], ...p.fieldConfig }, displayMode: p.transparent ? 'transparent' : 'default', hoverHeader: !p.title,
    $variables: local && new SceneVariableSet({ variables: [local] }),
    $data: runner ? new SceneDataTransformer({ $data: runner, transformations: p.transformations ?? [] }) : undefined,
  });
}

// One grid item, or one for each value of the panel's `repeat` variable.
function gridItems(p: Json, variables: SceneVariableSet): { items: SceneGridItem[]; height: number } {
  const at = p.gridPos;
  const source = p.repeat && variables.getByName(p.repeat);
  if (p.repeat && !(source instanceof MultiValueVariable)) {
    unsupported.push(`panel ${p.id} ${p.title}: repeat over ${p.repeat}`);
  }
  const options = source instanceof MultiValueVariable
    ? source.getOptionsForSelect(false).filter((o: Json) => o.value !== '$__all' && (source.hasAllValue() || [source.getValue()].flat().includes(o.value)))
    : [undefined];
  const vertical = p.repeatDirection === 'v';
  const columns = vertical ? 1 : Math.min(options.length, p.maxPerRow ?? 4);
  const width = options[0] && !vertical ? Math.floor(24 / columns) : at.w;
  const items = options.map((o: Json, i: number) => new SceneGridItem({
    x: o && !vertical ? (i % columns) * width : at.x, y: at.y + Math.floor(i / columns) * at.h, width, height: at.h, isResizable: false, isDraggable: false,
    body: vizPanel(p, o && new LocalValueVariable({ name: p.repeat, value: o.value, text: String(o.label) })),
  }));
  return { items, height: Math.ceil(options.length / columns) * at.h };
}

function grid(panels: Json[], variables: SceneVariableSet): SceneGridItemLike[] {
  const out: SceneGridItemLike[] = [];
  let row: SceneGridRow | undefined;
  let shift = 0; // by how much repeated panels have moved the following ones down
  for (const p of panels) {
    const moved = { ...p, gridPos: { ...p.gridPos, y: p.gridPos.y + shift } };
    if (p.type === 'row') {
      if (p.repeat) {
        unsupported.push(`row ${p.title}: repeat`);
      }
      row = new SceneGridRow({ key: `row-${p.id}`, title: p.title, y: moved.gridPos.y, isCollapsed: false, children: [] });
      out.push(row);
      if (p.collapsed) { // shown open, so that every panel is drawn
        const inner = grid(p.panels ?? [], variables);
        row.setState({ children: inner });
        const heights = (p.panels ?? []).map((q: Json) => q.gridPos.y + q.gridPos.h);
        shift += heights.length ? Math.max(...heights) - p.gridPos.y - 1 : 0;
      }
      continue;
    }
    const { items, height } = gridItems(moved, variables);
    shift += height - p.gridPos.h;
    if (row) {
      row.setState({ children: [...row.state.children, ...items] });
    } else {
      out.push(...items);
    }
  }
  return out;
}

const settled = async (test: () => boolean, what: string, ms = 60000) => {
  for (const end = Date.now() + ms; !test(); await new Promise((r) => setTimeout(r, 50))) {
    if (Date.now() > end) {
      throw new Error(`gave up waiting for ${what}`);
    }
  }
};

export async function buildScene(json: Json, settings: Settings): Promise<EmbeddedScene> {
  const inputs = Object.fromEntries((json.__inputs ?? []).map((i: Json) => [i.name, i.type === 'datasource' ? 'prometheus' : i.value]));
  const dash: Json = JSON.parse(JSON.stringify(json), (_, v) => (typeof v === 'string' ? v.replace(/\$\{(\w+)\}/g, (all, n) => inputs[n] ?? all) : v));
  for (const a of (dash.annotations?.list ?? []).filter((x: Json) => !x.builtIn && x.enable)) {
    annotations.push({ name: a.name, expr: a.expr, useValueForTime: a.useValueForTime, prometheus: settings.prometheus });
  }
  const time = (t: string) => (/^\d+$/.test(t) ? new Date(Number(t)).toISOString() : t); // also takes Grafana's epoch milliseconds
  const $timeRange = new SceneTimeRange({ from: time(settings.from ?? dash.time?.from ?? 'now-6h'), to: time(settings.to ?? dash.time?.to ?? 'now'), timeZone: 'utc' });
  const $variables = new SceneVariableSet({
    variables: (dash.templating?.list ?? []).map((v: Json) => variable(v, settings.variables?.[v.name])).filter(Boolean),
  });
  // Variables first: repeated panels need their values.
  const probe = new EmbeddedScene({ $timeRange: $timeRange.clone(), $variables, body: new SceneGridLayout({ children: [] }) });
  const stop = probe.activate();
  await settled(() => $variables.state.variables.every((v) => !$variables.isVariableLoadingOrWaitingToUpdate(v) || v.state.error), 'variables');
  stop();
  return new EmbeddedScene({
    $timeRange,
    $variables: $variables.clone(),
    controls: [new VariableValueSelectors({})],
    body: new SceneGridLayout({ isDraggable: false, isResizable: false, children: grid(dash.panels ?? [], $variables) }),
  });
}

// The value of a variable with `allValue` that is set to "all" is an object with a formatter.
const plain = (value: any) => (typeof value?.formatter === 'function' ? value.formatter() : value);

function check(panel: VizPanel, { series }: PanelData) {
  const { defaults, overrides } = panel.state.fieldConfig as Json;
  const warn = (text: string) => warnings.add(`panel "${panel.state.title}": ${text}`);
  const settings: Array<[string, Json]> = [...Object.entries(defaults), ...overrides.flatMap((o: Json) => o.properties.map((p: Json) => [p.id, p.value]))];
  const units = new Set(getValueFormats().flatMap((group) => group.submenu!.map((u) => u.value)));
  const theme = createTheme();
  for (const [key, value] of settings) {
    if (key === 'unit' && value && !units.has(value) && !/^(prefix|suffix|time|si|count|currency|bool):/.test(value)) {
      warn(`unknown unit ${value}`);
    }
    for (const [, colour] of JSON.stringify(value ?? null).matchAll(/"(?:fixedColor|color)":"([^"]+)"/g)) {
      if (!CSS.supports('color', theme.visualization.getColorByName(colour))) {
        warn(`unknown colour ${colour}`);
      }
    }
  }
  const refIds = new Set((panel.state.$data as Json).state.$data.state.queries.map((q: Json) => q.refId));
  for (const { matcher } of overrides) {
    // A query may have no result, so an override for a query is checked against the panel's queries.
    if (matcher.id === 'byFrameRefID' ? !refIds.has(matcher.options) : !series.some((frame) => frame.fields.some((f) => getFieldMatcher(matcher)(f, frame, series)))) {
      warn(`override ${matcher.id} ${JSON.stringify(matcher.options)} matches no field`);
    }
  }
}

async function annotation(scene: EmbeddedScene, { name, expr, useValueForTime, prometheus }: Json) {
  const { from, to } = scene.state.$timeRange!.state.value;
  const query = new URLSearchParams({ query: interpolate(expr, { __sceneObject: { value: scene } as any }), start: String(from.unix()), end: String(to.unix()), step: '60' });
  const { status, data, error } = await (await fetch(`${prometheus}/api/v1/query_range?${query}`)).json();
  const result: Json[] = data?.result ?? [];
  // Seconds. Grafana joins those less than a step apart.
  const times = (r: Json) => [...new Set(r.values.map(([at, value]: [number, string]) => (useValueForTime ? Number(value) / 1000 : at)))];
  return { name, error: status === 'success' ? undefined : error, series: result.map((r) => r.metric), times: result.map(times) };
}

export async function report(scene: EmbeddedScene) {
  const panels = sceneGraph.findAllObjects(scene, (o) => o instanceof VizPanel) as VizPanel[];
  const dataOf = (p: VizPanel) => (p.state.$data ? p.state.$data.state.data : undefined);
  await settled(() => panels.every((p) => p.getPlugin() && (!p.state.$data || [LoadingState.Done, LoadingState.Error].includes(dataOf(p)?.state as LoadingState))), 'panels');
  const result = {
    unsupported,
    variables: scene.state.$variables!.state.variables.map((v: any) => ({ name: v.state.name, type: v.state.type, value: plain(v.getValue()), options: v.state.options?.length, error: v.state.error?.message ?? v.state.error })),
    panels: panels.map((p) => {
      const data = dataOf(p);
      const shown = data && p.applyFieldConfig(data);
      if (shown?.series.length) {
        check(p, shown);
      }
      return {
        key: p.state.key, title: p.interpolate(p.state.title, undefined, 'text'), type: p.state.pluginId, state: data?.state, errors: data?.errors?.map((e) => e.message),
        frames: shown?.series.map((frame) => ({
          refId: frame.refId, rows: frame.length,
          fields: frame.fields.map((f) => {
            const last = f.values[f.values.length - 1];
            const text = (v: unknown) => {
              const d = f.display?.(v);
              return d ? `${d.prefix ?? ''}${d.text}${d.suffix ?? ''}` : v;
            };
            // All values of short columns, so that a test can assert a table's rows and their order.
            const all = frame.length <= 20 && p.state.pluginId === 'table' ? Array.from(f.values, text) : undefined;
            // Before the sanitizer of URLs, which differs between versions of Grafana.
            const first: any = { __dataContext: { value: { frame, field: f, rowIndex: 0 } } };
            const links = f.config.links?.map((link) => p.interpolate(link.url, first, 'uriencode'));
            return { name: getFieldDisplayName(f, frame, shown.series), type: f.type, last: text(last), color: f.display?.(last).color, all, width: f.config.custom?.width, links };
          }),
        })),
      };
    }),
  };
  return { ...result, annotations: await Promise.all(annotations.map((a) => annotation(scene, a))), warnings: [...warnings] };
}
