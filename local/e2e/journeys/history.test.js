import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journey, until } from '../browser.js';
import { stage, unique } from '../stage.js';
import { User } from '../user.js';

const s = stage();
const MESSAGES = 230;

async function seed(t) {
  const writer = await User.login(s.url, unique('writer'));
  const name = unique('Archive');
  const id = await writer.createChannel(name);
  const seqs = [];
  for (let i = 1; i <= MESSAGES; i++) {
    seqs.push((await writer.say(id, `Entry ${i}, ${'words '.repeat(i % 25)}end`)).seq);
  }
  t.diagnostic(`seeded ${MESSAGES} messages`);
  return { writer, name, id, seqs };
}

const numbers = async (person) => (await person.texts()).map((text) => Number(text.match(/^Entry (\d+),/)[1]));

test('history loads upward and keeps the place', journey(() => s.browser, async ({ arrive, t }) => {
  const { writer, name, id } = await seed(t);
  const alice = await arrive(s.url, unique('alice'));
  await alice.join(name);
  await alice.message(`Entry ${MESSAGES},`).waitFor();
  assert.ok((await numbers(alice)).length < MESSAGES, 'only the end is loaded at first');

  for (let first = (await numbers(alice))[0]; first > 1;) {
    // Go to the top; what stands there must stay where it is while older ones come.
    const moved = await alice.page.evaluate(async () => {
      const scroller = document.getElementById('scroller');
      const log = document.getElementById('log');
      const known = log.firstElementChild;
      scroller.scrollTop = 0;
      const before = known.getBoundingClientRect().top;
      const end = Date.now() + 10_000;
      while (log.firstElementChild === known && Date.now() < end) await new Promise(requestAnimationFrame);
      // A day's heading may move to the message above.
      return Math.abs(known.getBoundingClientRect().bottom - before - known.getBoundingClientRect().height);
    });
    assert.ok(moved < 60, `the message at the top moved by ${moved} pixels`);
    const now = (await numbers(alice))[0];
    assert.ok(now < first, `older messages than ${first} come`);
    first = now;
  }
  assert.deepEqual(await numbers(alice), Array.from({ length: MESSAGES }, (_, i) => i + 1), 'all, once, in order');
  await alice.page.getByText('This is where the channel begins.').waitFor();

  // Up there, what is said at the end does not pull one down.
  const before = await alice.at('scroller').evaluate((n) => n.scrollTop);
  await writer.say(id, `Entry ${MESSAGES + 1}, end`);
  await until('the button counts it', async () => (await alice.at('to-latest').textContent()) === '1 new');
  assert.equal(await alice.at('scroller').evaluate((n) => n.scrollTop), before);
  await alice.at('to-latest').click();
  await until('the end is shown', async () => alice.message(`Entry ${MESSAGES + 1},`).isVisible());
}));

test('a link to a message opens the history around it', journey(() => s.browser, async ({ arrive, t }) => {
  const { name, id, seqs } = await seed(t);
  const alice = await arrive(s.url, unique('alice'));
  await alice.join(name);
  await alice.message(`Entry ${MESSAGES},`).waitFor();
  await alice.page.goto(`${s.url}/#/c/${id}/${seqs[99]}`);
  const pointed = alice.message('Entry 100,');
  await pointed.waitFor();
  await until('it is in the middle', async () => {
    const box = await pointed.boundingBox();
    return box && box.y > 100 && box.y < 660;
  });
  const shown = await numbers(alice);
  assert.ok(!shown.includes(MESSAGES), 'the end is elsewhere');

  // Downward the rest comes, without a hole.
  await until('the end is reached', async () => {
    await alice.at('scroller').evaluate((n) => { n.scrollTop = n.scrollHeight; });
    return (await numbers(alice)).includes(MESSAGES);
  });
  const all = await numbers(alice);
  assert.deepEqual(all, Array.from({ length: all.length }, (_, i) => all[0] + i));
}));
