// What is typed into a dialog is not lost: late words of an upload, a colleague's change, Escape, the way back.
import assert from 'node:assert/strict';

import { accessible, api, base, close, dialog, page, put, signIn, upload, visit } from './harness.mjs';

const facts = (text) => page.locator('.facts').getByText(text).waitFor();
const question = () => dialog().filter({ hasText: 'Close it, and lose what is in it?' });

export const lost = {
  /** Words that come after the files were sent are for those too, when one says so. */
  async late() {
    await signIn();
    await upload({ 'one.ps1': 'one\n', 'two.ps1': 'two\n' });
    await dialog().getByText('done').nth(1).waitFor();
    assert.equal(await dialog().getByLabel('Description').evaluate((field) => field === document.activeElement), false);
    await dialog().getByLabel('Description').fill('what it is for');
    await dialog().getByLabel('Tags').fill('triage, windows');
    await dialog().getByText('Files that are in already do not have these words.').waitFor();
    await accessible('late words');
    await dialog().getByRole('button', { name: 'Close' }).click();
    await question().getByRole('button', { name: 'Keep it open' }).click();
    await put('two.ps1', 'changed by somebody else\n');
    await dialog().getByRole('button', { name: 'Describe these 2 files too' }).click();
    await dialog().getByText('described', { exact: true }).waitFor();
    await dialog().getByRole('alert').filter({ hasText: 'Somebody changed it meanwhile' }).waitFor();
    await accessible('words that one file did not get');
    await close();
    await question().getByRole('button', { name: 'Close it' }).click();
    await dialog().waitFor({ state: 'detached' });
    const found = await (await api('GET', '/api/libraryfiles/one.ps1')).json();
    assert.deepEqual([found.description, found.tags], ['what it is for', ['triage', 'windows']]);
  },

  /** Who was slower sees what the other wrote, and chooses. */
  async conflict() {
    await signIn();
    await put('one.ps1', 'one\n', { Description: 'first' });
    await page.getByRole('link', { name: 'one.ps1' }).click();
    const both = async (theirs, mine) => {
      await page.getByRole('button', { name: 'Edit' }).click();
      await api('PATCH', '/api/libraryfiles/one.ps1', { data: { description: theirs, tags: ['theirs'] } });
      await dialog().getByLabel('Description').fill(mine);
      await dialog().getByRole('button', { name: 'Save', exact: true }).click();
      await dialog().getByRole('alert').filter({ hasText: /alice changed this file while you edited it.*version \d/ }).getByText(theirs).waitFor();
      await accessible('a conflict');
    };
    await both('x'.repeat(300), 'mine');
    const over = await dialog().evaluate((element) => element.scrollWidth - element.clientWidth);
    assert.ok(over <= 0, `${over} px too wide`);
    await dialog().getByRole('button', { name: 'Save mine over it' }).click();
    await dialog().waitFor({ state: 'detached' });
    await facts('mine');
    await both('by a colleague', 'mine again');
    await dialog().getByRole('button', { name: 'Take theirs' }).click();
    await dialog().waitFor({ state: 'detached' });
    await facts('by a colleague');
  },

  /** Escape and the way back ask first; without words in it a dialog goes with its page. */
  async escape() {
    await signIn();
    await put('one.ps1', 'one\n');
    await page.getByRole('link', { name: 'one.ps1' }).click();
    const edit = async () => page.getByRole('button', { name: 'Edit' }).click();
    await edit();
    await page.keyboard.press('Escape');
    await dialog().waitFor({ state: 'detached' });
    await edit();
    await dialog().getByLabel('Category').fill('an hour of work');
    await page.keyboard.press('Escape');
    await question().waitFor();
    await accessible('a question');
    await page.keyboard.press('Escape');
    await question().waitFor({ state: 'detached' });
    await page.goBack();
    await question().getByRole('button', { name: 'Keep it open' }).click();
    assert.equal(page.url(), `${base}/files/one.ps1`);
    assert.equal(await dialog().getByLabel('Category').inputValue(), 'an hour of work');
    await page.goBack();
    await question().getByRole('button', { name: 'Close it' }).click();
    await page.getByRole('heading', { name: 'Library' }).waitFor();
    assert.equal(await dialog().count(), 0);
    await page.getByRole('link', { name: 'one.ps1' }).click();
    await edit();
    await page.goBack();
    await page.getByRole('heading', { name: 'Library' }).waitFor();
    assert.equal(await dialog().count(), 0);
    await visit('Deleted');
  },
};
