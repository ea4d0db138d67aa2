// The shipped dashboard, rendered with Grafana's own packages over baseline, incident and fleet series, and read
// back: the values in its panels, their order and colours.     node --test
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const SHIPPED = file('../../dashboards/tradernet-security-sessions.json');
const dashboard = JSON.parse(readFileSync(SHIPPED, 'utf8'));
const flat = (board) => board.panels.flatMap((p) => [p, ...(p.panels ?? [])]).filter((p) => p.type !== 'row');
const titles = flat(dashboard).map((p) => p.title);
const [GREEN, YELLOW, RED, GREY] = ['#73BF69', '#FADE2A', '#F2495C', '#8e8e8e'];
const STATES = ['login blocked', 'rule broken', 'no data', 'failing', 'expiring', 'no session', 'starting', 'OK'];
const dir = mkdtempSync(join(tmpdir(), 'tradernet-dashboard-'));
after(() => rmSync(dir, { recursive: true }));

async function render(data, path = SHIPPED) {
  const out = join(dir, `${data}.json`);
  const child = spawn(process.execPath, [file('render-with-history.mjs'), data, '--dashboard', path, '--report', out], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (d) => { text += d; });
  child.stderr.on('data', (d) => { text += d; });
  const status = await new Promise((resolve) => { child.on('exit', resolve); });
  return { status, text, ...JSON.parse(readFileSync(out, 'utf8')) };
}

const panel = (report, title) => report.panels.find((p) => p.title === title);
// The last value of each field of a panel by its name: [text, colour].
const shown = (report, title) => Object.fromEntries(panel(report, title).frames.flatMap((f) => f.fields)
  .filter((f) => f.type !== 'time').map((f) => [f.name, [f.last, f.color]]));
const column = (report, name, title = 'Accounts') => panel(report, title).frames[0].fields.find((f) => f.name === name).all;

const reports = {};
before(async () => {
  for (const data of ['baseline', 'incident', 'fleet']) {
    reports[data] = await render(data);
  }
});

test('the lock file names no registry, so that any mirror serves', () => {
  assert.doesNotMatch(readFileSync(file('package-lock.json'), 'utf8'), /"resolved"/);
});

test('types, layout, ids and PromQL are valid', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file('validate.mjs'), SHIPPED], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});

test('the first screen fits 1080 lines', () => {
  const ROW = 38; // pixels of one grid row with its margin
  const CHROME = 130; // Grafana's navigation and the row of variables
  const first = dashboard.panels.slice(0, dashboard.panels.findIndex((p) => p.type === 'row'));
  assert.deepEqual(first.map((p) => p.title),
    ['Exporters', 'Accounts by state', 'Next expiry', 'Rules broken', 'Open sessions', 'Accounts', 'Time left of the last session', 'Polls']);
  assert.ok(Math.max(...first.map((p) => p.gridPos.y + p.gridPos.h)) * ROW + CHROME <= 1080);
});

test('two thresholds are visible', () => {
  const boxes = dashboard.templating.list.filter((v) => v.type === 'textbox' && v.hide === 0).map((v) => v.name);
  assert.deepEqual(boxes, ['expiry_warning', 'expiry_critical']);
});

for (const data of ['baseline', 'incident', 'fleet']) {
  test(`no panel is empty and none fails: ${data}`, () => {
    const report = reports[data];
    assert.deepEqual(report.problems, []);
    assert.equal(report.status, 0, report.text);
    assert.deepEqual(report.panels.map((p) => p.title), titles);
    assert.ok(report.queries.length > titles.length);
    assert.deepEqual(report.queries.filter((q) => q.status !== 200), []);
  });
}

test('the first row of the baseline is green', () => {
  const { baseline } = reports;
  assert.deepEqual(shown(baseline, 'Exporters'), { up: ['1', GREEN], down: ['0', GREEN] });
  assert.deepEqual(shown(baseline, 'Accounts by state').OK, ['6', GREEN]);
  assert.deepEqual(shown(baseline, 'Accounts by state')['no data'], ['0', GREY]);
  assert.deepEqual(shown(baseline, 'Next expiry').next, ['01:30:00', GREEN]);
  assert.deepEqual(shown(baseline, 'Rules broken').accounts, ['0', GREEN]);
  assert.equal(shown(baseline, 'Open sessions').open[0], '14');
});

test('the first row of the incident names the problems', () => {
  const { incident } = reports;
  const states = shown(incident, 'Accounts by state');
  assert.deepEqual(Object.keys(states).sort(), [...STATES].sort());
  assert.deepEqual(STATES.map((s) => states[s][0]), ['1', '3', '0', '0', '1', '1', '0', '1']);
  assert.deepEqual(states['rule broken'][1], RED);
  assert.deepEqual(shown(incident, 'Next expiry').expiring, ['00:19:00', YELLOW]);
  assert.deepEqual(shown(incident, 'Rules broken').accounts, ['3', RED]);
  assert.deepEqual(shown(incident, 'Login breakers').open, ['1', RED]);
  assert.deepEqual(shown(incident, 'Last reload').reload, ['failed', RED]);
});

