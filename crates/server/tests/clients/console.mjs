// The console in a real browser (Debian's Chromium), story by story.
//
// usage: node console.mjs MODULES STORY BASE NAME PASSWORD SHOTS [MORE…]
//
//   MODULES   the folder that has node_modules (playwright-core, axe-core)
//   STORY     one of those below
//   BASE      where the server is; NAME and PASSWORD are of a user who may do everything
//   SHOTS     a folder for screenshots; `-` for none
//   MORE      what a story needs besides: it says so itself
//
// The story `live` prints `ready` when somebody else may change something.
//
// Every story fails when the page breaks its own policy, says anything on the console that is an error, opens a dialog
// of JavaScript, asks another host, or has something that axe-core finds wrong.
import assert from 'node:assert/strict';
import path from 'node:path';

import { accessible, base, browser, close, context, faults, forgiven, name, page, password, shots, signIn, upload } from './console/harness.mjs';
import { apps } from './console/apps.mjs';
import { audit } from './console/audit.mjs';
import { budget } from './console/budget.mjs';
import { entrance } from './console/entrance.mjs';
import { holds } from './console/holds.mjs';
import { machines } from './console/machines.mjs';
import { lost } from './console/lost.mjs';
import { patience } from './console/patience.mjs';
import { pictures } from './console/pictures.mjs';

const story = process.argv[3];

/** What stands only in a text is found by the server; what it refuses is said. */
async function searches() {
  const search = page.getByRole('searchbox', { name: 'Search names' });
  const finds = async (typed, files) => {
    await search.fill(typed);
    await page.getByRole('status').filter({ hasText: `${files} of 3 files` }).waitFor();
  };
  await finds('proc', 1);
  await finds('get-process', 1);
  await finds('"$HOME"', 1);
  await finds('bin/sh AND', 0);
  await finds('\\" (OR* ---', 0);
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.getByRole('heading', { name: 'No file matches' }).waitFor();
  await accessible('a search that finds nothing');
  await page.getByRole('button', { name: 'Clear search and filters' }).click();
  await page.getByRole('status').filter({ hasText: /^3 files/ }).waitFor();
  await search.fill('many '.repeat(21));
  await page.getByRole('alert').filter({ hasText: 'shorten the search' }).waitFor();
  await search.fill('');
}

