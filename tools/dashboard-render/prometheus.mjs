// A temporary Prometheus with the data of generate_series.py: on loopback, on a port that the kernel chooses,
// stopped and removed when the work is done.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// A Monday, 15 June 2026, 12:00 UTC: fixed, so that the result does not depend on the day.
export const END = 1781524800;
const here = fileURLToPath(new URL('.', import.meta.url));

function run(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { maxBuffer: 1 << 30, ...options });
  if (status !== 0) {
    throw new Error(`${program} ${args[0]}: ${error?.message ?? stderr}`);
  }
  return stdout;
}

// Prometheus logs the configured address, with port 0; the kernel knows the real one.
function listening(pid) {
  const sockets = new Set();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      sockets.add(readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1]);
    } catch (e) {
      if (e.code !== 'ENOENT') { // closed since the listing
        throw e;
      }
    }
  }
  const LISTEN = '0A';
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (state === LISTEN && sockets.has(inode)) {
      return Number.parseInt(local.split(':')[1], 16);
    }
  }
  return undefined;
}

// Calls work(url) while a Prometheus serves the data `kind`: baseline, incident or fleet.
export async function withSeries(kind, work) {
  const dir = mkdtempSync(join(tmpdir(), 'tradernet-series-'));
  let server;
  try {
    writeFileSync(join(dir, 'data.om'), run('python3', [join(here, 'generate_series.py'), String(END), kind]));
    run('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', join(dir, 'data.om'), join(dir, 'data')]);
    writeFileSync(join(dir, 'prometheus.yml'), 'global: {scrape_interval: 15s}\n');
    const log = openSync(join(dir, 'log'), 'w');
    server = spawn('prometheus', [`--config.file=${join(dir, 'prometheus.yml')}`, `--storage.tsdb.path=${join(dir, 'data')}`,
      '--storage.tsdb.retention.time=100y', '--web.listen-address=127.0.0.1:0'], { stdio: ['ignore', log, log] });
    const ended = new Promise((resolve) => { server.on('exit', resolve).on('error', resolve); });
    const ready = async (url) => fetch(`${url}/-/ready`).then((a) => a.ok, () => false);
    let url;
    for (const end = Date.now() + 30000; !(url && await ready(url)); await new Promise((r) => setTimeout(r, 100))) {
      if (server.pid === undefined || server.exitCode !== null || Date.now() > end) {
        throw new Error(`Prometheus did not start: ${readFileSync(join(dir, 'log'), 'utf8')}`);
      }
      const port = listening(server.pid);
      url = port && `http://127.0.0.1:${port}`;
    }
    try {
      return await work(url);
    } finally {
      server.kill();
      await ended;
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}
