import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { stage, unique } from '../stage.js';
import { User } from '../user.js';

const s = stage();

test('search finds what was said, and goes there', journey(() => s.browser, async ({ arrive }) => {
  const writer = await User.login(s.url, unique('writer'));
  const [open, closed] = [unique('Kitchen'), unique('Cellar')];
  const word = `saffron${process.pid}`;
  const kitchen = await writer.createChannel(open);
  const cellar = await writer.createChannel(closed);
  await writer.say(kitchen, `We are out of ${word}, again`);
  for (let i = 0; i < 120; i++) await writer.say(kitchen, `Other talk ${i}`);
  await writer.say(cellar, `There is ${word} down here`);

  const alice = await arrive(s.url, unique('alice'));
  await alice.join(open);
  await alice.message('Other talk 119').waitFor();
  // The index follows the log; until it is there, the page says so and one asks again.
  await until('the message is found', async () => {
    await alice.at('search').fill('');
    await alice.at('search').fill(`out of ${word.slice(0, -2)}`);
    return alice.at('hit').first().waitFor({ timeout: 1500 }).then(() => true, () => false);
  });
  await alice.at('search').fill(word);
  await until('the word alone is marked', async () => (await alice.at('hit').locator('mark').allTextContents()).join() === word);
  assert.equal(await alice.at('hit').count(), 1, 'and nothing from a channel that she is not in');
  assert.equal(await alice.message(word).count(), 0, 'it is not loaded yet');
  await alice.at('hit').click();
  await alice.message(word).waitFor();
  await until('it has the focus', () => alice.message(word).evaluate((n) => n === document.activeElement));

  await alice.at('search').fill('nobody-ever-said-this');
  await until('nothing is found', async () => (await alice.page.locator('#results-note').textContent()).startsWith('Nothing found.'));
  await alice.at('search').press('Escape');
  assert.equal(await alice.at('results').isVisible(), false);
}));

test('on a phone a result gives way to its message', journey(() => s.browser, async ({ arrive }) => {
  const alice = await arrive(s.url, unique('alice'));
  const word = `thyme${process.pid}`;
  await alice.page.setViewportSize({ width: 1200, height: 760 });
  await alice.createChannel(unique('Pantry'));
  await alice.page.setViewportSize({ width: 390, height: 760 });
  await alice.say(`Fresh ${word}`);
  await alice.message(word).waitFor();
  await until('it is found', async () => {
    await alice.at('search').fill('');
    await alice.at('search').fill(word);
    return alice.at('hit').waitFor({ timeout: 1500 }).then(() => true, () => false);
  });
  assert.equal(await alice.at('results').isVisible(), true);
  await alice.at('hit').click();
  await until('the panel is gone', async () => !(await alice.at('results').isVisible()));
  await until('the message has the focus', () => alice.message(word).evaluate((n) => n === document.activeElement));
}));
