import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The first bytes of a binary, as its platform writes them. */
function header(kind: 'elf' | 'mach-o' | 'pe', processor: number): Buffer {
  const bytes = Buffer.alloc(256)
  if (kind === 'elf') {
    bytes.writeUInt32BE(0x7f454c46, 0)
    bytes.writeUInt16LE(processor, 18)
  } else if (kind === 'mach-o') {
    bytes.writeUInt32LE(0xfeedfacf, 0)
    bytes.writeUInt32LE(processor, 4)
  } else {
    bytes.write('MZ', 0, 'latin1')
    bytes.writeUInt32LE(128, 60)
    bytes.writeUInt32BE(0x50450000, 128)
    bytes.writeUInt16LE(processor, 132)
  }
  return bytes
}

const all = {
  'linux-x64/polyadic.glibc.node': header('elf', 0x3e),
  'linux-x64/polyadic.musl.node': header('elf', 0x3e),
  'linux-arm64/polyadic.glibc.node': header('elf', 0xb7),
  'darwin-arm64/polyadic.node': header('mach-o', 0x0100000c),
  'win32-x64/polyadic.node': header('pe', 0x8664)
}

void t.test('a release needs every binary, each of its own platform', (t) => {
  const folder = t.testdir({})
  const write = (name: string, bytes: Buffer): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), bytes)
  }
  const check = (): { code: number | null; output: string } => {
    const { status, stderr } = spawnSync(process.execPath, ['native/require-prebuilds.mjs', folder], { cwd: root, encoding: 'utf8' })
    return { code: status, output: stderr.trim() }
  }
  for (const [name, bytes] of Object.entries(all)) write(name, bytes)
  t.same(check(), { code: 0, output: '' })
  for (const [name, bytes] of Object.entries(all)) {
    rmSync(path.join(folder, name))
    t.same(check(), { code: 1, output: `prebuilds/${name} is missing` })
    write(name, name.startsWith('linux-x64') ? all['linux-arm64/polyadic.glibc.node'] : all['linux-x64/polyadic.glibc.node'])
    t.same(check(), { code: 1, output: `prebuilds/${name} is of another platform` })
    write(name, Buffer.alloc(0))
    t.same(check(), { code: 1, output: `prebuilds/${name} is no binary` })
    write(name, bytes)
  }
  t.end()
})

void t.test('the workflow asks before it publishes, and makes each of them', (t) => {
  const workflow = readFileSync(path.join(root, '.github/workflows/release.yml'), 'utf8')
  const [builds, publish] = workflow.split(/^ {2}publish:$/m) as [string, string]
  t.match(publish, /^ {4}needs: prebuild$/m)
  const steps = [...publish.matchAll(/^ {6}- run: (.*)$/gm)].map(([, command]) => command)
  const asked = steps.indexOf('node native/require-prebuilds.mjs')
  t.ok(asked >= 0 && asked < steps.indexOf('npm publish'), steps.join('; '))
  t.equal(steps.at(-1), 'npm publish')
  t.notMatch(workflow, /continue-on-error|if: always|fail-fast: false/)
  const made = [...builds.matchAll(/\{ name: ([\w-]+),/g)].map(([, name]) => name)
  t.same(made, ['linux-x64-glibc', 'linux-x64-musl', 'linux-arm64-glibc', 'darwin-arm64', 'win32-x64'])
  t.end()
})
