// Legal holds, of files that live and of deleted ones.
import assert from 'node:assert/strict';

import { accessible, close, dialog, page, signIn, upload, visit } from './harness.mjs';

async function say(button, reason) {
  await dialog().getByLabel(/^Reason/).fill(reason);
  await dialog().getByRole('button', { name: button }).click();
  await dialog().waitFor({ state: 'detached' });
}

export const holds = {
  /** While a file is held it cannot be purged; the reason is there to be read. */
  async holds() {
    await signIn();
    await upload({ "o'brien.ps1": 'Get-Process\n' });
    await dialog().getByText('done').waitFor();
    await close();
    await page.getByRole('link', { name: "o'brien.ps1" }).click();
    await page.getByRole('button', { name: 'Hold' }).click();
    await accessible('a hold');
    // A reason is asked for.
    await dialog().getByRole('button', { name: 'Hold it' }).click();
    assert.equal(await dialog().getByLabel(/^Reason/).evaluate((field) => field.validity.valueMissing), true);
    await say('Hold it', 'case 4711 <b>');
    await page.locator('.hold', { hasText: 'legal hold: case 4711 <b>' }).waitFor();
    await accessible('a file that is held');
    await visit('Library');
    await page.getByRole('row', { name: /o'brien\.ps1 under a legal hold/ }).waitFor();
    await page.getByRole('link', { name: "o'brien.ps1" }).click();
    await page.getByRole('button', { name: 'Lift hold' }).click();
    await say('Lift the hold', 'by mistake');
    await page.locator('.hold').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Hold' }).click();
    await say('Hold it', 'case 4712');
    await page.locator('.hold', { hasText: 'case 4712' }).waitFor();

    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog().getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Put the first script into the library' }).waitFor();
    await visit('Deleted');
    const row = page.getByRole('row', { name: /legal hold: case 4712/ });
    const purge = row.getByRole('button', { name: 'Purge' });
    assert.deepEqual([await purge.isDisabled(), await purge.getAttribute('title')], [true, 'Under a legal hold: lift it first']);
    await accessible('a deleted file that is held');
    // On a phone the buttons are in view without scrolling sideways.
    await page.setViewportSize({ width: 390, height: 900 });
    const { x, width } = await purge.boundingBox();
    assert.ok(x >= 0 && x + width <= 390, `Purge is at ${x}`);
    await accessible('deleted files on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    await row.getByRole('button', { name: 'Lift hold' }).click();
    await say('Lift the hold', 'case closed');
    await page.getByRole('button', { name: 'Hold', exact: true }).click();
    await say('Hold it', 'reopened');
    await page.getByText('legal hold: reopened').waitFor();
    await page.getByRole('button', { name: 'Lift hold' }).click();
    await say('Lift the hold', 'closed again');
    await page.getByRole('button', { name: 'Purge' }).click();
    await dialog().getByLabel('Reason').fill('case closed');
    await dialog().getByRole('button', { name: 'Purge for good' }).click();
    await page.getByRole('heading', { name: 'Nothing was deleted' }).waitFor();
  },
};
