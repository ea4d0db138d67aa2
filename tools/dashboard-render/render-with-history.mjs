#!/usr/bin/env node
// Draws the dashboard over a history and writes the picture, the report, or both.
//   node render-with-history.mjs baseline|incident [--out PICTURE.png] [--report REPORT.json] [--dashboard DASHBOARD.json]
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { END, withHistory } from './prometheus.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: opt, positionals: [kind] } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string' }, report: { type: 'string' }, dashboard: { type: 'string', default: file('../../dashboards/tradernet-security-sessions.json') } },
});

process.exitCode = await withHistory(kind, (url) => new Promise((resolve, reject) => {
  const args = [file('render.mjs'), opt.dashboard, '--prometheus', url, '--from', String((END - 6 * 3600) * 1000), '--to', String(END * 1000)];
  for (const name of ['out', 'report']) {
    if (opt[name]) {
      args.push(`--${name}`, opt[name]);
    }
  }
  spawn(process.execPath, args, { stdio: 'inherit' }).on('error', reject).on('exit', resolve);
}));
