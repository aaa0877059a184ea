// A real agent runs what the page asks for. MORE is a folder for the pipes that its scripts wait at.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

import { accessible, base, close, context, dialog, more, page, signIn, upload, visit } from './harness.mjs';

const WAITS = '#!/bin/sh\necho "begun with $1"\necho oops >&2\ncat "$2"\necho kept > "$JUMPBAG_FILES/out.txt"\n';

function pipe(name) {
  const at = path.join(more[0], name);
  execFileSync('mkfifo', [at]);
  return at;
}

/** Opens the dialog on the only machine and fills it in. */
async function fillIn(fields) {
  await visit('Machines');
  await page.getByRole('button', { name: 'Run a script' }).click();
  for (const [label, value] of Object.entries(fields)) await dialog().getByLabel(label).fill(value);
}

async function run(fields) {
  await fillIn(fields);
  await dialog().getByRole('button', { name: 'Run' }).click();
}

/** What is downloaded by the button of a command. */
async function result(command) {
  const waiting = page.waitForEvent('download');
  await page.getByRole('link', { name: `Result of command ${command}` }).click();
  return readFile(await (await waiting).path());
}

const status = (text) => page.getByRole('main').getByRole('status').filter({ hasText: text }).waitFor();
const log = () => page.getByRole('log', { name: 'Output of command 0' });

export const machines = {
  /** An empty page says what to type; the machine that comes by it shows without a reload. Prints `ready` when it may enrol. */
  async enrolling() {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await signIn('/machines');
    await page.getByRole('heading', { name: 'No machine has enrolled yet' }).waitFor();
    await accessible('no machines');
    await page.getByRole('button', { name: 'Copy: the command for the server' }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `jumpbag-server enroll create --url ${base}`);
    process.stdout.write('ready\n');
    // No reload: it comes by itself.
    await page.getByRole('row', { name: /seen / }).waitFor();
  },

  /** A script runs on a machine, is followed, fetched from and cancelled; the library knows where which version ran. */
  async machines() {
    await signIn();
    await upload({ 'waits.sh': WAITS, 'long.sh': '#!/bin/sh\necho waiting\nexec cat "$1"\n' });
    await dialog().getByText('done').nth(1).waitFor();
    await close();
    await visit('Machines');
    await page.getByRole('row', { name: /seen / }).waitFor();
    await accessible('the machines');

    const go = pipe('go');
    await run({ 'Script of the library': 'waits.sh', Arguments: `"two words" '${go}'`, Comment: 'case 4711', 'Then fetch': 'out.txt' });
    await log().getByText('begun with two words').waitFor();
    await log().locator('.stderr', { hasText: 'oops' }).waitFor();
    await status('InProgress');
    await accessible('an action that runs');
    // Whoever reads the output is not disturbed by what happens around it.
    await log().focus();
    const action = page.url();
    assert.match(action, /\/actions\/[0-9a-f-]{36}$/);

    // The machine is busy: that is said, and what was typed stays.
    await run({ 'Script of the library': 'long.sh', Comment: 'too early' });
    await dialog().getByRole('alert').filter({ hasText: 'already in progress' }).waitFor();
    assert.equal(await dialog().getByLabel('Comment').inputValue(), 'too early');
    await accessible('a refusal');
    await dialog().getByRole('button', { name: 'Cancel' }).click();

    await page.goto(action);
    await log().getByText('begun with two words').waitFor();
    await log().evaluate((element) => { element.stays = true; });
    await log().focus();
    await writeFile(go, 'from outside\n');
    await log().getByText('from outside').waitFor();
    await status('Succeeded');
    assert.ok(await log().evaluate((element) => element.stays && document.activeElement === element), 'the output is another element now');
    await accessible('an action that has ended');
    const { exit_code, script_output, script_errors } = JSON.parse(await result(0));
    assert.deepEqual([exit_code, script_output, script_errors], [0, 'begun with two words\nfrom outside\n', 'oops\n']);
    assert.equal(gunzipSync(await result(1)).toString(), 'kept\n');

    await run({ 'Script of the library': 'long.sh', Arguments: pipe('never'), Comment: 'another' });
    await log().getByText('waiting').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await accessible('a cancel');
    await dialog().getByLabel('Why').fill('enough');
    await dialog().getByRole('button', { name: 'Cancel the action' }).click();
    await status('Cancelled');
    await page.getByText('the command was cancelled while it ran').waitFor();
    await page.getByText(/by alice: enough/).waitFor();
    await accessible('an action that was cancelled');
    assert.match(JSON.parse(await result(0)).script_output, /^waiting\n$/);

    await visit('Actions');
    await page.getByRole('row', { name: /Succeeded waits\.sh, out\.txt alice case 4711/ }).waitFor();
    await page.getByRole('row', { name: /Cancelled long\.sh/ }).waitFor();
    await accessible('the actions');
    await page.goto(`${base}/files/waits.sh#runs`);
    await page.getByRole('row', { name: /1 Succeeded alice/ }).waitFor();
    await accessible('where it ran');

    // What ran is no longer what is there.
    await visit('Library');
    await upload({ 'waits.sh': `${WAITS}rm -rf "$JUMPBAG_FILES"\n` });
    await dialog().getByRole('button', { name: 'Replace it' }).click();
    await dialog().getByText('Replaced, version 2').waitFor();
    await close();
    await fillIn({ 'Script of the library': 'waits.sh' });
    await dialog().getByText('Its text has changed since it last ran, as version 1.').waitFor();
    await accessible('a warning');
    const opens = page.waitForEvent('popup');
    await dialog().getByRole('link', { name: /Look at the differences/ }).click();
    const other = await opens;
    await other.locator('.diff tr.added', { hasText: 'rm -rf' }).waitFor();
    await other.close();
    // A text that has not changed is not warned of.
    await dialog().getByLabel('Script of the library').fill('long.sh');
    await dialog().getByText('Its text has changed').waitFor({ state: 'detached' });
  },
};
