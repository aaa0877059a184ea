// Every view with something in it, in both themes and at three widths. There is one machine, and the library has the four
// files of the test.
import assert from 'node:assert/strict';
import path from 'node:path';

import { accessible, api, base, dialog, leaving, page, put, shots, signIn, upload } from './harness.mjs';

const SIZES = [[390, 'phone'], [820, 'tablet'], [1440, 'wide']];

const TRIAGE = `param([string]$Name = '*', [int]$Days = 30, [switch]$Hashes)

# What runs, since when, and from where.
$since = (Get-Date).AddDays(-$Days)
Get-Process -Name $Name |
    Where-Object { $_.StartTime -gt $since } |
    Sort-Object StartTime |
    Select-Object Id, Name, StartTime, Path,
        @{ n = 'SHA256'; e = { if ($Hashes) { (Get-FileHash $_.Path).Hash } } }
`;

const PROCESSES = `#!/bin/sh
echo "PID   STARTED   COMMAND"
for n in 1 2 3 4 5 6 7 8; do
  echo "$((n * 117))   10:0$n:12   /usr/sbin/service-$n --config /etc/service-$n.conf"
done
echo "cannot read /proc/1/exe: permission denied" >&2
echo "8 processes"
`;

/** What there is to be seen: changed, deleted, held and run files. */
async function furnish() {
  await put('triage.ps1', TRIAGE, { Description: 'What runs, since when, and from where', ParametersDescription: '-Name <process> -Days <days> -Hashes', Category: 'Triage' });
  await put('processes.sh', PROCESSES, { Description: 'Processes, oldest first', Tags: 'triage,linux', Platforms: 'linux' });
  await put('old-collector.ps1', 'Get-EventLog Security\n');
  await put('case-4711.zip', 'not really');
  for (const name of ['old-collector.ps1', 'case-4711.zip']) await api('DELETE', `/api/libraryfiles/${name}`);
  const { value: [gone] } = await (await api('GET', '/api/deletedlibraryfiles')).json();
  await api('POST', `/api/deletedlibraryfiles/${gone.id}/legalhold`, { data: { hold: true, reason: 'case 4711' } });
  await api('POST', '/api/libraryfiles/procdump.exe/legalhold', { data: { hold: true, reason: 'case 4711' } });
  let machines = [];
  while (machines.length === 0) machines = (await (await api('GET', '/api/machines')).json()).value;
  const commands = [
    { type: 'RunScript', params: [{ key: 'ScriptName', value: 'processes.sh' }, { key: 'Args', value: '--since "two days"' }] },
    { type: 'GetFile', params: [{ key: 'Path', value: '/etc/hostname' }] },
  ];
  const { id } = await (await api('POST', `/api/machines/${machines[0].id}/runliveresponse`, { data: { Comment: 'case 4711', Commands: commands } })).json();
  let status = '';
  while (status !== 'Succeeded') status = (await (await api('GET', `/api/machineactions/${id}`)).json()).status;
  return id;
}

/** Where each view is, what it shows when it is there, and what is done before it is looked at. */
const views = (action) => ({
  library: ['/', 'triage.ps1'],
  file: ['/files/triage.ps1', 'Get-Process'],
  held: ['/files/procdump.exe', 'legal hold: case 4711'],
  history: ['/files/triage.ps1#history', 'Replaced'],
  diff: ['/files/triage.ps1#differences', 'Get-FileHash'],
  beside: ['/files/triage.ps1#differences', 'Get-FileHash', () => page.getByLabel('Side by side').check()],
  runs: ['/files/processes.sh#runs', 'Succeeded'],
  edit: ['/files/triage.ps1', 'Get-Process', () => page.getByRole('button', { name: 'Edit' }).click()],
  upload: ['/', 'triage.ps1', async () => {
    await upload({ 'triage.ps1': TRIAGE.replace('30', '90'), 'empty.ps1': '' });
    await dialog().getByRole('button', { name: 'Show what differs' }).click();
    await dialog().locator('tr.added').waitFor();
  }],
  machines: ['/machines', 'seen '],
  run: ['/machines', 'seen ', async () => {
    await page.getByRole('button', { name: 'Run a script' }).click();
    await dialog().getByLabel('Script of the library').fill('triage.ps1');
    await dialog().getByText('-Name <process>').waitFor();
  }],
  actions: ['/actions', 'Succeeded'],
  action: [`/actions/${action}`, '8 processes'],
  deleted: ['/deleted', 'Kept after deletion'],
  audit: ['/audit', 'library.hold'],
  verify: ['/audit', 'library.hold', async () => {
    await page.getByRole('button', { name: 'Verify' }).click();
    await dialog().getByRole('button', { name: 'Verify' }).click();
    await dialog().getByText(/entries verified/).waitFor();
  }],
});

export const pictures = {
  async pictures() {
    await signIn();
    const action = await furnish();
    leaving.may = true;
    for (const [width, size] of SIZES) {
      await page.setViewportSize({ width, height: 900 });
      for (const theme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme: theme });
        for (const [view, [where, ready, then]] of Object.entries(views(action))) {
          await page.goto('about:blank');
          await page.goto(base + where);
          await page.getByText(ready).first().waitFor();
          await then?.();
          const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.ok(over <= 0, `${view} is ${over} px too wide on ${size}`);
          const boxes = await page.locator('dialog, .card, .items li').evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.className || one.tagName));
          assert.deepEqual(boxes, [], `${view}, ${size}: what is in these is cut off`);
          await accessible(`${view}, ${theme}, ${size}`);
          if (shots !== '-') await page.screenshot({ path: path.join(shots, `${view}-${theme}-${size}.png`) });
        }
      }
    }
  },
};
