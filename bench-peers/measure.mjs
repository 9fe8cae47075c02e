// What the loads of the peers share: who types where, for how long, and the figures of it.

const WARM_UP = 500;

// What has come about while it is counted.
export const tally = { latencies: [], echoes: 0, errors: 0, counting: false, ended: false };

// One who types. `send` makes an edit; `answered` is to be called when its answer comes.
export class Typist {
  constructor(send) {
    this.send = send;
    this.from = null;
    // What was due while an edit was under way: it is sent late, and its time counts from when it was due.
    this.due = [];
  }

  type(due = performance.now()) {
    if (this.from !== null) {
      this.due.push(due);
      return;
    }
    this.from = due;
    this.send();
  }

  answered() {
    if (this.from === null) return;
    if (tally.counting) tally.latencies.push(performance.now() - this.from);
    this.from = null;
    if (tally.ended) return;
    if (!tally.rate) this.type();
    else if (this.due.length > 0) this.type(this.due.shift());
  }
}

// Puts clients on documents, lets each type, and prints the figures: with a rate, so many edits a second of
// all together, and else each its next one when the last is answered. `client` joins a document of a name
// and gives its typist.
export async function measure(client, docs, clients, secs, rate) {
  tally.rate = Number(rate ?? 0);
  const run = Math.random().toString(36).slice(2);
  const typists = [];
  for (let doc = 0; doc < docs; doc++) {
    for (let one = 0; one < clients; one++) typists.push(await client(`${run}-${doc}`));
  }
  if (tally.rate) inTurns(typists);
  else for (const typist of typists) typist.type();
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
  const percentiles = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999].map((part) => [part, at(part)]);
  const own = { count: latencies.length, p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max: at(1), percentiles };
  const figures = { ops_per_second: latencies.length / time, echoes_per_second: echoes / time, own, errors };
  console.log(JSON.stringify(figures));
  process.exit(0);
}

function inTurns(typists) {
  const begin = performance.now();
  let turn = 0;
  const tick = () => {
    if (tally.ended) return;
    const due = () => begin + (turn * 1000) / tally.rate;
    for (; due() <= performance.now(); turn++) typists[turn % typists.length].type(due());
    setTimeout(tick, Math.max(0, due() - performance.now()));
  };
  tick();
}

function pause(ms) {
  return new Promise((over) => setTimeout(over, ms));
}
