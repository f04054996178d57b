import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey } from '../browser.js';
import { keycloak, renew } from '../issuer.js';
import { stage, unique } from '../stage.js';

const s = stage();

// A browser that copies a tab copies its tokens, and a refresh token is good once.
test('a copied tab logs in for itself', journey(() => s.browser, async ({ context, arrive }) => {
  const alice = await arrive(s.url, unique('alice'));
  const { refresh } = await alice.session();
  const copy = await context.newPage();
  await copy.goto(s.url);
  await copy.evaluate((tokens) => sessionStorage.setItem('chat.session', JSON.stringify(tokens)), await alice.session());
  await copy.goto(s.url);
  // The development issuer remembers no browser and asks, Keycloak lets it in.
  if (keycloak) {
    await copy.waitForFunction((used) => {
      const own = JSON.parse(sessionStorage.getItem('chat.session'));
      return own && own.refresh !== used && document.body.dataset.connection === 'live';
    }, refresh, { timeout: 60_000 });
  } else {
    await copy.getByLabel('Your name').waitFor({ timeout: 60_000 });
  }
  await alice.page.reload();
  await alice.connected();
  const own = await alice.session();
  assert.equal(own.refresh, refresh, 'the first tab keeps its session');
  assert.ok((await renew(s.url, own.refresh)).access_token, 'which has not ended');
}));
