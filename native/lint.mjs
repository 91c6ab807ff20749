// clang-format 14 over every C++ file, and clang-tidy where a compilation database is (npx cmake-js compile makes one).
//   node native/lint.mjs [--write] [--require]     --require fails when a tool is missing
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const write = process.argv.includes('--write')
const required = process.argv.includes('--require')

// Other versions format otherwise: the one that the sources are formatted with comes first, under the name that Debian gives it.
function find(tool) {
  return [`${tool}-14`, tool].find((command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0)
}

function sources() {
  const entries = readdirSync(path.join(root, 'native'), { recursive: true })
  return entries
    .filter((name) => /\.(cpp|h)$/.test(name))
    .sort()
    .map((name) => path.join('native', name))
}

function missing(tool) {
  console.log(`lint:native: ${tool} is not installed, so this check is left out (Debian: apt-get install ${tool}-14)`)
  return required ? 1 : 0
}

function format(files) {
  const command = find('clang-format')
  if (command === undefined) return missing('clang-format')
  const mode = write ? ['-i'] : ['--dry-run', '--Werror']
  return spawnSync(command, [...mode, ...files], { cwd: root, stdio: 'inherit' }).status ?? 1
}

function tidy(files) {
  const database = ['build-cmake', 'build'].find((dir) => existsSync(path.join(root, dir, 'compile_commands.json')))
  if (database === undefined) {
    console.log('lint:native: no compile_commands.json, so clang-tidy is left out (npx cmake-js compile -O build-cmake makes one)')
    return 0
  }
  const command = find('clang-tidy')
  if (command === undefined) return missing('clang-tidy')
  const units = files.filter((name) => name.endsWith('.cpp'))
  return spawnSync(command, ['-p', database, '--quiet', ...units], { cwd: root, stdio: 'inherit' }).status ?? 1
}

const files = sources()
process.exitCode = Math.max(format(files), write ? 0 : tidy(files))
