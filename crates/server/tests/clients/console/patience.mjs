// What takes long, is large, is refused for now, or is broken off: nothing is lost unseen.
import assert from 'node:assert/strict';

import { accessible, base, close, context, dialog, forgiven, leaving, name, page, password, signIn, upload } from './harness.mjs';

const lines = (count, words) => Array.from({ length: count }, (_, at) => `${words} ${at}\n`).join('');

export const patience = {
  /** More uploads than a minute allows: the page waits, says so, and all arrive. The server allows 14 calls a minute. */
  async limits() {
    await signIn();
    const names = Array.from({ length: 15 }, (_, at) => `script-${at}.ps1`);
    await upload(Object.fromEntries(names.map((one) => [one, `Write-Output ${one}\n`])));
    await dialog().getByText(/The server asks to wait: going on in \d+ s/).first().waitFor();
    // The list behind the dialog waits, too.
    await page.locator('.toast', { hasText: /The server asks to wait: going on in \d+ s/ }).waitFor();
    await accessible('uploads that wait');
    await dialog().getByText('done').nth(14).waitFor({ timeout: 100_000 });
    await close();
    await page.getByRole('status').filter({ hasText: /^15 files/ }).waitFor({ timeout: 70_000 });
  },

  /** Texts of 20 MiB, of many lines and of one long line, and what differs in them. */
  async large() {
    await signIn();
    const huge = `${'x'.repeat(79)}\n`.repeat((20 << 20) / 80);
    const many = { 'huge.txt': huge, 'many.txt': lines(40_000, 'before'), 'long.txt': 'y '.repeat(500_000) };
    await upload(many);
    await dialog().getByText('done').nth(2).waitFor();
    await close();
    await upload({ 'huge.txt': huge.replace('x', 'z'), 'many.txt': lines(40_000, 'after'), 'long.txt': 'z '.repeat(500_000) });
    for (const [said, at] of [['Too large to be compared here.', 0], ['Only the first 20,000 lines are shown', 1]]) {
      await dialog().getByRole('listitem').nth(at).getByRole('button', { name: 'Show what differs' }).click();
      await dialog().getByText(said).waitFor();
    }
    for (const at of [0, 1, 2]) await dialog().getByRole('listitem').nth(at).getByRole('button', { name: 'Replace it' }).click();
    await dialog().getByText('done').nth(2).waitFor();
    await close();
    await page.goto(`${base}/files/huge.txt`);
    await page.getByText('This file has 20 MiB: download it to look at it.').waitFor();
    await page.getByRole('tab', { name: 'Differences' }).click();
    await page.getByRole('alert').filter({ hasText: 'only versions of at most 1048576 are compared' }).waitFor();
    await accessible('a file that is too large');
    await page.goto(`${base}/files/many.txt`);
    await page.getByText('Only the first 20,000 lines are shown').waitFor();
    assert.equal(await page.locator('.code .line').count(), 20_000);
    await page.getByRole('tab', { name: 'Differences' }).click();
    await page.getByText('Only the first 5,000 of 80,000 lines are shown.').waitFor();
    await page.getByLabel('Side by side').check();
    await page.locator('.diff.side').waitFor();
    await page.goto(`${base}/files/long.txt`);
    await page.locator('.code .line', { hasText: 'z z z' }).waitFor();
    await page.getByRole('tab', { name: 'Differences' }).click();
    await page.locator('.diff tr.added').waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `a long line makes the page ${wide} px too wide`);
  },

  /** A session that ends while somebody types: the words stay, and are saved once one has signed in again elsewhere. */
  async expiry() {
    await signIn();
    await upload({ 'triage.ps1': 'Get-Process\n' });
    await dialog().getByText('done').waitFor();
    await close();
    await page.getByRole('link', { name: 'triage.ps1' }).click();
    await page.getByRole('button', { name: 'Edit' }).click();
    await dialog().getByLabel('Instructions').fill('An hour of work.');
    process.stdout.write('ready\n');
    const over = async () => (await context.request.get(`${base}/session`, { headers: { 'Sec-Fetch-Site': 'same-origin' } })).status() === 401;
    while (!await over());
    await dialog().getByRole('button', { name: 'Save' }).click();
    await dialog().getByRole('alert').filter({ hasText: 'Your session is over. What stands here is kept' }).waitFor();
    await accessible('a session that is over');
    // The page did not want to go anywhere.
    assert.equal(leaving.asked, 0);
    // Nor is it lost by a reload that was not meant.
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => location.reload());
    await asked;
    const opens = page.waitForEvent('popup');
    await dialog().getByRole('link', { name: /sign in again/ }).click();
    const other = await opens;
    await other.getByLabel('Name').fill(name);
    await other.getByLabel('Password').fill(password);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await other.getByRole('navigation', { name: 'Main' }).waitFor();
    await other.close();
    assert.equal(await dialog().getByLabel('Instructions').inputValue(), 'An hour of work.');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await dialog().waitFor({ state: 'detached' });
    await page.locator('.facts').getByText('An hour of work.').waitFor();
  },

  /** A reload in the middle of an upload is asked about; one that is meant leaves nothing half done. */
  async reload() {
    await signIn();
    let held = [];
    await page.route('**/api/libraryfiles', (route) => (route.request().method() === 'POST' ? held.push(route) : route.continue()));
    await upload({ 'first.ps1': 'one\n' });
    await dialog().getByText('Sending').waitFor();
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => location.reload());
    await asked;
    await dialog().getByText('Sending').waitFor();
    await Promise.all(held.splice(0).map((route) => route.continue()));
    await dialog().getByText('done').waitFor();
    // What is done is no reason to ask.
    await page.reload();
    assert.equal(leaving.asked, 1);
    await upload({ 'second.ps1': 'two\n' });
    await dialog().getByText('Sending').waitFor();
    leaving.may = true;
    forgiven.push(/ERR_ABORTED/);
    await page.reload();
    assert.equal(leaving.asked, 2);
    await page.getByRole('status').filter({ hasText: /^1 file$/ }).waitFor();
    assert.equal(await dialog().count(), 0);
    held = [];
    await page.unroute('**/api/libraryfiles');
    await upload({ 'second.ps1': 'two\n' });
    await dialog().getByText('done').waitFor();
    await close();
    await page.getByRole('status').filter({ hasText: /^2 files$/ }).waitFor();
  },
};
