#!/usr/bin/env node
// Renders the dashboard with generated series and writes the picture, the report, or both.
//   node render-with-history.mjs baseline|incident|fleet [--out PICTURE.png] [--height PX] [--report REPORT.json] [--dashboard DASHBOARD.json]
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { END, withSeries } from './prometheus.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: opt, positionals: [kind] } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string' }, report: { type: 'string' }, height: { type: 'string' }, dashboard: { type: 'string', default: file('../../dashboards/tradernet-security-sessions.json') } },
});

process.exitCode = await withSeries(kind, (url) => new Promise((resolve, reject) => {
  const args = [file('render.mjs'), opt.dashboard, '--prometheus', url, '--from', String((END - (kind === 'fleet' ? 1 : 6) * 3600) * 1000), '--to', String(END * 1000)];
  for (const name of ['out', 'report', 'height']) {
    if (opt[name]) {
      args.push(`--${name}`, opt[name]);
    }
  }
  spawn(process.execPath, args, { stdio: 'inherit' }).on('error', reject).on('exit', resolve);
}));
