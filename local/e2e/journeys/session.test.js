import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { keycloak } from '../issuer.js';
import { stage, unique } from '../stage.js';

// Tokens that live for four seconds are renewed every three.
const s = stage({ DEV_TOKEN_LIFETIME: '4s' });

test('a reload keeps the session and the place', journey(() => s.browser, async ({ arrive }) => {
  const name = unique('Library');
  const who = unique('alice');
  const alice = await arrive(s.url, who);
  await alice.createChannel(name);
  await alice.say('a note');
  await alice.message('a note').waitFor();
  await alice.page.reload();
  await alice.connected();
  assert.equal(await alice.at('me').textContent(), who);
  await alice.page.getByRole('heading', { name }).waitFor();
  await alice.message('a note').waitFor();
  assert.equal(new URL(alice.page.url()).search, '', 'no code is left in the address');
}));

test('tokens are renewed while the socket stays', journey(() => s.browser, async ({ arrive, t }) => {
  const alice = await arrive(s.url, unique('alice'));
  await alice.createChannel(unique('Long'));
  const token = () => alice.page.evaluate(() => JSON.parse(sessionStorage.getItem('chat.session')).access);
  const states = () => alice.page.evaluate(() => window.states);
  await alice.page.evaluate(() => {
    window.states = [];
    new MutationObserver(() => window.states.push(document.body.dataset.connection)).observe(document.body, { attributeFilter: ['data-connection'] });
  });
  if (!s.platform.ours && !keycloak) return t.diagnostic('the tokens of the platform at URL live for longer');
  let last = await token();
  for (let i = 0; i < 3; i++) {
    await until('the token is renewed', async () => (await token()) !== last);
    last = await token();
  }
  await alice.say('still here');
  await alice.message('still here').waitFor();
  assert.deepEqual(await states(), [], 'the socket never went');
}));

test('after logging out one is nobody', journey(() => s.browser, async ({ arrive }) => {
  const alice = await arrive(s.url, unique('alice'));
  await alice.at('logout').click();
  await alice.at('login').waitFor();
  await alice.page.reload();
  await alice.at('login').waitFor();
  assert.equal(await alice.page.evaluate(() => sessionStorage.getItem('chat.session')), null);
}));

test('a page of which a part did not arrive tries again', journey(() => s.browser, async ({ context }) => {
  const page = await context.newPage();
  let broken = true;
  await page.route('**/socket.js', (route) => (broken ? route.abort() : route.continue()));
  await page.goto(s.url);
  await page.getByText('could not be loaded').waitFor();
  broken = false;
  await page.getByTestId('login').waitFor();
}));