const stories = {
  /** From nothing to a script that is read, replaced, compared and restored, without reading documentation. */
  async 'first-hour'() {
    await signIn();
    await page.getByRole('heading', { name: 'Put the first script into the library' }).waitFor();
    await accessible('the empty library');
    await upload({ 'triage.ps1': 'Get-Process # all\n', 'look.sh': '#!/bin/sh\necho "$HOME"\n', 'tool.bin': Buffer.from([0, 1, 2, 255]) });
    await page.getByRole('dialog').getByText('done').nth(2).waitFor();
    await accessible('the uploads');
    await close();
    await page.getByRole('status').filter({ hasText: '3 files' }).waitFor();
    await accessible('the library');
    // By keyboard: find it, walk to it, open it.
    await page.keyboard.press('/');
    await page.keyboard.type('triage');
    await page.getByRole('status').filter({ hasText: '1 of 3 files' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'triage.ps1' }).waitFor();
    await page.locator('.code .c', { hasText: '# all' }).waitFor();
    await accessible('a file');
    // Replaced after a look at the difference.
    await page.goBack();
    await searches();
    await upload({ 'triage.ps1': 'Get-Process # all\nGet-Service\n' });
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Show what differs' }).click();
    await dialog.locator('tr.added', { hasText: 'Get-Service' }).waitFor();
    await dialog.getByRole('button', { name: 'Replace it' }).click();
    await dialog.getByText('Replaced, version 2').waitFor();
    await close();
    await page.getByRole('link', { name: 'triage.ps1' }).click();
    await page.getByRole('tab', { name: 'Differences' }).click();
    await page.locator('.diff tr.added', { hasText: 'Get-Service' }).waitFor();
    await page.getByLabel('Side by side').check();
    await page.locator('.diff.side td.added', { hasText: 'Get-Service' }).waitFor();
    await accessible('a difference');
    await page.getByRole('tab', { name: 'History' }).click();
    await page.getByRole('row', { name: /Uploaded/ }).getByRole('button', { name: 'Restore' }).click();
    await page.getByRole('row', { name: /Restored/ }).waitFor();
    await accessible('the history');
    // Reloaded in the middle, it is the same page.
    await page.reload();
    await page.getByRole('heading', { name: 'triage.ps1' }).waitFor();
    await page.getByRole('tab', { name: 'History', selected: true }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('status').filter({ hasText: '2 files' }).waitFor();
    await page.getByRole('link', { name: 'Deleted' }).click();
    await page.getByRole('row', { name: /triage.ps1/ }).getByRole('button', { name: 'Restore' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Restore' }).click();
    await page.getByRole('heading', { name: 'triage.ps1' }).waitFor();
  },

  /** What anybody is called is text, wherever it shows. */
  async hostile() {
    await signIn();
    const evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>';
    const script = `${evil}\n'; alert(3) //\n<svg onload=alert(4)>\n`;
    const odd = { 'evil &quot;x&quot;.ps1': script, '\u05e9\u05dc\u05d5\u05dd.sh': '#!/bin/sh\n', 'utf16.ps1': Buffer.from('\ufeffWrite-Host "\u00e4"\n', 'utf16le') };
    await upload(odd);
    await page.getByRole('dialog').getByText('done').nth(2).waitFor();
    await close();
    for (const file of Object.keys(odd)) {
      await page.getByRole('link', { name: file, exact: true }).click();
      await page.getByRole('heading', { name: file }).waitFor();
      await page.getByRole('button', { name: 'Edit' }).click();
      for (const field of ['Description', 'Parameters', 'Category', 'Instructions']) await page.getByLabel(field, { exact: true }).fill(evil.slice(0, 60));
      await page.getByLabel(/^Tags/).fill('"><img onerror=alert(5)>');
      await page.getByRole('button', { name: 'Save' }).click();
      await page.locator('.facts').getByText('"><img onerror=alert(5)>').waitFor();
      await page.locator('.code .line').first().waitFor();
      await page.getByRole('tab', { name: 'Differences' }).click();
      await page.getByRole('tab', { name: 'History' }).click();
      await page.getByRole('row', { name: /Described anew/ }).waitFor();
      await page.getByRole('link', { name: 'Library' }).first().click();
    }
    await page.getByRole('link', { name: 'utf16.ps1' }).click();
    await page.locator('.code').getByText('Write-Host').waitFor();
    await page.locator('.code .s', { hasText: '\u00e4' }).waitFor();
    assert.equal(await page.locator('img[src="x"], main script, main svg[onload]').count(), 0);
  },

  /** A session that is over, a server that is away, files that cannot be. */
  async trouble() {
    await signIn();
    await upload({ 'empty.ps1': '', 'large.bin': Buffer.alloc(2_000_001, 1) });
    await page.getByRole('alert').filter({ hasText: 'Empty' }).waitFor();
    await page.getByRole('alert').filter({ hasText: 'Too large' }).waitFor();
    await close();
    forgiven.push(/Failed to load resource|ERR_INTERNET_DISCONNECTED|EventSource/);
    await context.setOffline(true);
    await page.getByRole('link', { name: 'Deleted' }).click();
    await page.getByRole('alert').filter({ hasText: 'No answer from the server' }).waitFor();
    await context.setOffline(false);
    await context.clearCookies();
    await page.getByRole('link', { name: 'Library' }).first().click();
    await page.getByLabel('Password').waitFor();
    assert.match(page.url(), /\/signin\?to=/);
    // Signed in again, one is where one was.
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
    await accessible('the sign-in');
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('navigation', { name: 'Main' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Password').waitFor();
    await page.goto(`${base}/`);
    await page.getByLabel('Password').waitFor();
  },

  /** Somebody else's change shows without being asked for; thousands of rows are no burden. */
  async live() {
    await signIn();
    await page.getByRole('status').filter({ hasText: /2,?000 files/ }).waitFor();
    const rows = await page.locator('tbody tr').count();
    assert.ok(rows < 100, `${rows} rows are elements`);
    await page.getByRole('region', { name: 'Library' }).focus();
    await page.keyboard.press('End');
    await page.getByRole('link', { name: 'script-1999.ps1' }).waitFor();
    process.stdout.write('ready\n');
    await page.getByRole('status').filter({ hasText: /2,?001 files/ }).waitFor();
  },

  ...apps,
  ...audit,
  ...budget,
  ...entrance,
  ...holds,
  ...lost,
  ...machines,
  ...patience,
  ...pictures,
};

try {
  await stories[story]();
  assert.deepEqual(faults, []);
} catch (error) {
  if (shots !== '-') await page.screenshot({ path: path.join(shots, `failed-${story}.png`) }).catch(() => {});
  console.error(error, faults, page.url());
  process.exitCode = 1;
} finally {
  await browser.close();
}
