// Looks at the HTML reports in a real browser, and exits with 1 where something does not hold.
//
//   node check.mjs SUITE RIGHT.json WRONG.json [--shots DIR]
//
// SUITE is the built `collab-conformance`; RIGHT is the report of a right server, WRONG that of one with
// its siblings in a wrong order. The browser is the distribution's: CHROMIUM, or /usr/bin/chromium.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { chromium } from 'playwright-core';

const [suite, right, wrong, flag, shots] = process.argv.slice(2);
if (!wrong || (flag && flag !== '--shots')) {
  console.error('usage: node check.mjs SUITE RIGHT.json WRONG.json [--shots DIR]');
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'collab-html-'));
const WIDTHS = [360, 1280];
const SCHEMES = ['light', 'dark'];
const MOST_BYTES = 4 << 20;
let failures = 0;
let checked = 0;

function check(holds, what, seen = '') {
  checked += 1;
  if (holds) return;
  failures += 1;
  console.log(`FAILED: ${what}${seen === '' ? '' : `: ${seen}`}`);
}

function made(form, name, ...reports) {
  const out = join(folder, name);
  execFileSync(suite, ['report', form, ...reports, '--out', out]);
  const again = execFileSync(suite, ['report', form, ...reports], { maxBuffer: 1 << 30 });
  check(again.equals(readFileSync(out)), `${name} is the same each time`);
  const { size } = statSync(out);
  check(size < MOST_BYTES, `${name} stays small`, `${size} bytes`);
  return { name, url: pathToFileURL(out).href };
}

