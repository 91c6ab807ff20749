import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { asModule, execute, has, installed, otherNode, pack, pathWithoutCompiler, prebuilds, root } from './package.js'

// The binary of `npm run prebuild -- --arch arm64`, by emulation on any other machine.
const isHere = prebuilds().has('linux-arm64')
// Where Debian's cross packages have arm64's C and C++ libraries.
const libraries = '/usr/aarch64-linux-gnu'
const emulator = process.arch === 'arm64' ? [] : ['qemu-aarch64', '-L', libraries]
const reason = !isHere
  ? 'there is no prebuilds/linux-arm64: npm run prebuild -- --arch arm64'
  : emulator.length > 0 && !(has('qemu-aarch64') && existsSync(libraries))
    ? 'qemu-user or the libraries of arm64 (libstdc++6-arm64-cross) are not installed'
    : false

/** Node for arm64 on one script. libgomp is the one beside the addon. */
function emulated(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
  return execute('/usr/bin/env', [...emulator, otherNode(22, 'arm64'), ...args], { cwd, env: { PATH: process.env.PATH ?? '', ...env } })
}

t.test('the tarball on arm64', { skip: reason }, async (t) => {
  const folder = t.testdir({})
  const app = installed(pack(folder).file, pathWithoutCompiler(folder))
  t.teardown(() => rmSync(app, { recursive: true, force: true }))
  writeFileSync(path.join(app, 'smoke.mjs'), asModule)
  const { code, output } = emulated(['smoke.mjs'], app)
  t.equal(code, 0, output)
  t.match(output, /"isa":"scalar"/)
  t.match(output, /"backend":"openmp"/)
})

// Compiled by `npm run test:long`; they compare with a reference in JavaScript.
for (const file of ['forward', 'gradients', 'solver']) {
  t.test(`test/native/child/${file} on arm64`, { skip: reason }, async (t) => {
    const compiled = path.join(root, 'dist', 'test', 'native', 'child', `${file}.js`)
    if (!existsSync(compiled)) return t.fail('dist/test is missing: npx tsc')
    // A folder without a development build, which would be of this machine's architecture.
    const home = mkdtempSync(path.join(tmpdir(), 'polyadic-arm64-'))
    t.teardown(() => rmSync(home, { recursive: true, force: true }))
    symlinkSync(path.join(root, 'prebuilds'), path.join(home, 'prebuilds'))
    const { code, output } = emulated([compiled], root, { POLYADIC_PREBUILD: home })
    t.equal(code, 0, output.slice(-4000))
    t.match(output, /^# { time=|^1\.\.\d+$/m, 'it came to its end')
  })
}
