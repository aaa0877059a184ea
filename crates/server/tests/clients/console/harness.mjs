// The browser that the stories of `console.mjs` are told in, and what they all need. Whatever is not as it should be is
// collected in `faults`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

const [modules, , base, name, password, shots, ...more] = process.argv.slice(2);
const require = createRequire(path.join(modules, 'package.json'));
const { chromium } = require('playwright-core');
const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

export const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
export const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
export const page = await context.newPage();
export const faults = [];
// What the API refuses, and the pages tell in words.
export const forgiven = [/Failed to load resource: the server responded with a status of 4/];
/** What is answered when the page asks whether it may be left, and how often it did. */
export const leaving = { may: false, asked: 0 };
page.on('dialog', (dialog) => {
  if (dialog.type() === 'beforeunload') {
    leaving.asked += 1;
    return leaving.may ? dialog.accept() : dialog.dismiss();
  }
  faults.push(`a dialog: ${dialog.message()}`);
  return dialog.dismiss();
});
page.on('pageerror', (error) => faults.push(`an error: ${error.message}`));
page.on('console', (message) => {
  const text = message.text();
  if (message.type() === 'error' && !forgiven.some((pattern) => pattern.test(text))) faults.push(`the console says: ${text}`);
});
page.on('request', (request) => {
  if (!request.url().startsWith(base) && !request.url().startsWith('data:') && !request.url().startsWith('blob:')) faults.push(`asks ${request.url()}`);
});
await page.addInitScript(() => {
  document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
});

export async function accessible(what) {
  // Evaluated by the debugger, not as a script of the page: its policy allows none.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`);
  assert.deepEqual(found, [], `axe-core on ${what}`);
}

export async function signIn(to = '/') {
  await page.goto(base + to);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

export async function files(contents) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'console-'));
  return Promise.all(Object.entries(contents).map(async ([file, content]) => {
    const place = path.join(folder, file);
    await writeFile(place, content);
    return place;
  }));
}

export async function upload(contents) {
  await page.getByRole('button', { name: /^(Upload|Choose files)$/ }).first().click();
  await page.locator('#upload-files').setInputFiles(await files(contents));
}

/** A call of the API beside the page, by the page's session. */
export async function api(method, at, options = {}) {
  const answer = await context.request.fetch(base + at, { method, headers: { 'Sec-Fetch-Site': 'same-origin', ...options.headers }, ...options });
  assert.ok(answer.ok(), `${method} ${at}: ${answer.status()} ${await answer.text()}`);
  return answer;
}

/** Puts a file into the library, over the one that is there. */
export const put = (name, content, fields = {}) => api('POST', '/api/libraryfiles', {
  multipart: { ...fields, OverrideIfExists: 'true', file: { name, mimeType: 'text/plain', buffer: Buffer.from(content) } },
});

/** Goes to a place in the bar. */
export const visit = (place) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: place, exact: true }).click();

export const dialog = () => page.getByRole('dialog');

export const close = () => page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();

export { base, more, name, password, shots };
