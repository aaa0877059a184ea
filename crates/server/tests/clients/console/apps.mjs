// Apps: registered, given secrets, changed and removed; the secrets are tried where programs bring them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

import { accessible, base, close, context, dialog, page, password, signIn, visit } from './harness.mjs';

const row = (app) => page.getByRole('row', { name: app });
const fact = (name) => dialog().locator(`dt:text-is("${name}") + dd code`).textContent();

/** What is shown once, read before it is closed. */
async function shown() {
  await dialog().getByText('The secret is shown only now').waitFor();
  const app = { tenant: await fact('Tenant'), id: await fact('Client id'), secret: await fact('Client secret') };
  await dialog().getByRole('button', { name: 'Done' }).click();
  // The element itself: one that is closed has no role any more, and goes a moment later.
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes(app.secret), 'the secret is gone from the page');
  return app;
}

/** The status of a token request, and what the token says the app may do. */
async function token({ tenant, id, secret }) {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret, scope: 'https://api.securitycenter.microsoft.com/.default' });
  const answer = await fetch(`${base}/${tenant}/oauth2/v2.0/token`, { method: 'POST', body });
  if (!answer.ok) return [answer.status];
  const claims = (await answer.json()).access_token.split('.')[1];
  return [200, JSON.parse(Buffer.from(claims, 'base64url').toString()).roles];
}

async function remove(app) {
  await row(app).getByRole('button', { name: 'Remove' }).click();
  await dialog().getByRole('button', { name: 'Remove' }).click();
  await row(app).waitFor({ state: 'detached' });
}

export const apps = {
  /** From none to one that works, by what the page shows alone. */
  async apps() {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await signIn();
    await visit('Apps');
    await remove(/first client/);
    await page.getByRole('heading', { name: 'No app is registered yet' }).waitFor();
    await accessible('no apps');

    // What is refused is said, and what was typed stays.
    await page.getByRole('button', { name: 'Add an app' }).click();
    await dialog().getByLabel(/^Name/).fill('Playbook <b>');
    await accessible('a new app');
    await dialog().getByRole('button', { name: 'Add' }).click();
    await dialog().getByRole('alert').filter({ hasText: 'Tick one permission or more' }).waitFor();
    await dialog().getByLabel(/^Library\.Read/).check();
    await dialog().getByLabel(/^Addresses that people come back/).fill('http://app.example/\n');
    await dialog().getByRole('button', { name: 'Add' }).click();
    await dialog().getByRole('alert').filter({ hasText: 'expected https' }).waitFor();
    assert.equal(await dialog().getByLabel(/^Name/).inputValue(), 'Playbook <b>');
    await dialog().getByLabel(/^Addresses that people come back/).fill('https://app.example/a\n\n https://app.example/b\n');
    await dialog().getByRole('button', { name: 'Add' }).click();
    await accessible('a secret that is shown once');
    await page.keyboard.press('Escape');
    await dialog().getByRole('button', { name: 'Keep it open' }).click();
    // The command that is shown lists the library.
    await dialog().getByRole('button', { name: 'Copy: curl' }).click();
    const lines = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(execFileSync('sh', ['-c', lines], { encoding: 'utf8' }), /"value":\[\]/);
    await dialog().getByRole('button', { name: 'Copy: Client secret' }).click();
    await dialog().getByText('Client secret copied').waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const first = await shown();
    assert.equal(copied, first.secret);
    assert.deepEqual(await token(first), [200, ['Library.Read']]);
    await row(/Playbook <b>.*Library\.Read.*1 secret/).waitFor();
    await page.getByRole('status').filter({ hasText: '1 app' }).waitFor();
    await accessible('apps');

    // A new secret beside the old one, then one that ends them.
    const rotated = async (keep) => {
      await row(/Playbook/).getByRole('button', { name: 'Secrets' }).click();
      await dialog().getByLabel(/^When there is a new one/).selectOption({ label: keep });
      await accessible('secrets');
      await dialog().getByRole('button', { name: 'Make a new secret' }).click();
      return shown();
    };
    const second = await rotated('a day');
    for (const good of [first, second]) assert.deepEqual(await token(good), [200, ['Library.Read']]);
    await row(/2 secrets/).waitFor();
    const third = await rotated('not at all: they end at once');
    assert.deepEqual([await token(first), await token(second), (await token(third))[0]], [[401], [401], 200]);
    await row(/1 secret /).waitFor();
    await row(/Playbook/).getByRole('button', { name: 'Secrets' }).click();
    await dialog().getByRole('listitem').filter({ hasText: 'never' }).getByRole('button', { name: 'Remove' }).click();
    await dialog().filter({ hasText: 'Remove this secret?' }).getByRole('button', { name: 'Remove' }).click();
    await dialog().getByRole('listitem').filter({ hasText: 'never' }).waitFor({ state: 'detached' });
    await dialog().getByRole('button', { name: 'Close' }).click();
    await row(/no secret/).waitFor();
    assert.deepEqual(await token(third), [401]);

    await row(/Playbook/).getByRole('button', { name: 'Change' }).click();
    assert.equal(await dialog().getByLabel(/^Addresses that people come back/).inputValue(), 'https://app.example/a\nhttps://app.example/b');
    await dialog().getByLabel(/^Library\.Read/).uncheck();
    await dialog().getByLabel(/^Library\.Manage/).check();
    await dialog().getByLabel(/^Ends/).fill('2999-01-31');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await row(/Playbook.*Library\.Manage.*2999/).waitFor();

    // Without a secret there is none to show.
    await page.getByRole('button', { name: 'Add an app' }).click();
    await dialog().getByLabel(/^Name/).fill('Page');
    await dialog().getByLabel(/^Machine\.Read –/).check();
    await dialog().getByLabel(/^It can keep no secret/).check();
    await dialog().getByRole('button', { name: 'Add' }).click();
    await dialog().getByText('It needs no secret').waitFor();
    await dialog().getByRole('button', { name: 'Done' }).click();
    await row(/Page.*Machine\.Read.*people sign in/).waitFor();
    await page.setViewportSize({ width: 390, height: 900 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${over} px too wide on a phone`);
    await accessible('apps on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });

    // Bob may do less: he is not offered what he may not hand out.
    await context.clearCookies();
    await page.goto(`${base}/apps`);
    await page.getByLabel('Name').fill('bob');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await row(/Playbook.*may do more than you/).waitFor();
    assert.equal(await row(/Playbook/).getByRole('button', { name: 'Change' }).count(), 0);
    await row(/Playbook/).getByRole('button', { name: 'Secrets' }).click();
    await dialog().getByRole('button', { name: 'Close' }).waitFor();
    assert.equal(await dialog().getByRole('button', { name: 'Make a new secret' }).count(), 0);
    await close();
    await page.getByRole('button', { name: 'Add an app' }).click();
    const offered = await dialog().locator('fieldset code').allTextContents();
    assert.deepEqual(offered, ['Library.Read', 'Application.ReadWrite.All']);
    await dialog().getByRole('button', { name: 'Cancel' }).click();
    await remove(/Playbook/);
  },
};
