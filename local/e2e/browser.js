// The browser, and people who use the page in it.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { keycloak, login } from './issuer.js';

const results = fileURLToPath(new URL('test-results/', import.meta.url));

export function launch() {
  const executablePath = process.env.CHROMIUM
    ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  if (!executablePath) throw new Error('no Chromium: install one, or name it by CHROMIUM');
  const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  return chromium.launch({ executablePath, args });
}

// Person is somebody with a window on the page.
export class Person {
  // arrive opens the page in a new tab of the context and logs in.
  static async arrive(context, url, name, met = () => {}) {
    if (keycloak) await context.clearCookies(); // or it would take this one for the last who came
    const page = await context.newPage();
    const person = new Person(page, name);
    met(person);
    await page.goto(url);
    await page.getByTestId('login').click();
    await login(page, url, name);
    await person.connected();
    return person;
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.faults = []; // of the page's own
    this.heard = []; // what the browser said, for a journey that fails
    page.on('requestfailed', (r) => this.heard.push(`${r.method()} ${r.url()}: ${r.failure()?.errorText}`));
    page.on('response', (r) => r.status() >= 400 && this.heard.push(`${r.status()} ${r.url()}`));
    page.on('console', (m) => this.heard.push(`${m.type()}: ${m.text()}`));
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (err) => this.faults.push(String(err.stack ?? err)));
    page.on('console', (m) => {
      if (m.type() === 'error' && /Content Security Policy|Trusted/.test(m.text())) this.faults.push(m.text());
    });
  }

  at(id) { return this.page.getByTestId(id); }

  message(text) { return this.at('log').getByTestId('message').filter({ hasText: text }); }

  connected() { return this.page.locator('body[data-connection=live]').waitFor(); }

  async createChannel(name, topic = '') {
    await this.at('new-channel').click();
    await this.at('create-name').fill(name);
    await this.at('create-topic').fill(topic);
    await this.at('create-submit').click();
    await this.page.getByRole('heading', { name }).waitFor();
  }

  async join(name) {
    await this.at('browse').click();
    await this.page.getByRole('button', { name: `Join ${name}` }).click();
    await this.page.getByRole('heading', { name }).waitFor();
  }

  async open(name) {
    await this.at('channels').getByRole('link', { name }).click();
    await this.page.getByRole('heading', { name }).waitFor();
  }

  async say(text) {
    await this.at('compose').fill(text);
    await this.at('compose').press('Enter');
  }

  // texts is what the log shows, from top to bottom.
  texts() { return this.at('log').locator('.text').allTextContents(); }

  // finish checks that the page had no fault of its own.
  finish() {
    assert.deepEqual(this.faults, [], `faults on the page of ${this.name}`);
  }
}

// until waits for a condition, for at most ten seconds.
export async function until(what, condition, timeout = 10_000) {
  const end = Date.now() + timeout;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > end) throw new Error(`not within ${timeout / 1000} s: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// journey runs a story in a fresh browser profile and keeps pictures of the
// pages where it fails.
export function journey(browser, tell, options = {}) {
  return async (t) => {
    const context = await browser().newContext({ viewport: { width: 1200, height: 760 }, ...options });
    const people = [];
    const arrive = (url, name) => Person.arrive(context, url, name, (p) => people.push(p));
    try {
      await tell({ context, arrive, t });
      for (const p of people) p.finish();
    } catch (err) {
      await mkdir(results, { recursive: true });
      const name = t.name.replace(/\W+/g, '-');
      for (const [i, page] of context.pages().entries()) {
        await page.screenshot({ path: `${results}${name}-${i}.png` }).catch(() => {});
      }
      for (const p of people) t.diagnostic(`${p.name}'s browser said:\n  ${p.heard.slice(-30).join('\n  ')}`);
      throw err;
    } finally {
      await context.close();
    }
  };
}
