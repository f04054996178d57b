import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { journey } from '../browser.js';
import { keycloak } from '../issuer.js';
import { stage, unique } from '../stage.js';

const s = stage();
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function check(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`);
  assert.deepEqual(found, [], where);
}

for (const colorScheme of ['light', 'dark']) {
  test(`axe has nothing to complain about, ${colorScheme}`, journey(() => s.browser, async ({ context, arrive }) => {
    const entry = await context.newPage();
    await entry.goto(s.url);
    await entry.getByTestId('login').waitFor();
    await check(entry, 'the start');
    if (!keycloak) { // whose form is not ours
      await entry.getByTestId('login').click();
      await entry.getByLabel('Your name').waitFor();
      await check(entry, 'the login form');
    }

    const alice = await arrive(s.url, unique('alice'));
    await check(alice.page, 'no channel open');
    await alice.at('new-channel').click();
    await check(alice.page, 'new channel');
    await alice.page.keyboard.press('Escape');
    await alice.createChannel(unique('Tower'), 'A topic');
    for (const text of ['one https://example.org/ two', 'three']) await alice.say(text);
    await alice.message('three').waitFor();
    await check(alice.page, 'a channel');
    await alice.at('browse').click();
    await alice.at('public-list').locator('li').first().waitFor();
    await check(alice.page, 'public channels');
    await alice.page.keyboard.press('Escape');
    await alice.at('search').fill('three');
    await alice.at('results').waitFor();
    await check(alice.page, 'search');
    await alice.page.setViewportSize({ width: 360, height: 640 });
    await check(alice.page, 'a phone');
    const wide = await alice.page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `the page is ${wide} pixels wide on a phone of 360`);
  }, { colorScheme, bypassCSP: true, reducedMotion: 'reduce' }));
}

test('everything can be done by keyboard', journey(() => s.browser, async ({ arrive }) => {
  const alice = await arrive(s.url, unique('alice'));
  const { keyboard } = alice.page;
  const focused = () => alice.page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.textContent);
  const tabTo = async (id) => {
    for (let i = 0; i < 40; i++) {
      if ((await focused()) === id) return;
      await keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${id}`);
  };
  const [first, second] = [unique('Anchor'), unique('Bell')];
  for (const name of [first, second]) {
    await tabTo('new-channel');
    await keyboard.press('Enter');
    await tabTo('create-name');
    await keyboard.type(name);
    await keyboard.press('Enter');
    await alice.page.getByRole('heading', { name }).waitFor();
  }
  await tabTo('compose');
  await keyboard.type('first line');
  await keyboard.press('Shift+Enter');
  await keyboard.type('second line');
  await keyboard.press('Enter');
  await alice.message('second line').waitFor();
  assert.deepEqual(await alice.texts(), ['first line\nsecond line']);

  await keyboard.press('Alt+ArrowUp');
  await alice.page.getByRole('heading', { name: first }).waitFor();
  await keyboard.press('Control+k');
  assert.equal(await focused(), 'search');
}));
