// The audit log verified in the browser, as it is and as somebody on the way made it. MORE: a key and a checkpoint that
// were kept elsewhere.
import assert from 'node:assert/strict';

import { accessible, base, dialog, more, page, signIn } from './harness.mjs';

const [key, checkpoint] = more;

async function verify(own = '') {
  await dialog().getByLabel(/^A key or checkpoints/).fill(own);
  await dialog().getByRole('button', { name: 'Verify' }).click();
}

const says = (text) => dialog().getByText(text).waitFor();

/** The export goes through somebody's hands. */
async function altered(change) {
  await page.unroute('**/api/audit?*ndjson');
  await page.route('**/api/audit?*ndjson', async (route) => {
    const response = await route.fetch();
    const lines = (await response.text()).trim().split('\n');
    change(lines);
    await route.fulfill({ response, body: `${lines.join('\n')}\n` });
  });
}

/** An entry that no checkpoint stands behind, and that another follows without a gap. */
function plain(lines) {
  const numbers = lines.map((line) => JSON.parse(line).number);
  const at = numbers.findIndex((number, index) => index > 1 && numbers[index - 1] === number - 1 && numbers[index + 1] === number + 1);
  return { at, number: numbers[at] };
}

const checkpoints = (lines) => lines.filter((line) => line.startsWith('{"checkpoint"'));

export const audit = {
  /** What is good is found good, by the server's key and by one that was kept; what is not is named. */
  async audit() {
    await signIn('/audit');
    await page.getByRole('status').filter({ hasText: /entries/ }).waitFor();
    await accessible('the audit log');
    await page.getByRole('button', { name: 'Verify' }).click();
    await accessible('a dialog to verify');
    await verify();
    // The log comes from a backup that was restored: behind it the numbers leave out a million.
    await says(/^[\d,]+ entries verified, \d+ checkpoints?, head [0-9a-f]{64} \(entry 100\d{4}\)$/);
    await accessible('a log that is good');
    await verify(`${key}\n\n${checkpoint}`);
    await says(/entries verified/);

    await verify(key.replace(/\+[0-9a-f]{8}\+/, '+00000000+'));
    await says("the key's id is not that of its name and bytes");
    await verify(`${key}\n${checkpoint.replace(/\n\d+\n/, '\n1\n')}`);
    await says(/The checkpoint that was kept does not count: the signature by `.*` does not fit its text/);

    let bad = 0;
    await altered((lines) => {
      const { at, number } = plain(lines);
      bad = number;
      lines[at] = lines[at].replace('"action":"', '"action":"x');
    });
    await verify();
    await says('This is not the log that was written.');
    await says(/^entry \d+: altered: entry \d+ has the hash [0-9a-f]{64}, its content [0-9a-f]{64}$/);
    await says(new RegExp(`^entry ${bad}: `));
    await accessible('a log that is not good');
    await altered((lines) => {
      const { at, number } = plain(lines);
      bad = number;
      lines.splice(at, 1);
    });
    await verify();
    await says(new RegExp(`^entry ${bad}: missing: entry ${bad + 1} stands behind entry ${bad - 1}$`));
    await altered((lines) => {
      const at = lines.indexOf(checkpoints(lines)[0]);
      lines[at] = lines[at].replace(/\\n(\d+)\\n/, (_, number) => `\\n${Number(number) + 1}\\n`);
    });
    await verify();
    await says(/^entry \d+: the checkpoint behind it does not count: the signature by `.*` does not fit its text$/);
    // Cut behind its end it is a shorter log, which only a checkpoint that was kept tells.
    await altered((lines) => {
      const seals = checkpoints(lines);
      lines.splice(0, lines.length, ...lines.filter((line) => !seals.includes(line)).slice(0, 3));
    });
    await verify();
    await says(/^3 entries verified, 0 checkpoints/);
    await says('No checkpoint covers what comes behind entry 0 yet.');
    await verify(`${key}\n${checkpoint.replaceAll('\n', '\\n')}`);
    await says(/^entries 4 to \d+: missing: a checkpoint covers entry \d+, and what comes before is entry 3$/);
    // The connection breaks in the middle of a line.
    await altered((lines) => lines.push(lines.pop().slice(0, 20)));
    await verify();
    await says(/^entr.*: the line behind entry \d+ is no entry and no checkpoint/);

    // Many entries, each a hash: they are counted while it goes on, and it can be stopped.
    await page.unroute('**/api/audit?*ndjson');
    let [gone, stop] = [null, null];
    const halted = new Promise((resolve) => { stop = resolve; });
    await page.route('**/api/audit?*ndjson', async (route) => { gone = route; stop(); });
    await verify();
    await halted;
    await dialog().getByRole('button', { name: 'Stop' }).click();
    await says('Cancelled: nothing is proved.');
    await gone.abort().catch(() => {});
    await page.unroute('**/api/audit?*ndjson');
    await verify();
    await says(/entries verified/);
    await dialog().getByRole('button', { name: 'Close' }).click();

    // Over plain HTTP of another host there is nothing to compute with.
    await page.addInitScript(() => Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined }));
    await page.goto(`${base}/audit`);
    await page.getByRole('button', { name: 'Verify' }).click();
    await says(/browsers compute nothing of this kind there/);
    await says('jumpbag audit verify');
    assert.equal(await dialog().getByRole('button', { name: 'Verify' }).count(), 0);
    await accessible('a browser that cannot verify');
  },
};
