// Records a HAR: two tabs of a real browser type into one document.
//
//   node record.mjs ws://127.0.0.1:8000/ws page.har
//
// The browser is Chromium, at CHROMIUM or /usr/bin/chromium.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const [server, har] = process.argv.slice(2);
if (!har) throw new Error('usage: node record.mjs ws://HOST:PORT/ws FILE.har');

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const html = await readFile(new URL('page.html', import.meta.url));

const pages = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
await new Promise(resolve => pages.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${pages.address().port}/`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
});
try {
  const context = await browser.newContext({ recordHar: { path: har, content: 'embed' } });
  const doc = `har-${process.pid}`;
  const tab = async client => {
    const page = await context.newPage();
    await page.goto(`${origin}?${new URLSearchParams({ server, doc, client })}`);
    await page.waitForFunction(() => 'joined' in document.body.dataset);
    return page;
  };
  const seq = (page, least) => page.waitForFunction(
    least => Number(document.querySelector('#seq').textContent) >= least, least);

  const anna = await tab('anna');
  await anna.evaluate(() => window.type('Hello'));
  await seq(anna, 5);
  const bo = await tab('bo');
  await Promise.all([
    anna.evaluate(() => window.type(', wörld')),
    bo.evaluate(() => window.type('👋🏽 hi')),
  ]);
  await Promise.all([seq(anna, 17), seq(bo, 17)]);
  // A tab that loads again is a new client, which gets the text.
  await bo.goto('about:blank');
  await tab('bo-2');
  await context.close();
} finally {
  await browser.close();
  pages.close();
}
