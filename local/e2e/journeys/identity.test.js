import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { keycloak, login, setEnabled } from '../issuer.js';
import { stage, unique } from '../stage.js';

// Tokens live for four seconds here.
const s = stage({ DEV_TOKEN_LIFETIME: '4s' });

const session = (person) => person.page.evaluate(() => JSON.parse(sessionStorage.getItem('chat.session')));

// renew tries a refresh token as the page would, and gives the answer.
async function renew(refresh) {
  const config = await (await fetch(`${s.url}/v1/config`)).json();
  const discovery = await (await fetch(`${config.issuer}/.well-known/openid-configuration`)).json();
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: config.client_id, refresh_token: refresh });
  return (await fetch(discovery.token_endpoint, { method: 'POST', body })).json();
}

test('log in, talk, refresh, log out', journey(() => s.browser, async ({ context, arrive, t }) => {
  const [a, b] = [unique('alice'), unique('bob')];
  const alice = await arrive(s.url, a);
  const name = unique('Door');
  await alice.createChannel(name);
  const bob = await arrive(s.url, b);
  await bob.join(name);
  await bob.say('hello alice');
  await alice.message('hello alice').waitFor();

  const { access, refresh } = await session(alice);
  if (s.platform.ours || keycloak) {
    await until('the tokens are renewed', async () => (await session(alice)).access !== access, 60_000);
    assert.notEqual((await session(alice)).refresh, refresh, 'a refresh token is used once');
  } else {
    t.diagnostic('the tokens of the platform at URL live for longer');
  }
  await alice.say('hello bob');
  await bob.message('hello bob').waitFor();

  const last = await session(bob);
  await bob.at('logout').click();
  await bob.at('login').waitFor();
  assert.equal(await session(bob), null);
  assert.equal((await renew(last.refresh)).error, 'invalid_grant', 'the session has ended at the issuer, too');
  assert.equal(context.pages().length, 2);

  // Whoever logs in after that is asked who they are.
  const c = unique('carol');
  await bob.at('login').click();
  await login(bob.page, s.url, c);
  await bob.connected();
  assert.equal((await session(bob)).name, c);
}));

test('a copied tab logs in for itself', journey(() => s.browser, async ({ context, arrive }) => {
  const a = unique('alice');
  const alice = await arrive(s.url, a);
  const copied = await session(alice);
  const copy = await context.newPage();
  await copy.goto(s.url);
  await copy.evaluate((tokens) => sessionStorage.setItem('chat.session', JSON.stringify(tokens)), copied);
  await copy.reload();
  // The development issuer remembers no browser and asks, Keycloak lets it in.
  if (keycloak) await copy.locator('body[data-connection=live]').waitFor();
  else await copy.getByLabel('Your name').waitFor();
  if (keycloak) assert.notEqual(await copy.evaluate(() => JSON.parse(sessionStorage.getItem('chat.session')).refresh), copied.refresh);
  if (!s.platform.ours && !keycloak) return;
  for (let i = 0; i < 2; i++) {
    const { access } = await session(alice);
    await until('the first tab renews its tokens', async () => (await session(alice)).access !== access, 60_000);
  }
  await alice.page.reload();
  await alice.connected();
}));

// answered begins a login that the issuer answers with what change makes of the
// state that the page sent, and gives what the page says.
async function answered(context, change) {
  const page = await context.newPage();
  await page.goto(s.url);
  await page.route((url) => url.searchParams.has('code_challenge'), (route) => {
    const asked = new URL(route.request().url()).searchParams;
    const back = new URL(asked.get('redirect_uri'));
    for (const [k, v] of Object.entries(change(asked.get('state')))) back.searchParams.set(k, v);
    return route.fulfill({ status: 303, headers: { location: back.href } });
  });
  await page.getByTestId('login').click();
  await until('the page says why', async () => /again|cancelled|refuses/.test(await page.locator('#start-text').textContent().catch(() => '')));
  assert.equal(await page.evaluate(() => location.search), '', 'nothing is left in the address');
  assert.equal(await page.evaluate(() => sessionStorage.getItem('chat.session')), null);
  await page.getByTestId('login').waitFor();
  return page.locator('#start-text').textContent();
}

test('what the issuer refuses is said', journey(() => s.browser, async ({ context }) => {
  const say = (change) => answered(context, change);
  assert.equal(await say((state) => ({ state, error: 'access_denied' })), 'The login was cancelled.');
  assert.equal(await say((state) => ({ state, error: 'temporarily_unavailable', error_description: 'authentication_expired' })),
    'The login took too long. Please log in again.');
  assert.equal(await say((state) => ({ state, error: 'invalid_scope', error_description: 'Invalid scopes: x' })), 'The login server refuses: Invalid scopes: x.');
  assert.match(await say((state) => ({ state, code: 'made-up' })), /^The login server refuses: /);
}));

test('answers to another request are refused', journey(() => s.browser, async ({ context }) => {
  assert.match(await answered(context, () => ({ state: 'of another', code: 'x' })), /begun elsewhere/);
  assert.match(await answered(context, (state) => ({ state, code: 'x', iss: 'https://evil.example' })), /Another login server/);
}));

test('a login whose nonce is not the page\'s is refused', journey(() => s.browser, async ({ context }) => {
  const page = await context.newPage();
  await page.goto(s.url);
  await page.route((url) => url.searchParams.has('code_challenge'), (route) => {
    const asked = new URL(route.request().url());
    if (asked.searchParams.get('nonce') === 'of another') return route.continue();
    asked.searchParams.set('nonce', 'of another');
    return route.fulfill({ status: 303, headers: { location: asked.href } });
  });
  await page.getByTestId('login').click();
  await login(page, s.url, unique('alice'));
  await page.getByText('belongs to another request').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('chat.session')), null);
}));

if (keycloak) {
  test('who is shut out is told so at the next refresh, and cannot come back', journey(() => s.browser, async ({ arrive }) => {
    const a = unique('alice');
    const alice = await arrive(s.url, a);
    await setEnabled(s.url, a, false);
    await alice.at('login').waitFor({ timeout: 60_000 });
    assert.match(await alice.page.locator('#start-text').textContent(), /log in again|ended|disabled/);
    await alice.at('login').click();
    await login(alice.page, s.url, a);
    await alice.page.getByText(/disabled/i).waitFor();
  }));
}
