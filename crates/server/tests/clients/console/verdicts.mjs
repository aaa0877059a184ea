// What the console's verifier (console/parts/verify.js) says of some logs, without a browser.
//
// usage: node verdicts.mjs VERIFY CASES
//
//   VERIFY    the module
//   CASES     a file: {"key": "…", "kept": ["…"], "logs": ["…"]}
//
// Prints a JSON array: what is said of each log.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const [module, cases] = process.argv.slice(2);
const { Verifier, opened, publicKey, verify } = await import(pathToFileURL(module));
const { key, kept, logs } = JSON.parse(await readFile(cases, 'utf8'));
const keys = [await publicKey(key)];
const checkpoints = await Promise.all(kept.map((note) => opened(note, keys)));
const verdicts = [];
for (const log of logs) {
  try {
    const { entries, checkpoints: seals, last, head, sealed } = await verify(new Blob([log]).stream(), new Verifier(keys, checkpoints));
    verdicts.push(`${entries} entries, ${seals} checkpoints, ${last} ${head}, sealed ${sealed}`);
  } catch (error) {
    verdicts.push(error.message);
  }
}
process.stdout.write(JSON.stringify(verdicts));
