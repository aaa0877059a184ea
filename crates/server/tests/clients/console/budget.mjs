// How much a first visit costs: bytes over the wire, and the time until the library is there, on a slow machine at the end of
// a slow line. The bytes are a promise; the time is printed, since no machine of tests is quiet.
import assert from 'node:assert/strict';

import { base, context, page, signIn } from './harness.mjs';

/** As the browser's own tools have them: bits in a second, and milliseconds there and back. */
const LINES = { 'a local network': [100e6, 2], 'a fast 3G line': [1.6e6, 562.5], 'a 4G line': [9e6, 170] };

async function visit(down, latency) {
  const wire = await context.newCDPSession(page);
  await wire.send('Network.enable');
  await wire.send('Network.clearBrowserCache');
  await wire.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  await wire.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: down / 8, uploadThroughput: down / 16 });
  let bytes = 0;
  wire.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  // A page of its own each time: modules of the last one are gone.
  await page.goto('about:blank');
  await page.goto(base, { waitUntil: 'commit' });
  await page.locator('tbody a').first().waitFor();
  const drawn = await page.evaluate(() => window.drawn);
  await page.waitForLoadState('load');
  await wire.detach();
  return { bytes, drawn };
}

export const budget = {
  /** Less than 100 KB, in one round trip for all modules. */
  async budget() {
    await page.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector('tbody a')) return;
        window.drawn = performance.now();
        observer.disconnect();
      }).observe(document, { childList: true, subtree: true });
    });
    await signIn();
    for (const [line, [down, latency]] of Object.entries(LINES)) {
      const times = [];
      let most = 0;
      for (let run = 0; run < 3; run += 1) {
        const { bytes, drawn } = await visit(down, latency);
        times.push(drawn);
        most = Math.max(most, bytes);
      }
      const median = times.sort((one, other) => one - other)[1];
      process.stdout.write(`budget: ${line}, processor slowed down four times: ${most} bytes, library drawn after ${Math.round(median)} ms\n`);
      assert.ok(most > 10_000 && most < 100_000, `${most} bytes`);
    }
    // All modules of the first view are asked for before the first of them has run.
    const { first, last, count } = await page.evaluate(() => {
      const before = performance.getEntriesByType('resource').filter(({ startTime }) => startTime < window.drawn);
      const modules = before.filter(({ name }) => name.endsWith('.js'));
      return { first: Math.min(...modules.map(({ responseEnd }) => responseEnd)), last: Math.max(...modules.map(({ startTime }) => startTime)), count: modules.length };
    });
    assert.ok(count > 5 && last <= first, `the last of ${count} modules is asked for at ${last} ms, the first is there at ${first} ms`);
  },
};
