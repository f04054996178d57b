import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { openProxy } from '../proxy.js';
import { stage, unique } from '../stage.js';
import { User } from '../user.js';

const s = stage();

// wired gives alice a page behind a wire that can be cut, in a channel with bob,
// who is not behind it.
async function wired(arrive) {
  const wire = await openProxy(s.url);
  const name = unique('Harbour');
  const bob = await User.login(s.url, unique('bob'));
  const id = await bob.createChannel(name);
  await bob.say(id, 'Message 0');
  const alice = await arrive(wire.url, unique('alice'));
  await alice.join(name);
  await alice.message('Message 0').waitFor();
  return { wire, bob, id, alice };
}

const lost = (person) => person.at('banner').filter({ hasText: 'Connection lost' }).waitFor();

test('a dropped connection shows, comes back, and misses nothing', journey(() => s.browser, async ({ arrive }) => {
  const { wire, bob, id, alice } = await wired(arrive);
  try {
    for (let round = 0; round < 2; round++) {
      wire.cut();
      await lost(alice);
      for (let i = 1; i <= 30; i++) await bob.say(id, `Message ${round * 30 + i}`);
      await alice.say(`Mine ${round}`);
      await alice.at('pending').getByText(`Mine ${round}`).waitFor();
      wire.mend();
      await alice.at('banner').filter({ hasText: 'Connected again' }).waitFor();
      await alice.message(`Mine ${round}`).waitFor();
      await until('all are there', async () => (await alice.texts()).includes(`Message ${round * 30 + 30}`));
    }
    const texts = await alice.texts();
    const theirs = texts.filter((text) => text.startsWith('Message'));
    assert.deepEqual(theirs, Array.from({ length: 61 }, (_, i) => `Message ${i}`), 'all, once, in order');
    assert.deepEqual(texts.filter((text) => text.startsWith('Mine')), ['Mine 0', 'Mine 1']);
    const { messages } = await bob.history(id);
    assert.deepEqual(texts, messages.map((m) => m.text), 'the page shows what the log holds');
    assert.equal(await alice.at('pending').locator('li').count(), 0);
  } finally {
    await wire.close();
  }
}));

test('more than a resume replays is read from the history', journey(() => s.browser, async ({ arrive }) => {
  const { wire, bob, id, alice } = await wired(arrive);
  const MISSED = 230; // a resume replays 200 of a channel
  try {
    wire.cut();
    await lost(alice);
    for (let i = 1; i <= MISSED; i++) await bob.say(id, `Message ${i}`);
    wire.mend();
    await until('all are there', async () => (await alice.texts()).at(-1) === `Message ${MISSED}`, 30_000);
    assert.deepEqual(await alice.texts(), Array.from({ length: MISSED + 1 }, (_, i) => `Message ${i}`));
    await bob.say(id, 'And on');
    await alice.message('And on').waitFor();
  } finally {
    await wire.close();
  }
}));

test('a message whose answer is lost is sent again and stays one', journey(() => s.browser, async ({ arrive }) => {
  const { wire, bob, id, alice } = await wired(arrive);
  try {
    wire.mute();
    await alice.say('Only once');
    await until('the platform has it', async () => (await bob.history(id)).messages.some((m) => m.text === 'Only once'));
    await alice.at('pending').getByText('Only once').waitFor();
    wire.mend();
    await alice.message('Only once').waitFor();
    await until('nothing is left to send', async () => (await alice.at('pending').locator('li').count()) === 0, 30_000);
    await alice.say('And on');
    await alice.message('And on').waitFor();
    assert.deepEqual(await alice.texts(), ['Message 0', 'Only once', 'And on']);
    const { messages } = await bob.history(id);
    assert.deepEqual(messages.map((m) => m.text), ['Message 0', 'Only once', 'And on']);
  } finally {
    await wire.close();
  }
}));

test('what waits to be sent outlives a reload', journey(() => s.browser, async ({ arrive }) => {
  const { wire, bob, id, alice } = await wired(arrive);
  try {
    await alice.page.route('**/messages', (route) => route.abort());
    await alice.say('Kept');
    await alice.at('pending').getByText('waiting to be sent').waitFor();
    await alice.page.unroute('**/messages');
    await alice.page.reload();
    await alice.message('Kept').waitFor();
    assert.deepEqual((await bob.history(id)).messages.map((m) => m.text), ['Message 0', 'Kept']);
  } finally {
    await wire.close();
  }
}));

test('the page comes back after a restart of the platform', journey(() => s.browser, async ({ arrive, t }) => {
  if (!s.platform.ours) return t.diagnostic('the platform at URL is not ours to restart');
  const { wire, bob, id, alice } = await wired(arrive);
  try {
    await s.platform.restart();
    await alice.connected();
    await bob.say(id, 'Message 1');
    await alice.message('Message 1').waitFor();
    assert.deepEqual(await alice.texts(), ['Message 0', 'Message 1']);
  } finally {
    await wire.close();
  }
}));
