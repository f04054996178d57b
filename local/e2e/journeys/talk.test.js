import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { stage, unique } from '../stage.js';
import { User } from '../user.js';

const s = stage();

test('two people in two tabs log in, create, join and talk', journey(() => s.browser, async ({ arrive }) => {
  const name = unique('General');
  const [a, b] = [unique('alice'), unique('bob')];
  const alice = await arrive(s.url, a);
  const bob = await arrive(s.url, b); // a tab of the same browser, and yet somebody else
  assert.equal(await alice.at('me').textContent(), a);
  assert.equal(await bob.at('me').textContent(), b);

  await alice.createChannel(name, 'Everything else');
  await alice.page.getByText('Nothing has been said here yet.').waitFor();
  await bob.join(name);

  await alice.say('Good morning, Bob');
  await bob.message('Good morning, Bob').waitFor();
  await bob.say('Good morning, Alice');
  await alice.message('Good morning, Alice').waitFor();

  // Text stays text.
  await bob.say('<img src=x onerror="document.title=1"> & <b>bold</b>');
  await alice.message('<b>bold</b>').waitFor();
  assert.equal(await alice.at('log').locator('img, b').count(), 0);

  // A reply names what it answers.
  await bob.message('Good morning, Bob').hover();
  await bob.message('Good morning, Bob').getByRole('button', { name: `Reply to ${a}` }).click();
  await bob.say('Slept well?');
  const reply = alice.message('Slept well?');
  await reply.waitFor();
  assert.match(await reply.locator('.quote').textContent(), /Good morning, Bob/);

  const want = ['Good morning, Bob', 'Good morning, Alice', '<img src=x onerror="document.title=1"> & <b>bold</b>', 'Slept well?'];
  for (const p of [alice, bob]) {
    assert.deepEqual(await p.texts(), want);
    await until('nothing is left to send', async () => (await p.at('pending').locator('li').count()) === 0);
  }
}));

test('unread messages are counted until they are seen', journey(() => s.browser, async ({ arrive }) => {
  const [first, second] = [unique('First'), unique('Second')];
  const alice = await arrive(s.url, unique('alice'));
  await alice.createChannel(first);
  await alice.createChannel(second);
  const bob = await User.login(s.url, unique('bob'));
  const { channels } = await bob.call('GET', '/v1/channels?scope=public&limit=100');
  const { id } = channels.find((c) => c.name === first);
  await bob.join(id);
  for (let i = 1; i <= 3; i++) await bob.say(id, `Psst ${i}`);

  const link = alice.at('channels').getByRole('link', { name: first });
  await until('three are unread', async () => (await link.locator('.badge').allTextContents()).join() === '3');
  await until('the title tells', async () => (await alice.page.title()).startsWith('(3)'));
  await alice.page.reload();
  await until('three are unread after a reload', async () => (await link.locator('.badge').allTextContents()).join() === '3');
  await link.click();
  await alice.message('Psst 3').waitFor();
  await until('none is unread', async () => (await link.locator('.badge').count()) === 0);
}));

test('a channel without a name is refused in words', journey(() => s.browser, async ({ arrive }) => {
  const alice = await arrive(s.url, unique('alice'));
  await alice.at('new-channel').click();
  await alice.at('create-submit').click();
  assert.equal(await alice.page.locator('#create-fault').textContent(), 'Please give the channel a name.');
  await alice.page.keyboard.press('Escape');
  assert.equal(await alice.page.locator('#create').isVisible(), false);
}));

test('somebody who left is out, and can come back', journey(() => s.browser, async ({ arrive }) => {
  const name = unique('Garden');
  const alice = await arrive(s.url, unique('alice'));
  const bob = await arrive(s.url, unique('bob'));
  await alice.createChannel(name);
  await bob.join(name);
  await alice.say('before');
  await bob.message('before').waitFor();

  await bob.at('leave').click();
  await bob.at('confirm').click();
  await bob.page.getByRole('heading', { name: 'Welcome' }).waitFor();
  assert.equal(await bob.at('channels').getByRole('link', { name }).count(), 0);
  await alice.say('while away');
  await alice.message('while away').waitFor();

  await bob.join(name);
  await bob.message('while away').waitFor();
  assert.deepEqual(await bob.texts(), ['before', 'while away']);
}));