test('the table of accounts is sorted by urgency', () => {
  const { incident } = reports;
  assert.deepEqual(column(incident, 'Account'), ['locked & out', 'broker', 'desk-1', 'night', 'desk-2', 'empty', 'bot']);
  assert.deepEqual(column(incident, 'State'), ['login blocked', 'rule broken', 'rule broken', 'rule broken', 'expiring', 'no session', 'OK']);
  assert.deepEqual(column(incident, 'Expires in'), ['-', '03:48:20', '19:00:00', '-', '00:19:00', '-', '01:30:00']);
});

test('the table of sessions lists rule breakers first, with the labels that the details allow', () => {
  const { incident } = reports;
  assert.deepEqual(column(incident, 'Account', 'Session list'), ['desk-1', 'bot', 'desk-1']);
  assert.deepEqual(column(incident, 'Address', 'Session list'), ['198.51.100.22', '-', '203.0.113.20']);
  assert.deepEqual(column(incident, 'Rules broken', 'Session list'), ['1', '0', '0']);
});

test('accounts of a stopped exporter have no data, and one that two exporters watch is counted once', () => {
  const { fleet } = reports;
  const { rows } = panel(fleet, 'Accounts').frames[0];
  assert.equal(rows, 210);
  assert.deepEqual(shown(fleet, 'Exporters'), { up: ['1', GREEN], down: ['1', RED] });
  const total = STATES.reduce((n, s) => n + Number(shown(fleet, 'Accounts by state')[s][0]), 0);
  assert.equal(total, 200);
  // 95 that only the stopped one watches, and 4 that never answered.
  assert.equal(shown(fleet, 'Accounts by state')['no data'][0], '99');
});

test('with 200 accounts a graph has at most 45 series', () => {
  for (const p of reports.fleet.panels.filter((q) => ['timeseries', 'state-timeline'].includes(q.type))) {
    const names = new Set(p.frames.flatMap((f) => f.fields).filter((f) => f.type !== 'time').map((f) => f.name));
    assert.ok(names.size <= 45, `${p.title}: ${names.size}`);
  }
});

test('alerts and restarts are annotations', () => {
  const { incident } = reports;
  assert.deepEqual(incident.annotations.map((a) => a.name), ['Firing alerts', 'Exporter restarts']);
  assert.deepEqual(incident.annotations[0].series.map((s) => s.account), ['desk-1']);
  // The exporter restarts between two scrapes.
  const end = 1781524800;
  assert.deepEqual(incident.annotations[1].times, [[end - 6 * 3600 - 20, end - 3600 - 7]]);
});

test('links encode the account and keep the variables', () => {
  const links = (name, title) => panel(reports.incident, title).frames[0].fields.find((f) => f.name === name).links;
  const only = '&var-datasource=prometheus&var-expiry_warning=1800&var-expiry_critical=300&var-status_page=http%3A%2F%2F127.0.0.1%3A10460&var-job=tradernet&var-account=';
  const [show] = links('Account', 'Accounts');
  assert.ok(show.endsWith(`${only}locked%20%26%20out`), show);
  assert.deepEqual(links('State', 'Accounts'), ['http://127.0.0.1:10460/?q=locked%20%26%20out#locked%20%26%20out']);
  const back = new URL(dashboard.links.find((l) => l.title === 'All accounts').url, 'http://grafana').searchParams;
  assert.deepEqual(['job', 'instance', 'account'].map((name) => back.get(`var-${name}`)), ['$__all', '$__all', '$__all']);
});

test('the name of an exporter fits its column', () => {
  for (const title of ['Accounts', 'Versions']) {
    const { width } = panel(reports.fleet, title).frames[0].fields.find((f) => f.name === 'Instance');
    assert.ok(width >= 8 * 'tradernet-exporter-0:10460'.length, `${title}: ${width}`);
  }
});

test('a variable changes the threshold in every panel that uses it', async () => {
  const later = structuredClone(dashboard);
  const warning = later.templating.list.find((v) => v.name === 'expiry_warning');
  warning.query = warning.current.value = warning.current.text = '7200';
  const path = join(dir, 'later.json');
  writeFileSync(path, JSON.stringify(later));
  const report = await render('incident', path);
  assert.deepEqual(report.problems, []);
  assert.equal(column(report, 'State')[column(report, 'Account').indexOf('bot')], 'expiring');
  assert.equal(shown(report, 'Accounts by state').expiring[0], '2');
  assert.equal(shown(report, 'Time left of the last session').warning[0], '2.0 h');
});

test('a faulty dashboard is rejected', async () => {
  const faulty = structuredClone(dashboard);
  const of = (title) => flat(faulty).find((p) => p.title === title);
  of('Rules broken').targets[0].expr = 'sum(tradernet_no_such_metric)';
  of('Data quality').targets[0].expr = 'sum(';
  of('Memory').fieldConfig.defaults.unit = 'furlongs';
  const path = join(dir, 'faulty.json');
  writeFileSync(path, JSON.stringify(faulty));
  const report = await render('baseline', path);
  assert.equal(report.status, 1);
  const problems = report.problems.map((p) => p.replace(/(bad_data).*/s, '$1'));
  assert.deepEqual(problems.filter((p) => !p.includes('override')),
    ['panel "Data quality": bad_data', 'panel "Rules broken": no data', 'panel "Memory": unknown unit furlongs']);
});
