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
const node = isHere ? otherNode(22, 'arm64') : new Error('there is no prebuilds/linux-arm64: npm run prebuild -- --arch arm64')
const reason =
  node instanceof Error
    ? node.message
    : emulator.length > 0 && !(has('qemu-aarch64') && existsSync(libraries))
      ? 'qemu-user or the libraries of arm64 (libstdc++6-arm64-cross) are not installed'
      : false

/** Node for arm64 on one script. */
function emulated(args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
  return execute('/usr/bin/env', [...emulator, String(node), ...args], { cwd, env: { PATH: process.env.PATH ?? '', ...env } })
}

t.test('the tarball on arm64', { skip: reason }, async (t) => {
  const folder = t.testdir({})
  const app = installed(pack(folder).file, pathWithoutCompiler(folder))
  t.teardown(() => rmSync(app, { recursive: true, force: true }))
  writeFileSync(path.join(app, 'smoke.mjs'), asModule)
  const { code, output } = emulated(['smoke.mjs'], app)
  t.equal(code, 0, output)
  t.match(output, /"isa":"scalar"/)
})

// Compiled by `npm run test:long`; these compare with references in JavaScript, not with packages that are compiled for this machine.
const files = [
  ...['forward', 'gradients', 'solver', 'winograd'].map((name) => `native/child/${name}`),
  ...['executor.test', 'malformed-plans.test'].map((name) => `native/${name}`),
  ...['cp-chain.test', 'session.test', 'threads.test', 'training-plan.test', 'types.test'].map((name) => `runtime/${name}`),
  ...['cpd.test', 'properties.test'].map((name) => `decomposition/${name}`),
  ...['50-native.test', '55-slices.test', '60-network.test'].map((name) => `training/${name}`)
]

t.test('tests of native code, plans, sessions, the solver and training on arm64', { skip: reason }, async (t) => {
  // A folder without a development build, which would be of this machine's architecture.
  const home = mkdtempSync(path.join(tmpdir(), 'polyadic-arm64-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  symlinkSync(path.join(root, 'prebuilds'), path.join(home, 'prebuilds'))
  for (const file of files) {
    t.test(`test/${file}`, async (t) => {
      const compiled = path.join(root, 'dist', 'test', `${file}.js`)
      if (!existsSync(compiled)) return t.fail('dist/test is missing: npx tsc')
      const started = performance.now()
      const { code, output } = emulated([compiled], root, { POLYADIC_PREBUILD: home, TAP_TIMEOUT: '3600' })
      t.equal(code, 0, output.slice(-4000))
      t.match(output, /^# { time=|^1\.\.\d+$/m, 'it came to its end')
      t.comment(`${(output.match(/^ *ok /gm) ?? []).length} checks in ${((performance.now() - started) / 1000).toFixed(0)} s`)
    })
  }
})
