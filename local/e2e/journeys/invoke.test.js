// A function alone in its process, called by the JavaScript SDK's own emitter,
// which knows of no tokens: `chat invoke -serve` adds them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from 'cloudevents';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const binary = process.env.CHAT ?? `${root}bin/chat`;

let child;
let said = '';
let url;

// heard waits until the tool has said something that matches.
async function heard(pattern) {
  for (let tries = 0; tries < 1200; tries++) {
    const found = pattern.exec(said);
    if (found) return found;
    if (child.exitCode !== null) break;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  throw new Error(`no ${pattern} in:\n${said}`);
}

before(async () => {
  child = spawn(binary, ['invoke', '-function', 'sendmessage', '-serve'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const out of [child.stdout, child.stderr]) out.on('data', (b) => { said += b; });
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', resolve);
  });
  url = (await heard(/listens on (http:\S+);[^]*Ctrl-C ends it/))[1];
});

after(async () => {
  if (!child || child.exitCode !== null) return;
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0, said);
});

// The channel and alice, its member, are in the log by the function's given.json.
const send = (text) => new CloudEvent({
  type: 'chat.command.sendmessage.v1', source: '/e2e', data: { channel_id: 'ch_general', text, client_id: crypto.randomUUID() },
});

async function accepted(answer, text) {
  answer.validate();
  assert.equal(answer.type, 'chat.command.sendmessage.v1.answer');
  assert.equal(answer.data.channel_id, 'ch_general');
  await heard(new RegExp(`published to messages.send.ch_general [^]*"id": "${answer.data.id}"[^]*"text": "${text}"`));
}

for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
  test(`emitter, ${mode} mode`, async () => {
    const emit = emitterFor(httpTransport(url), { mode });
    await accepted(HTTP.toEvent(await emit(send(`by the emitter, ${mode}`))), `by the emitter, ${mode}`);
  });
}

test('batch mode', async () => {
  const texts = ['one of a batch', 'two of a batch'];
  const answer = await httpTransport(url)({
    headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify(texts.map(send)),
  });
  const events = HTTP.toEvent(answer);
  assert.equal(events.length, texts.length);
  for (const [i, text] of texts.entries()) await accepted(events[i], text);
});
