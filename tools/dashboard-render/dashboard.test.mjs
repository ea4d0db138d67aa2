// The shipped dashboard, drawn with Grafana's own packages over a baseline and a incident history, and
// read back: what stands in its panels, in which order and colour.     node --test
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
const drawn = dashboard.panels.filter((p) => p.type !== 'row');
const [GREEN, ORANGE, RED] = ['#73BF69', '#FF9830', '#F2495C'];
const dir = mkdtempSync(join(tmpdir(), 'tradernet-dashboard-'));
after(() => rmSync(dir, { recursive: true }));

async function draw(kind, path = SHIPPED) {
  const out = join(dir, `${kind}.json`);
  const child = spawn(process.execPath, [file('render-with-history.mjs'), kind, '--dashboard', path, '--report', out], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (d) => { text += d; });
  child.stderr.on('data', (d) => { text += d; });
  const status = await new Promise((resolve) => { child.on('exit', resolve); });
  return { status, text, ...JSON.parse(readFileSync(out, 'utf8')) };
}

const panel = (report, title) => report.panels.find((p) => p.title === title);
// What a panel shows last, by the name it stands under: [text, colour].
const shown = (report, title) => Object.fromEntries(panel(report, title).frames.flatMap((f) => f.fields)
  .filter((f) => f.type !== 'time').map((f) => [f.name, [f.last, f.color]]));
const column = (report, name) => panel(report, 'Accounts by what needs attention').frames[0].fields.find((f) => f.name === name).all;

let baseline;
let incident;
before(async () => {
  baseline = await draw('baseline');
  incident = await draw('incident');
});

test('the lock file names no registry, so that any mirror serves', () => {
  assert.doesNotMatch(readFileSync(file('package-lock.json'), 'utf8'), /"resolved"/);
});

test('types, layout, ids and PromQL are valid', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file('validate.mjs'), SHIPPED], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});

for (const kind of ['baseline', 'incident']) {
  test(`no panel is empty and none fails: ${kind}`, () => {
    const report = { baseline, incident }[kind];
    assert.deepEqual(report.problems, []);
    assert.equal(report.status, 0, report.text);
    assert.deepEqual(report.panels.map((p) => p.title), drawn.map((p) => p.title));
    for (const p of report.panels) {
      assert.ok(p.frames.some((f) => f.rows > 0), `${p.title} has no data`);
    }
    assert.ok(report.queries.length > drawn.length);
    assert.deepEqual(report.queries.filter((q) => q.status !== 200), []);
  });
}

test('the fleet row of a baseline fleet is calm', () => {
  assert.deepEqual(shown(baseline, 'Accounts up'), { up: ['7', GREEN], failing: ['0', GREEN] });
  assert.deepEqual(shown(baseline, 'Accounts unknown').unknown, ['0', GREEN]);
  assert.equal(shown(baseline, 'Open sessions').open[0], '14');
  assert.deepEqual(shown(baseline, 'Next expiry')['last of an account'], ['01:30:00', GREEN]);
  assert.deepEqual(shown(baseline, 'Sessions breaking a rule').sessions, ['0', GREEN]);
  assert.equal(shown(baseline, 'Accounts with none open').accounts[0], '1');
  assert.deepEqual(shown(baseline, 'Streams').connected[0], '1');
});

test('the fleet row of a incident fleet says so', () => {
  assert.deepEqual(shown(incident, 'Accounts up'), { up: ['6', GREEN], failing: ['1', RED] });
  assert.deepEqual(shown(incident, 'Accounts unknown').unknown, ['1', RED]);
  assert.deepEqual(shown(incident, 'Next expiry')['last of an account'], ['00:19:00', ORANGE]);
  assert.deepEqual(shown(incident, 'Sessions breaking a rule').sessions, ['3', RED]);
  assert.equal(shown(incident, 'Accounts with none open').accounts[0], '2');
  assert.deepEqual(shown(incident, 'Login breaker').blocked, ['1', RED]);
  assert.deepEqual(shown(incident, 'Last reload').reload, ['failed', RED]);
});

test('the table puts first what needs attention first', () => {
  assert.deepEqual(column(incident, 'Account'), ['locked', 'broker', 'desk-1', 'night', 'desk-2', 'empty', 'bot']);
  assert.deepEqual(column(incident, 'Attention'), ['login blocked', 'rule broken', 'rule broken', 'rule broken', 'ends soon', 'none open', 'fine']);
  assert.deepEqual(column(incident, 'Runs out'), ['', 'later', 'later', '', 'soon', '', 'later']);
  assert.deepEqual(column(incident, 'Time left of the last'), ['-', '03:48:20', '19:00:00', '-', '00:19:00', '-', '01:30:00']);
  assert.equal(column(baseline, 'Attention').filter((a) => a === 'fine').length, 6);
});

test('the countdown is shortest first and coloured by the thresholds', () => {
  const bars = Object.entries(shown(incident, 'Time left now'));
  assert.deepEqual(bars.map(([name]) => name), ['desk-2', 'bot', 'broker', 'desk-1']);
  assert.deepEqual(bars.map(([, [, colour]]) => colour), [ORANGE, GREEN, GREEN, GREEN]);
});

test('a variable moves the threshold in every panel that has it', async () => {
  const later = structuredClone(dashboard);
  const critical = later.templating.list.find((v) => v.name === 'expiry_critical');
  critical.query = critical.current.value = critical.current.text = '1500';
  const path = join(dir, 'later.json');
  writeFileSync(path, JSON.stringify(later));
  const report = await draw('incident', path);
  assert.deepEqual(report.problems, []);
  assert.deepEqual(shown(report, 'Next expiry')['last of an account'], ['00:19:00', RED]);
  assert.deepEqual(shown(report, 'Time left now')['desk-2'], ['00:19:00', RED]);
  assert.equal(column(report, 'Attention')[column(report, 'Account').indexOf('desk-2')], 'ends now');
  assert.equal(column(report, 'Runs out')[column(report, 'Account').indexOf('desk-2')], 'now');
  assert.equal(shown(report, 'Time left of the last session').critical[0], '00:25:00');
});

test('a faulty dashboard is refused', async () => {
  const faulty = structuredClone(dashboard);
  const of = (title) => faulty.panels.find((p) => p.title === title);
  of('Open sessions').targets[0].expr = 'sum(tradernet_no_such_metric)';
  of('Logins').targets[0].expr = 'sum(';
  of('Memory').fieldConfig.defaults.unit = 'furlongs';
  const path = join(dir, 'faulty.json');
  writeFileSync(path, JSON.stringify(faulty));
  const report = await draw('baseline', path);
  assert.equal(report.status, 1);
  assert.deepEqual(report.problems.map((p) => p.replace(/(bad_data).*/s, '$1')),
    ['panel "Logins": bad_data', 'panel "Open sessions": no data', 'panel "Memory": unknown unit furlongs']);
});
