// Looks into the compiled addon for what no test on this machine would show:
// an AVX instruction outside of its kernel file, a template shared between ISAs, a library that other machines lack.
//   node native/check-binary.mjs [build/Release]
//   node native/check-binary.mjs --prebuild prebuilds/linux-x64 [--glibc 2.28]     what is shipped, and the oldest C library it may need
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { strangers } from './instructions.mjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { prebuild: { type: 'string' }, glibc: { type: 'string' } }
})
const build = path.resolve(root, positionals[0] ?? 'build/Release')
const libraries = /^(libc|libm|libgcc_s|libstdc\+\+|libpthread|libdl|ld-linux-x86-64|ld-linux-aarch64)\.so/

function run(command, ...args) {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 30 })
}

function objects(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.o'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
}

// Elsewhere than in the kernel files of their ISA they would run before the CPU is asked.
function checkInstructions() {
  const problems = []
  const all = objects(path.join(build, 'obj.target'))
  for (const file of process.arch === 'x64' ? all : []) {
    const found = strangers(path.relative(build, file), run('objdump', '-d', file))
    if (found.length > 0) problems.push(`${path.relative(root, file)} has instructions of a wider ISA than it may use: ${found.join('; ')}`)
  }
  if (all.length === 0) problems.push(`there are no objects under ${path.relative(root, build)}: run npm run build:native`)
  return problems
}

// The linker keeps one copy of a weak symbol, perhaps the one compiled for the ISA this CPU lacks.
function checkKernelSymbols() {
  const problems = []
  const archives = readdirSync(build).filter((name) => /^kernels_\w+\.a$/.test(name))
  for (const archive of archives) {
    const lines = run('nm', '-C', path.join(build, archive)).split('\n')
    const weak = lines.filter((line) => / [WVuwv] /.test(line))
    const exported = lines.filter((line) => / [A-TX-Z] /.test(line))
    if (weak.length > 0) problems.push(`${archive} has weak symbols:\n    ${weak.slice(0, 5).join('\n    ')}`)
    if (exported.length !== 1)
      problems.push(
        `${archive} exports ${exported.length} symbols instead of its one kernel table:\n    ${exported.slice(0, 5).join('\n    ')}`
      )
  }
  if (archives.length === 0) problems.push('there are no kernel archives')
  return problems
}

function checkLinking(addon) {
  const name = path.basename(addon)
  const dynamic = run('readelf', '-d', addon)
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+?)\]/g)].map((match) => match[1])
  const problems = needed.filter((library) => !libraries.test(library)).map((library) => `${name} needs ${library}`)
  if (!/FLAGS_1.*NODELETE/.test(dynamic))
    problems.push(`${name} is not linked with -z nodelete: a worker that ends would unmap it under its threads`)
  return problems
}

// Node-API and process exit hooks only: an export beside these could clash with another addon's.
function checkExports(addon) {
  const exported = run('nm', '-D', '--defined-only', addon)
    .split('\n')
    .filter((line) => / [A-TV-Z] /.test(line))
    .map((line) => line.split(' ').at(-1))
  const strangers = exported.filter((symbol) => !/^(napi_register_module_v1|node_api_module_get_api_version_v1|_init|_fini)$/.test(symbol))
  return strangers.length === 0 ? [] : [`${path.basename(addon)} exports ${strangers.slice(0, 5).join(', ')}`]
}

const byVersion = (a, b) => a.localeCompare(b, 'en', { numeric: true })

/** The newest version of a library's symbols that a file asks for: GLIBC_2.28 → 2.28. */
function newest(file, library) {
  const found = [...run('objdump', '-T', file).matchAll(new RegExp(`\\b${library}_(\\d+(?:\\.\\d+)+)`, 'g'))].map((match) => match[1])
  return found.sort(byVersion).at(-1)
}

function checkPrebuild(folder) {
  const addons = readdirSync(folder).filter((file) => file.endsWith('.node'))
  const problems = addons.length === 0 ? [`${folder} has no addon`] : []
  for (const name of addons) {
    const addon = path.join(folder, name)
    problems.push(...checkLinking(addon), ...checkExports(addon))
    if (/\.debug_|\.symtab/.test(run('readelf', '-SW', addon))) problems.push(`${name} is not stripped`)
  }
  for (const name of readdirSync(folder)) {
    const needs = newest(path.join(folder, name), 'GLIBC')
    console.log(
      `check-binary: ${name} needs glibc ${needs ?? '(any)'}, libstdc++ ${newest(path.join(folder, name), 'GLIBCXX') ?? '(none)'}`
    )
    if (values.glibc !== undefined && needs !== undefined && byVersion(needs, values.glibc) > 0)
      problems.push(`${name} needs glibc ${needs}, and may need ${values.glibc} at most`)
  }
  return problems
}

function main() {
  if (process.platform !== 'linux') {
    console.log('check-binary: only Linux binaries are checked')
    return 0
  }
  const addon = path.join(build, 'polyadic.node')
  if (values.prebuild === undefined && !existsSync(addon)) {
    console.error(`check-binary: ${path.relative(root, addon)} is missing; run npm run build:native`)
    return 1
  }
  const problems =
    values.prebuild === undefined
      ? [...checkInstructions(), ...checkKernelSymbols(), ...checkLinking(addon), ...checkExports(addon)]
      : checkPrebuild(path.resolve(root, values.prebuild))
  for (const problem of problems) console.error(`check-binary: ${problem}`)
  if (problems.length === 0) console.log('check-binary: instructions, symbols and libraries are as they should be')
  return problems.length === 0 ? 0 : 1
}

process.exitCode = main()
