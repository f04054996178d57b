// Functions are called with CloudEvents by the JavaScript SDK, in every mode.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import { startPlatform } from '../platform.js';
import { unique } from '../stage.js';
import { User } from '../user.js';

let platform;
let alice;
let channel;
before(async () => {
  platform = await startPlatform();
  alice = await User.login(platform.url, unique('alice'));
  channel = await alice.createChannel(unique('Events'));
});
after(() => platform?.stop());

const send = (text, more = {}) => new CloudEvent({
  type: 'chat.command.sendmessage.v1', source: '/e2e',
  data: { channel_id: channel, text, client_id: crypto.randomUUID() }, ...more,
});

// post gives the answer's status and what the SDK makes of it.
async function post({ headers, body }) {
  const response = await fetch(`${platform.url}/functions/sendmessage`, {
    method: 'POST', body, headers: { ...headers, authorization: `Bearer ${alice.token}` },
  });
  const answer = { headers: Object.fromEntries(response.headers), body: await response.text() };
  return { status: response.status, ...answer, event: response.ok ? HTTP.toEvent(answer) : null };
}

async function accepted(event, text) {
  assert.equal(event.type, 'chat.command.sendmessage.v1.answer');
  event.validate();
  assert.equal(event.data.channel_id, channel);
  const { messages } = await alice.history(channel);
  const stored = messages.find((m) => m.id === event.data.id);
  assert.equal(stored?.text, text);
  assert.equal(stored.seq, event.data.seq);
}

for (const mode of ['binary', 'structured']) {
  test(`${mode} mode`, async () => {
    const event = send(`by ${mode} mode`);
    const first = await post(HTTP[mode](event));
    assert.equal(first.status, 200, first.body);
    await accepted(first.event, `by ${mode} mode`);
    const isBinary = 'ce-id' in first.headers;
    assert.equal(isBinary, mode === 'binary', 'the answer comes in the mode of the request');

    const again = await post(HTTP[mode](event));
    assert.equal(again.event.data.seq, first.event.data.seq, 'the same event again is the same message');
  });
}

test('batch mode', async () => {
  const texts = ['one of a batch', 'two of a batch', 'three of a batch'];
  const headers = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };
  const { status, body, event: events } = await post({ headers, body: JSON.stringify(texts.map((t) => send(t))) });
  assert.equal(status, 200, body);
  assert.equal(events.length, texts.length);
  for (const [i, text] of texts.entries()) await accepted(events[i], text);
});

test('faults come as problems', async () => {
  const invalid = await post(HTTP.binary(send('')));
  assert.equal(invalid.status, 400);
  assert.equal(invalid.headers['content-type'], 'application/problem+json');
  assert.equal(JSON.parse(invalid.body).code, 'empty_message');
  const none = await post({ headers: { 'content-type': 'text/plain' }, body: 'hello' });
  assert.equal(none.status, 415, none.body);
});
