// The platform under test: the one at URL, or bin/chat started for these
// journeys on a free port with an empty data folder.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const binary = process.env.CHAT ?? fileURLToPath(new URL('../../bin/chat', import.meta.url));

// startPlatform gives {url, restart, stop}. settings are environment variables
// of the platform; a platform at URL has its own, and cannot be restarted.
export async function startPlatform(settings = {}) {
  if (process.env.URL) return { url: process.env.URL.replace(/\/$/, ''), ours: false, stop: async () => {} };
  const dir = await mkdtemp(join(tmpdir(), 'chat-e2e-'));
  const port = await freePort();
  const url = `http://localhost:${port}`;
  let child = await start(url, { ...settings, PORT: String(port), DATA_DIR: dir });
  return {
    url,
    ours: true,
    async restart() {
      await end(child);
      child = await start(url, { ...settings, PORT: String(port), DATA_DIR: dir });
    },
    async stop() {
      await end(child);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function start(url, env) {
  const child = spawn(binary, ['run'], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  child.said = '';
  child.stderr.on('data', (b) => { child.said = (child.said + b).slice(-20_000); });
  await new Promise((resolve, reject) => {
    child.once('error', (err) => reject(new Error(`${binary} cannot be started: ${err.message}; build it, or name another by CHAT`)));
    child.once('spawn', resolve);
  });
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) break;
    const ready = await fetch(`${url}/health/readiness`).then((r) => r.ok, () => false);
    if (ready) return child;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  child.kill('SIGKILL');
  throw new Error(`the platform did not become ready; it said:\n${child.said}`);
}

// end asks the platform to drain, which must end well.
async function end(child) {
  if (child.exitCode !== null) throw new Error(`the platform ended by itself; it said:\n${child.said}`);
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  child.kill('SIGTERM');
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  assert.equal(code, 0, `exit after SIGTERM (signal ${signal}); it said:\n${child.said}`);
}

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
