// Node's own fetch: an upload that is refused early must still see the refusal, however much it has left to send.
//
// usage: BASE_URL=… [TOKEN=…] node fetch_client.mjs BYTES TIMES     prints an array with an answer or failure for each
const [bytes, times] = process.argv.slice(2).map(Number);
const content = new Blob([new Uint8Array(bytes).fill(65)]);
const answers = [];
for (let time = 0; time < times; time += 1) {
  const form = new FormData();
  form.set('Description', 'from fetch');
  form.set('file', content, `from-fetch-${time}.bin`);
  const headers = process.env.TOKEN ? { authorization: `Bearer ${process.env.TOKEN}` } : {};
  try {
    const response = await fetch(`${process.env.BASE_URL}/api/libraryfiles`, { method: 'POST', headers, body: form });
    answers.push({ status: response.status, body: await response.json() });
  } catch (error) {
    answers.push({ failed: String(error.cause?.code ?? error) });
  }
}
console.log(JSON.stringify(answers));
