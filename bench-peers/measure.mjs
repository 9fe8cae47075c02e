// What the loads of the peers share: who types where, for how long, and the figures of it.

const WARM_UP = 500;

// What has come about while it is counted. `latencies` are in ms, from an edit to its answer.
export const tally = { latencies: [], echoes: 0, errors: 0, counting: false, ended: false };

// Puts clients on documents, lets each type, and prints the figures. `client` joins a document of a name and
// gives what makes an edit.
export async function measure(client, docs, clients, secs) {
  const run = Math.random().toString(36).slice(2);
  const edits = [];
  for (let doc = 0; doc < docs; doc++) {
    for (let one = 0; one < clients; one++) edits.push(await client(`${run}-${doc}`));
  }
  for (const edit of edits) edit();
  await pause(WARM_UP);
  tally.counting = true;
  const begin = performance.now();
  await pause(secs * 1000);
  tally.counting = false;
  tally.ended = true;
  const time = (performance.now() - begin) / 1000;
  const { latencies, echoes, errors } = tally;
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.floor(part * (latencies.length - 1))] ?? null;
  const own = { count: latencies.length, p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max: at(1) };
  const figures = { ops_per_second: latencies.length / time, echoes_per_second: echoes / time, own, errors };
  console.log(JSON.stringify(figures));
  process.exit(0);
}

function pause(ms) {
  return new Promise((over) => setTimeout(over, ms));
}
