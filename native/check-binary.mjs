// Looks into the compiled addon for what no test on this machine would show:
// an AVX instruction outside of its kernel file, a template shared between ISAs, a library that other machines lack.
//   node native/check-binary.mjs [build/Release]
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const build = path.resolve(root, process.argv[2] ?? 'build/Release')
const libraries = /^(libc|libm|libgcc_s|libstdc\+\+|libgomp|libpthread|libdl|ld-linux-x86-64|ld-linux-aarch64)\.so/

function run(command, ...args) {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 30 })
}

function objects(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.o'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
}

// Wide registers belong to the kernel files of their ISA only: elsewhere they would run before the CPU is asked.
function checkInstructions() {
  const problems = []
  const all = objects(path.join(build, 'obj.target'))
  for (const file of all) {
    const isa = /kernels_(avx2|avx512)/.exec(file)?.[1]
    const forbidden = isa === 'avx512' ? undefined : isa === 'avx2' ? /%zmm\d|%k[1-7]\b/ : /%[yz]mm\d/
    if (forbidden?.test(run('objdump', '-d', '--no-show-raw-insn', file)))
      problems.push(`${path.relative(root, file)} has instructions of a wider ISA than it may use`)
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

function checkLinking() {
  const addon = path.join(build, 'polyadic.node')
  const dynamic = run('readelf', '-d', addon)
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+?)\]/g)].map((match) => match[1])
  const problems = needed.filter((name) => !libraries.test(name)).map((name) => `polyadic.node needs ${name}`)
  if (!/FLAGS_1.*NODELETE/.test(dynamic))
    problems.push('polyadic.node is not linked with -z nodelete: a worker that ends would unmap it under its threads')
  if (!/RUNPATH.*\$ORIGIN/.test(dynamic)) problems.push('polyadic.node does not look for libgomp beside itself ($ORIGIN)')
  return problems
}

function main() {
  if (process.platform !== 'linux') {
    console.log('check-binary: only Linux binaries are checked')
    return 0
  }
  if (!existsSync(path.join(build, 'polyadic.node'))) {
    console.error(`check-binary: ${path.relative(root, build)}/polyadic.node is missing; run npm run build:native`)
    return 1
  }
  const problems = [...checkInstructions(), ...checkKernelSymbols(), ...checkLinking()]
  for (const problem of problems) console.error(`check-binary: ${problem}`)
  if (problems.length === 0) console.log('check-binary: instructions, symbols and libraries are as they should be')
  return problems.length === 0 ? 0 : 1
}

process.exitCode = main()
