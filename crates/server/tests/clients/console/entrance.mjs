// How people come in: by the link of a first start, and with an issuer elsewhere.
import assert from 'node:assert/strict';

import { accessible, base, close, context, dialog, faults, more, name, page, password, upload } from './harness.mjs';

export const entrance = {
  /** MORE is the link's path. From there to the first upload nothing has to be read. */
  async 'first-visit'() {
    await page.goto(`${base}/`);
    await page.getByText('Nobody can sign in yet').waitFor();
    await accessible('the sign-in of nobody');
    await page.goto(base + more[0]);
    await accessible('the first visit');
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(`${password}?`);
    await page.getByRole('button', { name: 'Make it and sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'not the same' }).waitFor();
    await accessible('the first visit, refused');
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), name);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password, once more').fill(password);
    await page.getByRole('button', { name: 'Make it and sign in' }).click();
    await page.getByRole('heading', { name: 'Put the first script into the library' }).waitFor();
    await upload({ 'triage.ps1': 'Get-Process\n' });
    await dialog().getByText('done').waitFor();
    await close();
    await page.getByRole('link', { name: 'triage.ps1' }).waitFor();
    await page.goto(base + more[0]);
    await page.getByRole('alert').filter({ hasText: 'This link was used' }).waitFor();
  },

  /** MORE is the issuer, which is another site for the browser. Its user has `Library.Manage`. */
  async elsewhere() {
    await page.goto(`${base}/files/nothing.ps1`);
    const button = page.getByRole('link', { name: 'Sign in with Contoso' });
    await button.waitFor();
    await accessible('the sign-in with a button');
    await button.click();
    // Back where one was going to, and in.
    await page.getByRole('navigation', { name: 'Main' }).waitFor();
    assert.equal(page.url(), `${base}/files/nothing.ps1`);
    await page.getByText('Alice Liddell').waitFor();
    await page.getByRole('link', { name: 'Library' }).first().click();
    await upload({ 'triage.ps1': 'Get-Process\n' });
    await dialog().getByText('done').waitFor();
    await close();
    const cookies = (await context.cookies(base)).filter((cookie) => cookie.name.startsWith('jumpbag'));
    assert.deepEqual(cookies.map((cookie) => [cookie.name, cookie.sameSite, cookie.httpOnly]), [['jumpbag-console', 'Strict', true]]);
    await page.reload();
    await page.getByRole('link', { name: 'triage.ps1' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await button.waitFor();
    await page.goto(`${base}/`);
    await button.waitFor();
    // The issuer was asked by the browser itself, and by no page of ours.
    const asked = faults.filter((fault) => fault.startsWith(`asks ${more[0]}`));
    assert.ok(asked.length > 0);
    faults.splice(0, faults.length, ...faults.filter((fault) => !asked.includes(fault)));
  },
};
