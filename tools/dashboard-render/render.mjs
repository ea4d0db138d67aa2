#!/usr/bin/env node
// Renders a dashboard JSON in headless Chromium with data from a running Prometheus.
//   node render.mjs DASHBOARD.json [--prometheus URL] [--from T] [--to T] [--var name=value]... [--width PX] [--height PX] [--out shot.png] [--report report.json]
// Exit status 1 if a panel has an error or no data, the page logs an error, or something in the JSON has no effect.
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: opt, positionals: [file] } = parseArgs({
  allowPositionals: true,
  options: {
    prometheus: { type: 'string', default: 'http://127.0.0.1:9090' }, from: { type: 'string' }, to: { type: 'string' },
    var: { type: 'string', multiple: true, default: [] }, width: { type: 'string', default: '1600' }, height: { type: 'string' },
    out: { type: 'string' }, report: { type: 'string' }, chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});
const dashboard = JSON.parse(readFileSync(file, 'utf8'));
const variables = {};
for (const v of opt.var) {
  const [name, value] = v.split(/=(.*)/s);
  (variables[name] ??= []).push(value);
}
const here = (path) => new URL(path, import.meta.url);
const origin = 'http://localhost:1'; // there is no such server: every request is answered below
const html = `<!doctype html><link rel=stylesheet href=/dist/main.css><style>body { margin: 0 } #root { display: flex; min-height: 100vh; padding: 8px; box-sizing: border-box } #root > div { min-width: 0; box-sizing: border-box }</style>
<div id=root></div><script>window.grafanaBootData = { settings: {}, user: {}, navTree: [] }</script><script type=module src=/dist/main.js></script>`;
const types = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', woff2: 'font/woff2' };
const queries = [];

const browser = await chromium.launch({ executablePath: opt.chromium, args: ['--no-sandbox', '--disable-gpu'] });
const rows = (list) => Math.max(0, ...list.map((p) => Math.max((p.gridPos?.y ?? 0) + (p.gridPos?.h ?? 1), rows(p.panels ?? []))));
const page = await browser.newPage({ viewport: { width: Number(opt.width), height: rows(dashboard.panels ?? []) * 38 + 140 } });
const logged = [];
page.on('pageerror', (e) => logged.push(e.message));
page.on('console', (m) => m.type() === 'error' && !m.text().startsWith('Failed to load resource') && logged.push(m.text()));
await page.route('**', async (route) => {
  const { origin: at, pathname, search } = new URL(route.request().url());
  if (at !== origin) {
    return route.abort();
  }
  if (pathname === '/') {
    return route.fulfill({ contentType: 'text/html', body: html });
  }
  if (pathname.startsWith('/prometheus/')) {
    const answer = await fetch(opt.prometheus + pathname.slice('/prometheus'.length) + search);
    const body = await answer.text();
    queries.push({ path: pathname.slice('/prometheus'.length), ...Object.fromEntries(new URLSearchParams(search)), status: answer.status });
    return route.fulfill({ contentType: 'application/json', body });
  }
  const font = pathname.match(/^\/public\/fonts\/inter\/Inter-(Regular|Medium)\.woff2$/);
  const path = here(
    font ? `node_modules/@fontsource/inter/files/inter-latin-${font[1] === 'Medium' ? 500 : 400}-normal.woff2`
      : pathname.startsWith('/public/build/') ? `node_modules/@grafana/ui/dist/public/${pathname.slice('/public/build/'.length)}` : `.${pathname}`);
  if (!existsSync(path)) {
    // The system's monospace font replaces Roboto Mono; the package lacks the picture of the button
    // that cancels a query, which appears when a panel has been loading for 2 s.
    if (!pathname.startsWith('/public/fonts/') && !pathname.endsWith('/unicons/sync-slash.svg')) {
      logged.push(`no ${pathname}`);
    }
    return route.fulfill({ status: 404 });
  }
  return route.fulfill({ contentType: types[pathname.split('.').pop()], body: readFileSync(path) });
});

let result;
try {
  await page.goto(`${origin}/`);
  await page.waitForFunction(() => window.renderDashboard);
  const settings = { prometheus: '/prometheus', from: opt.from, to: opt.to, variables };
  result = await page.evaluate(([d, s]) => window.renderDashboard(d, s), [dashboard, settings]);
} catch (e) {
  result = { panels: [], variables: [], unsupported: [], annotations: [], warnings: [] };
  logged.push(e.message);
} finally {
  if (opt.out) {
    await page.screenshot(opt.height ? { path: opt.out, clip: { x: 0, y: 0, width: Number(opt.width), height: Number(opt.height) } } : { path: opt.out, fullPage: true });
  }
  await browser.close();
}

const empty = (p) => p.frames && !p.frames.some((f) => f.rows > 0);
result.problems = [
  ...result.panels.flatMap((p) => (p.errors ?? []).map((e) => `panel "${p.title}": ${e}`)),
  ...result.panels.filter((p) => !p.errors?.length && empty(p)).map((p) => `panel "${p.title}": no data`),
  ...result.variables.filter((v) => v.error || v.options === 0).map((v) => `variable ${v.name}: ${v.error ?? 'no value'}`),
  ...result.annotations.filter((a) => a.error).map((a) => `annotation ${a.name}: ${a.error}`),
  ...result.warnings,
  ...result.unsupported.map((u) => `not supported by the renderer: ${u}`),
  ...logged.map((l) => `page: ${l}`),
];
result.queries = queries;
if (opt.report) {
  writeFileSync(opt.report, JSON.stringify(result, null, 2));
}
for (const p of result.panels) {
  console.log(`${empty(p) || p.errors?.length ? 'BAD' : 'ok '} ${p.type.padEnd(15)} ${p.title}: ${(p.frames ?? []).length} frames, ${(p.frames ?? []).reduce((n, f) => n + f.rows, 0)} rows`);
}
result.problems.forEach((p) => console.log(`PROBLEM ${p}`));
process.exit(result.problems.length ? 1 : 0);
