// clang-format 14 over every C++ file, then clang-tidy over each unit with the flags of binding.gyp, as many at a time as there are processors.
//   node native/lint.mjs [--write] [--require] [--all]
// --require fails when a tool is missing. A unit that was clean is looked at again when it, what it includes, its flags or .clang-tidy have
// changed (.cache/tidy.json says so); --all looks at every one.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const write = process.argv.includes('--write')
const required = process.argv.includes('--require')

// Other versions format otherwise: the one that the sources are formatted with comes first, under the name that Debian gives it.
function find(tool) {
  return [`${tool}-14`, tool].find((command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0)
}

function missing(tool) {
  console.log(`lint:native: ${tool} is not installed, so this check is left out (Debian: apt-get install ${tool}-14)`)
  return required ? 1 : 0
}

function format() {
  const command = find('clang-format')
  if (command === undefined) return missing('clang-format')
  const entries = readdirSync(path.join(root, 'native'), { recursive: true })
  const files = entries.filter((name) => /\.(cpp|h)$/.test(name)).sort()
  const mode = write ? ['-i'] : ['--dry-run', '--Werror']
  return spawnSync(command, [...mode, ...files.map((name) => path.join('native', name))], { cwd: root, stdio: 'inherit' }).status ?? 1
}

/** Every unit with the flags that decide what a compiler sees of it. */
function units(headers) {
  const { kernels, ...groups } = require('./sources.json')
  const shared = ['-std=c++17', '-DPOLYADIC_X64_KERNELS']
  const napi = ['NAPI_VERSION=9', 'NODE_ADDON_API_CPP_EXCEPTIONS_ALL', 'NODE_ADDON_API_DISABLE_DEPRECATED'].map((name) => `-D${name}`)
  const include = [require('node-addon-api').include_dir, path.join(headers, 'include/node')].flatMap((folder) => [
    '-isystem',
    path.resolve(root, folder.replaceAll('"', ''))
  ])
  return [
    ...Object.values(groups).flatMap((sources) => sources.map((file) => ({ file, flags: [...shared, ...napi, ...include] }))),
    ...Object.values(kernels).flatMap(({ sources, gcc }) =>
      sources.map((file) => ({ file, flags: [...shared, ...gcc.filter((flag) => flag.startsWith('-m'))] }))
    )
  ]
}

/** The file's text and that of all of ours that it includes, as a hash. */
function fingerprint({ file, flags }) {
  const hash = createHash('sha256')
    .update(readFileSync(path.join(root, '.clang-tidy')))
    .update(flags.join(' '))
  const seen = new Set()
  const visit = (name) => {
    if (seen.has(name) || !existsSync(name)) return
    seen.add(name)
    const text = readFileSync(name, 'utf8')
    hash.update(text)
    for (const [, included] of text.matchAll(/^#include "(.*)"/gm)) visit(path.resolve(path.dirname(name), included))
  }
  visit(path.join(root, file))
  return hash.digest('hex')
}

function check(command, { file, flags }) {
  return new Promise((resolve) => {
    const child = spawn(command, ['--quiet', file, '--', ...flags], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
    child.on('close', (code) => {
      if (code !== 0) console.error(output.replace(/^\d+ warnings.* generated\.\n/gm, ''))
      resolve(code === 0)
    })
  })
}

async function tidy() {
  const command = find('clang-tidy')
  if (command === undefined) return missing('clang-tidy')
  const headers = require('./install.cjs').findHeaders()
  if (headers === undefined) {
    console.log('lint:native: the headers of this Node are not installed, so clang-tidy is left out')
    return required ? 1 : 0
  }
  const cache = path.join(root, '.cache', 'tidy.json')
  const clean = existsSync(cache) ? JSON.parse(readFileSync(cache, 'utf8')) : {}
  const all = units(headers).map((unit) => ({ ...unit, print: fingerprint(unit) }))
  const left = process.argv.includes('--all') ? [...all] : all.filter(({ file, print }) => clean[file] !== print)
  const count = left.length
  let bad = 0
  const lane = async () => {
    for (let unit = left.shift(); unit !== undefined; unit = left.shift()) {
      if (await check(command, unit)) clean[unit.file] = unit.print
      else bad++
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
  mkdirSync(path.dirname(cache), { recursive: true })
  writeFileSync(cache, JSON.stringify(clean))
  console.log(`lint:native: clang-tidy on ${count} of ${all.length} units, ${bad} with something to say`)
  return bad === 0 ? 0 : 1
}

const formatted = format()
process.exitCode = Math.max(formatted, write ? 0 : await tidy())
