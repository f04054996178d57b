// Issuer is where people log in: the platform's development issuer, which takes
// any name, or with E2E_ISSUER=keycloak a Keycloak with the development realm
// (infra/keycloak/realm), in which whoever comes is made a user first.
//
// KEYCLOAK_ADMIN and KEYCLOAK_ADMIN_PASSWORD are the administrator's (admin,
// admin), CHAT_DEMO_PASSWORD is the password of those users (chat).

import assert from 'node:assert/strict';

export const keycloak = process.env.E2E_ISSUER === 'keycloak';
const password = process.env.CHAT_DEMO_PASSWORD ?? 'chat';

// prepare makes sure that somebody of that name can log in.
export async function prepare(url, name) {
  if (!keycloak) return;
  // By an import, since only that lets a user's id be chosen: what people see of
  // an author is the id.
  const answer = await admin(await issuerOf(url), 'POST', '/partialImport', {
    ifResourceExists: 'SKIP',
    users: [{ id: name, username: name, enabled: true, credentials: [{ type: 'password', value: password, temporary: false }] }],
  });
  assert.equal(answer.added + answer.skipped, 1, `user ${name}: ${JSON.stringify(answer)}`);
}

// login fills the form that the browser was sent to, from the page at url.
export async function login(page, url, name) {
  if (!keycloak) {
    await page.getByLabel('Your name').fill(name);
    return page.getByRole('button', { name: 'Log in' }).click();
  }
  await prepare(url, name);
  await page.locator('#username').fill(name);
  await page.locator('#password').fill(password);
  await page.locator('#kc-login').click();
}

// token is an access token of somebody, without a browser.
export async function token(url, name) {
  await prepare(url, name);
  const discovery = await (await fetch(`${await issuerOf(url)}/.well-known/openid-configuration`)).json();
  const answer = await post(discovery.token_endpoint, {
    grant_type: 'password', client_id: 'chat-tools', username: name, ...(keycloak && { password }),
  });
  return answer.access_token;
}

// setTokenLifetime changes how long Keycloak's access tokens live, in seconds,
// and gives what it was. The development issuer has DEV_TOKEN_LIFETIME.
export async function setTokenLifetime(url, seconds) {
  const issuer = await issuerOf(url);
  const { accessTokenLifespan } = await admin(issuer, 'GET', '');
  await admin(issuer, 'PUT', '', { accessTokenLifespan: seconds });
  return accessTokenLifespan;
}

// setEnabled lets somebody in or shuts somebody out.
export async function setEnabled(url, name, enabled) {
  const issuer = await issuerOf(url);
  const [user] = await admin(issuer, 'GET', `/users?exact=true&username=${encodeURIComponent(name)}`);
  await admin(issuer, 'PUT', `/users/${user.id}`, { enabled });
}

async function issuerOf(url) {
  return (await (await fetch(`${url}/v1/config`)).json()).issuer;
}

// admin calls the realm's admin API.
async function admin(issuer, method, path, body) {
  const [, base, realm] = issuer.match(/^(.*)\/realms\/([^/]+)$/);
  const { access_token: bearer } = await post(`${base}/realms/master/protocol/openid-connect/token`, {
    grant_type: 'password', client_id: 'admin-cli',
    username: process.env.KEYCLOAK_ADMIN ?? 'admin', password: process.env.KEYCLOAK_ADMIN_PASSWORD ?? 'admin',
  });
  const response = await fetch(`${base}/admin/realms/${realm}${path}`, {
    method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path || realm}: ${response.status} ${text}`);
  return text && JSON.parse(text);
}

async function post(endpoint, form) {
  const response = await fetch(endpoint, { method: 'POST', body: new URLSearchParams(form) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`token of ${form.username}: ${answer.error_description}`);
  return answer;
}
