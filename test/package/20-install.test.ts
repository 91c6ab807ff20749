import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { asCommonJs, asModule, execute, has, installed, otherNode, pack, pathWithoutCompiler, root, smoke } from './package.js'
import { javascript, snippetsOf } from '../docs/snippets.js'

const folder = t.testdir({})
const tarball = pack(folder)
const bin = pathWithoutCompiler(folder)
const started = performance.now()
const app = installed(tarball.file, bin)
t.comment(`installed in ${((performance.now() - started) / 1000).toFixed(1)} s`)
t.teardown(() => rmSync(app, { recursive: true, force: true }))
writeFileSync(path.join(app, 'smoke.mjs'), asModule)
writeFileSync(path.join(app, 'smoke.cjs'), asCommonJs)

const here = { cwd: app, env: { PATH: bin } }
// An addon that was compiled would be in build/.
const home = path.join(app, 'node_modules', 'polyadic')

t.test('imported and required, without a compiler and with scripts off', async (t) => {
  for (const compiler of ['gcc', 'g++', 'cc', 'c++', 'clang', 'make', 'python3'])
    t.notOk(existsSync(path.join(bin, compiler)), `no ${compiler} on PATH`)
  for (const file of ['smoke.mjs', 'smoke.cjs']) {
    const { code, output } = execute('node', [file], here)
    t.equal(code, 0, output)
    t.notMatch(output, /warning/i)
  }
  t.notOk(existsSync(path.join(home, 'build')))
})

t.test('the command line', async (t) => {
  const { code, output } = execute('node', [path.join(home, 'dist', 'lib', 'cli', 'main.js'), '--version'], here)
  t.equal(code, 0, output)
  const model = path.join(root, 'examples', 'charnet', 'charnet.onnx')
  const inspected = execute(path.join(app, 'node_modules', '.bin', 'polyadic'), ['inspect', model], here)
  t.equal(inspected.code, 0, inspected.output)
  t.match(inspected.output, /conv2/)
})

t.test('the example in the README', async (t) => {
  const example = snippetsOf('README.md').find(({ language }) => language === 'ts')
  if (example === undefined) return t.fail('the README has no example')
  cpSync(path.join(root, 'examples', 'charnet', 'charnet.onnx'), path.join(app, 'model.onnx'))
  writeFileSync(
    path.join(app, 'given.mjs'),
    `const images = Float32Array.from({ length: 64 * 576 }, (_, i) => Math.sin(i * i))
const train = { images, labels: Int32Array.from({ length: 64 }, (_, i) => i % 36), count: 64 }
Object.assign(globalThis, { train, validation: train, image: { dtype: 'float32', dims: [1, 1, 24, 24], data: images.slice(0, 576) } })
`
  )
  // Four epochs and a full decomposition of a real network take minutes; what is tested here is that nothing is missing.
  const quick = javascript(example).replace("method: 'nls'", "method: 'nls', maxIterations: 2").replace('epochs: 4', 'epochs: 1')
  writeFileSync(path.join(app, 'readme.mjs'), `${quick}\nconsole.log(probabilities.data.length)\n`)
  const { code: exit, output } = execute('node', ['--import', './given.mjs', 'readme.mjs'], here)
  t.equal(exit, 0, output)
  t.match(output, /\n36\n/)
})

for (const major of [22, 24]) {
  t.test(`Node ${major}`, async (t) => {
    const node = otherNode(major)
    if (node instanceof Error) return t.pass('', { skip: node.message })
    t.match(execFileSync(node, ['--version'], { encoding: 'utf8' }), new RegExp(`^v${major}\\.`))
    for (const file of ['smoke.mjs', 'smoke.cjs']) {
      const { code, output } = execute(node, [file], here)
      t.equal(code, 0, `${file}: ${output}`)
    }
  })
}

t.test('two copies in one process', async (t) => {
  const second = mkdtempSync(path.join(tmpdir(), 'polyadic-second-'))
  t.teardown(() => rmSync(second, { recursive: true, force: true }))
  cpSync(path.join(app, 'node_modules'), path.join(second, 'node_modules'), { recursive: true })
  writeFileSync(
    path.join(app, 'two.mjs'),
    `import * as first from 'polyadic'
import { createRequire } from 'node:module'
const second = createRequire(${JSON.stringify(path.join(second, 'x.js'))})('polyadic')
if (first.Session === second.Session) throw new Error('one copy only')
const runs = [first, second].map((polyadic) => new Function('polyadic', ${JSON.stringify(`${smoke}\nreturn smoke`)})(polyadic))
await Promise.all([...runs, ...runs].map((run) => run()))
`
  )
  const { code, output } = execute('node', ['two.mjs'], here)
  t.equal(code, 0, output)
  t.equal(output.match(/"isa"/g)?.length, 4)
})

t.test('old CPUs get the kernels that they can run', { skip: has('qemu-x86_64') ? false : 'qemu-user is not installed' }, async (t) => {
  for (const [cpu, isa] of [
    ['Westmere', 'scalar'],
    ['Haswell', 'avx2']
  ] as const) {
    const { code, output } = execute('/usr/bin/env', ['qemu-x86_64', '-cpu', cpu, realpathSync(path.join(bin, 'node')), 'smoke.mjs'], {
      cwd: app,
      env: { PATH: process.env.PATH ?? '' }
    })
    t.equal(code, 0, `${cpu}: ${output}`)
    t.match(output, `"isa":"${isa}"`)
  }
})

// Node, the libraries that it needs itself and the package: no shell, and nothing that only the addon would need.
t.test('a root file system of little more than Node', { skip: process.getuid?.() === 0 ? false : 'chroot needs root' }, async (t) => {
  const bare = mkdtempSync(path.join(tmpdir(), 'polyadic-root-'))
  t.teardown(() => rmSync(bare, { recursive: true, force: true }))
  const copy = (file: string): void => {
    mkdirSync(path.join(bare, path.dirname(file)), { recursive: true })
    cpSync(realpathSync(file), path.join(bare, file))
  }
  const node = otherNode(22)
  if (node instanceof Error) return t.pass('', { skip: node.message })
  const libraries = execFileSync('ldd', [node], { encoding: 'utf8' })
  // Loops on two threads, by the addon's own team.
  t.notMatch(libraries, /libgomp|libomp/, 'there is no OpenMP runtime')
  for (const [file] of libraries.matchAll(/\/\S+\.so[.\d]*/g)) copy(file)
  cpSync(node, path.join(bare, 'node'))
  cpSync(app, path.join(bare, 'app'), { recursive: true })
  const { code, output } = execute('/usr/sbin/chroot', [bare, '/node', '/app/smoke.mjs'], { cwd: bare })
  t.equal(code, 0, output)
})

t.test('the error where nothing fits says what to do', async (t) => {
  cpSync(path.join(home, 'prebuilds'), path.join(app, 'kept'), { recursive: true })
  rmSync(path.join(home, 'prebuilds'), { recursive: true })
  const { code, output } = execute('node', ['smoke.mjs'], here)
  cpSync(path.join(app, 'kept'), path.join(home, 'prebuilds'), { recursive: true })
  t.equal(code, 1)
  t.match(output, /POLYADIC_NATIVE/)
  t.match(output, /npm rebuild polyadic/)
})