// A report in which every text that a server or somebody else has a say in tries to run script.
function hostile() {
  const report = JSON.parse(readFileSync(wrong, 'utf8'));
  const evil = '</script><script>window.pwned=1</script><img src=x onerror="window.pwned=1">"\'><svg onload=window.pwned=1>';
  const case_ = report.cases.find((one) => one.breaches?.length > 0);
  report.target = `ws://${evil}`;
  report.server = { command: evil, started: 1, exits: [{ why: 'died', status: evil, lived_ms: 1, cases: [evil], stderr_tail: [evil] }] };
  report.suite.version = evil;
  Object.assign(case_, { id: evil, title: evil, message: evil, requirements: [evil] });
  case_.breaches = [{ requirement: evil, what: evil, expected: evil, got: `${evil}!`, frame: 0 }];
  for (const frame of case_.frames) Object.assign(frame, { connection: evil, content: evil });
  case_.frames.push({ at_us: 1, connection: 'A', from: 'server', kind: 'text', content: JSON.stringify({ type: evil, doc_id: evil }) });
  case_.measurements = [{ name: evil, value: 1, unit: evil }];
  const path = join(folder, 'hostile.json');
  writeFileSync(path, JSON.stringify(report));
  return path;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  chromiumSandbox: false,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// Opens a page and counts what it says and asks for.
async function opened({ name, url }, options = {}) {
  const { width = 1280, ...others } = options;
  const context = await browser.newContext({ viewport: { width, height: 800 }, ...others });
  const page = await context.newPage();
  page.on('console', (message) => check(message.type() !== 'error', `${name}: the console is silent`, message.text()));
  page.on('pageerror', (error) => check(false, `${name}: no script fails`, error.message));
  page.on('dialog', (dialog) => check(false, `${name}: no dialog`, dialog.message()));
  page.on('request', (request) => {
    const asked = request.url().split('#')[0];
    check(asked === url, `${name}: nothing is loaded`, asked);
  });
  await page.goto(url);
  return page;
}

async function violations(page, name) {
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ['violations'] });
    return result.violations.map((one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 200)} ${one.nodes[0].failureSummary.slice(0, 300)}`);
  });
  check(found.length === 0, `${name}: axe finds nothing`, `\n  ${found.join('\n  ')}`);
}

async function looks(made, width, colorScheme, judged) {
  const name = `${made.name} at ${width}, ${colorScheme}`;
  const page = await opened(made, { width, colorScheme });
  const wide = async () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(await wide() <= 0, `${name}: no scrolling sideways`, `${await wide()} px`);
  if (judged) {
    await page.evaluate(axe);
    await violations(page, name);
  }
  // With some of everything open: what is broken, with its drawings and frames.
  await page.evaluate(() => {
    const open = (all, most) => [...all].slice(0, most).forEach((one) => { one.open = true; });
    open(document.querySelectorAll('details.case'), 4);
    open(document.querySelectorAll('details.case:nth-of-type(-n+4) details'), 6);
    open(document.querySelectorAll('details.req.tell'), 3);
    open(document.querySelectorAll('details.passed'), 6);
  });
  check(await wide() <= 0, `${name}: no scrolling sideways with things open`, `${await wide()} px`);
  if (judged) await violations(page, `${name}, opened`);
  if (shots) {
    mkdirSync(shots, { recursive: true });
    const base = join(resolve(shots), `${made.name.replace('.html', '')}-${width}-${colorScheme}`);
    await page.screenshot({ path: `${base}.png` });
    const places = { matrix: '#matrix', case: 'details.case[open]', second: 'details.case[open] ~ details.case[open]', figures: '#figures', req: 'details.req[open]', seen: 'div.seen.broken' };
    for (const [part, selector] of Object.entries(places)) {
      const found = page.locator(selector).first();
      if (await found.count() === 0) continue;
      await found.scrollIntoViewIfNeeded();
      await found.evaluate((element) => element.scrollIntoView());
      await page.screenshot({ path: `${base}-${part}.png` });
    }
  }
  await page.context().close();
}

const shownRows = (page) => page.locator('#matrix tr[data-of]:visible').count();

async function filterWorks(made) {
  const page = await opened(made);
  const all = await shownRows(page);
  check(all > 100, 'the matrix has the requirements', all);
  await page.keyboard.press('Tab');
  const skip = await page.evaluate(() => [document.activeElement.className, document.activeElement.getBoundingClientRect().left >= 0]);
  check(skip[0] === 'skip' && skip[1], 'the first Tab shows the skip link', skip);
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => document.activeElement.id) === 'main', 'the skip link leads to the results');
  await page.locator('#words').focus();
  await page.keyboard.type('crdt sibling');
  const few = await shownRows(page);
  check(few > 0 && few < 10, 'words narrow the matrix', few);
  const said = await page.locator('#shown').textContent();
  check(said.startsWith(`${few} of ${all} `), 'it is said how many are shown', said);
  await page.locator('#words').fill('');
  await page.locator('input[value=all]').focus();
  await page.keyboard.press('ArrowRight');
  const broken = await shownRows(page);
  check(broken > 0 && broken < all, 'the keyboard chooses what is broken', broken);
  check(await page.locator('#matrix tr[data-of]:visible:has(td.fail)').count() === broken, 'what is broken is broken');
  const differs = page.locator('input[value=differs]');
  await differs.check();
  check(await shownRows(page) > 0, 'where they differ is shown');
  // From a cell to its requirement, from there to a case: what is folded opens.
  await page.locator('#matrix td.fail a').first().focus();
  await page.keyboard.press('Enter');
  const req = page.locator('details.req[open]').first();
  check(await req.isVisible(), 'a cell leads to its requirement, which opens');
  await req.locator('a[href^="#case-"]').first().focus();
  await page.keyboard.press('Enter');
  const told = page.locator('details.case[open]').first();
  check(await told.isVisible() && await told.locator('figure.sequence svg').isVisible(), 'a case opens with its diagram');
  await told.locator('> summary').focus();
  await page.keyboard.press('Enter');
  check(await page.locator('details.case[open]').count() === 0, 'the keyboard folds it again');
  const dead = await page.evaluate(() => [...document.querySelectorAll('a[href^="#"]')]
    .map((link) => decodeURIComponent(link.hash.slice(1))).filter((id) => !document.getElementById(id)));
  check(dead.length === 0, 'every link leads somewhere', dead.slice(0, 5));
  const twice = await page.evaluate(() => {
    const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
    return ids.filter((id, at) => ids.indexOf(id) !== at);
  });
  check(twice.length === 0, 'no id stands twice', twice.slice(0, 5));
  await page.context().close();
}

async function worksWithoutScript(made) {
  const page = await opened(made, { javaScriptEnabled: false });
  check(await page.locator('#filter').isHidden(), 'without script there is no filter');
  check(await shownRows(page) > 100, 'without script every row is there');
  await page.locator('#begin a[href^="#case-"]').first().click();
  check(await page.locator('details.case[open]').count() === 1, 'without script a link opens its case');
  await page.context().close();
}

async function prints(made) {
  const page = await opened(made);
  await page.emulateMedia({ media: 'print' });
  // What was folded is laid out with the next frame.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const hidden = await page.evaluate(() => [...document.querySelectorAll('.breach, figure.sequence svg, figure.tree svg')]
    .filter((one) => !one.checkVisibility({ contentVisibilityAuto: true }) || one.getBoundingClientRect().height === 0).length);
  check(hidden === 0, `${made.name}: no failure is hidden on paper`, hidden);
  const unfolded = await page.evaluate(() => {
    const folded = () => document.querySelectorAll('details.tell:not([open])').length;
    const before = folded();
    dispatchEvent(new Event('beforeprint'));
    const during = folded();
    dispatchEvent(new Event('afterprint'));
    return during === 0 && folded() === before;
  });
  check(unfolded, `${made.name}: browsers without the style unfold by script, and fold again`);
  check(await page.locator('nav').isHidden(), `${made.name}: no navigation on paper`);
  await page.context().close();
}

async function draws(made) {
  const page = await opened(made);
  check(await page.locator('figure.tree .join.bad').count() > 0, 'a tree shows what moved');
  check(await page.locator('figure.tree b').count() > 0, 'a tree says which siblings are the wrong way round');
  check(await page.locator('figure.sequence .hit').count() > 0, 'a diagram marks the frame of the breach');
  check(await page.locator('dl.diff mark').count() > 0, 'a difference is marked');
  check(await page.locator('svg.bar').count() > 0, 'there are bars of durations');
  await page.context().close();
}

async function harmless(made) {
  const page = await opened(made);
  await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
  check(await page.evaluate(() => window.pwned) === undefined, `${made.name}: a hostile server runs no script`);
  const strange = await page.evaluate(() => document.querySelectorAll('img, iframe, main script, [onload], [onerror]').length);
  check(strange === 0, `${made.name}: what a server sends is text`, strange);
  await page.context().close();
}

try {
  const alone = made('html', 'one.html', `wrong=${wrong}`);
  const both = made('html', 'both.html', `right=${right}`, `wrong=${wrong}`);
  const green = made('html', 'green.html', right);
  const spec = made('spec', 'spec.html', `right=${right}`, `wrong=${wrong}`);
  for (const page of [alone, both, green, spec]) {
    // The judge takes seconds: it sees each width and each scheme once.
    for (const [at, width] of WIDTHS.entries()) {
      for (const [of, scheme] of SCHEMES.entries()) await looks(page, width, scheme, at === of);
    }
    await prints(page);
  }
  await filterWorks(both);
  await worksWithoutScript(both);
  await draws(alone);
  const evil = hostile();
  for (const form of ['html', 'spec']) await harmless(made(form, `hostile-${form}.html`, evil));
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
console.log(`${checked} checks, ${failures} failed`);
process.exit(failures === 0 ? 0 : 1);
