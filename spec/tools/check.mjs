// Checks the API documents and the schemas of a folder with the tools that people use on them, prints
// every diagnostic, and exits with 1 where there is an error or a warning.
//
//   node check.mjs [FOLDER]     (without one: the folder above this file)

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Parser, fromFile } from '@asyncapi/parser';
import spectral from '@stoplight/spectral-core';
import parsers from '@stoplight/spectral-parsers';
import references from '@stoplight/spectral-ref-resolver';
import rulesets from '@stoplight/spectral-rulesets';
import Ajv from 'ajv';
import { compile } from 'json-schema-to-typescript';

const here = dirname(fileURLToPath(import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const folder = resolve(process.argv[2] ?? join(here, '..'));
const SEVERITIES = ['error', 'warning', 'information', 'hint'];
let failures = 0;

function say(severity, place, message) {
  if (SEVERITIES.indexOf(severity) <= 1) failures += 1;
  console.log(`${severity}: ${place}: ${message}`);
}

function report(diagnostics, file) {
  for (const { severity, code, source, path, range, message } of diagnostics) {
    const place = `${source ?? file}:${range.start.line + 1} at /${path.join('/')}`;
    say(SEVERITIES[severity], place, `${message} (${code})`);
  }
}

// AsyncAPI: the official parser, with all of its rules. It does not look at the examples of messages.
async function asyncapi() {
  const file = join(folder, 'asyncapi.json');
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  report(diagnostics, file);
  let examples = 0;
  for (const message of document?.allMessages() ?? []) {
    const place = `${file}: message ${message.title()}`;
    const valid = compiled(message.payload().json(), place);
    for (const example of valid ? message.examples() : []) {
      examples += 1;
      if (!valid(example.payload())) say('error', place, JSON.stringify(valid.errors));
    }
  }
  if (examples === 0) say('error', file, 'no example was checked');
  const operations = document?.allOperations().length ?? 0;
  return `${document?.allMessages().length ?? 0} messages, ${operations} operations, ${examples} examples`;
}

// OpenAPI: Spectral, with its rules for OpenAPI.
async function openapi() {
  const file = join(folder, 'openapi.json');
  const linter = new spectral.Spectral({ resolver: references.httpAndFileResolver });
  linter.setRuleset({
    extends: [[rulesets.oas, 'all']],
    rules: {
      // Nobody is named whom a reader should write to.
      'info-contact': 'off',
      // An upgrade succeeds with 101.
      'operation-success-response': 'off',
    },
  });
  const document = new spectral.Document(readFileSync(file, 'utf8'), parsers.Json, file);
  report(await linter.run(document), file);
  return `${Object.keys(document.data.paths ?? {}).length} paths`;
}

// Types: what a client's author generates from the unions of messages is TypeScript that the compiler
// takes, and that takes every example of the schemas but none that lacks a field.
async function types() {
  const schemas = join(folder, 'schemas');
  const files = readdirSync(schemas).filter((file) => /^(client|server)-message.*\.json$/.test(file));
  if (files.length < 2) say('error', schemas, 'the unions of messages are missing');
  const work = mkdtempSync(join(tmpdir(), 'types-'));
  try {
    let examples = 0;
    for (const file of files) {
      const schema = JSON.parse(readFileSync(join(schemas, file), 'utf8'));
      const fits = (value) => `(${JSON.stringify(value)}) satisfies Message;`;
      const lines = [await compile({ ...schema, title: 'Message' }, 'Message')];
      for (const example of schema.examples) {
        examples += 1;
        const { doc_id, ...lacking } = example;
        const faulty = [lacking, ...('op' in example ? [{ ...example, op: { ...example.op, id: undefined } }] : [])];
        lines.push(fits(example), ...faulty.map((one) => `// @ts-expect-error\n${fits(one)}`));
      }
      writeFileSync(join(work, file.replace('.schema.json', '.ts')), lines.join('\n'));
    }
    const names = readdirSync(work);
    execFileSync(process.execPath, [tsc, '--strict', '--noEmit', ...names], { cwd: work, encoding: 'utf8' });
    return `${names.join(', ')}, ${examples} examples`;
  } catch (error) {
    say('error', 'the generated types', error.stdout || error.stack);
    return 'none';
  } finally {
    rmSync(work, { recursive: true });
  }
}

// A validator, or nothing where the schema is none. Each has an Ajv of its own, since two uses of a
// schema bring its `$id` twice.
function compiled(schema, place) {
  try {
    const ajv = new Ajv({ strict: true, allowUnionTypes: true });
    ajv.addVocabulary(['x-parser-schema-id']);
    return ajv.compile(schema);
  } catch (error) {
    say('error', place, error.message);
    return undefined;
  }
}

for (const check of [asyncapi, openapi, types]) {
  try {
    console.log(`${check.name}: ${await check()}`);
  } catch (error) {
    say('error', check.name, error.stack);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
