// Stage sets up a file's platform and browser, and takes them down.

import { after, before } from 'node:test';
import { launch } from './browser.js';
import { keycloak, setTokenLifetime } from './issuer.js';
import { startPlatform } from './platform.js';

export function stage(settings) {
  const s = {};
  let lifetime; // of Keycloak's tokens, where this file changes it
  before(async () => {
    s.platform = await startPlatform(settings);
    s.url = s.platform.url;
    if (keycloak && settings?.DEV_TOKEN_LIFETIME) lifetime = await setTokenLifetime(s.url, parseInt(settings.DEV_TOKEN_LIFETIME, 10));
    s.browser = await launch();
  });
  after(async () => {
    await s.browser?.close();
    if (lifetime) await setTokenLifetime(s.url, lifetime);
    await s.platform?.stop();
  });
  return s;
}

let n = 0;

// unique gives names that no other run uses, since a platform at URL keeps what
// earlier runs have left.
export function unique(name) {
  n += 1;
  return `${name}-${process.pid}-${n}`;
}
