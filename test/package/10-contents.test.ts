import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { execute, pack, prebuilds, root } from './package.js'

const folder = t.testdir({})
const tarball = pack(folder)
const contents = new Set(tarball.files)
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`

t.test('everything and nothing else', async (t) => {
  const allowed = [
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md|binding\.gyp|CMakeLists\.txt)$/,
    /^docs\/[\w-]+\.md$/,
    /^docs\/[\w-]+\/[\w-]+\.svg$/,
    /^dist\/lib\/[\w/-]+\.(js|d\.ts)$/,
    /^native\/[\w/-]+\.(cpp|h|json|cjs|mjs|map|supp)$/,
    /^prebuilds\/README\.md$/,
    /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/polyadic(\.glibc|\.musl)?\.node$/
  ]
  t.same(
    tarball.files.filter((file) => !allowed.some((pattern) => pattern.test(file))),
    []
  )
  const sources = readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  for (const source of sources) {
    const name = source.slice(0, -'.ts'.length)
    t.ok(contents.has(`dist/lib/${name}.js`) && contents.has(`dist/lib/${name}.d.ts`), name)
  }
  // What npm shows of the package must not lead nowhere.
  for (const file of tarball.files.filter((name) => name.endsWith('.md'))) {
    for (const [, target] of readFileSync(path.join(root, file), 'utf8').matchAll(/\]\((?!https:)([^)#]+)[^)]*\)/g)) {
      const linked = path.posix.normalize(path.posix.join(path.posix.dirname(file), target as string))
      t.ok(contents.has(linked), `${file} links to ${linked}`)
    }
  }
  t.equal(tarball.files.filter((file) => /^dist\/.*\.js$/.test(file)).length, sources.length, 'no JavaScript without its source')
  const listed = execFileSync('node', ['native/list.cjs', 'sources'], { cwd: root, encoding: 'utf8' }).trim().split('\n')
  for (const source of listed) t.ok(contents.has(source), source)
})

// A release has five of these, and is larger: docs/building.md says by how much and why.
const pair = ['linux-x64/polyadic.glibc.node', 'linux-arm64/polyadic.glibc.node']

t.test('under 3 MB with glibc Linux on both processors; any other binary adds less than 1 MB', async (t) => {
  const files = [...prebuilds()].flatMap(([platform, names]) => names.map((name) => `${platform}/${name}`))
  const others = files.filter((file) => !pair.includes(file))
  let size = tarball.size
  for (const file of files) t.ok(contents.has(`prebuilds/${file}`), file)
  for (const file of others) {
    const compressed = gzipSync(readFileSync(path.join(root, 'prebuilds', file)), { level: 9 }).length
    t.ok(compressed < 1e6, `${file}: ${megabytes(compressed)}`)
    size -= compressed
  }
  t.ok(size < 3e6, `${megabytes(size)} without the other binaries, ${megabytes(tarball.size)} with all of ${files.join(', ')}`)
})

t.test('the binaries need nothing that other machines lack', async (t) => {
  for (const [platform, files] of prebuilds()) {
    if (!platform.startsWith('linux-')) continue
    const checked = execute(process.execPath, ['native/check-binary.mjs', '--prebuild', path.join('prebuilds', platform)], {
      cwd: root,
      env: { PATH: process.env.PATH ?? '' }
    })
    t.equal(checked.code, 0, checked.output)
    t.ok(
      files.some((file) => file.endsWith('.node')),
      `${platform} has an addon`
    )
  }
})

t.test('publint and attw have nothing to say', async (t) => {
  const env = { PATH: process.env.PATH ?? '' }
  const publint = execute(process.execPath, ['node_modules/publint/src/cli.js', 'run', tarball.file, '--strict'], { cwd: root, env })
  t.equal(publint.code, 0, publint.output)
  t.match(publint.output, /All good/)
  // ES modules only: who requires the package has Node 20.19 or later, which can.
  const attw = execute(process.execPath, ['node_modules/@arethetypeswrong/cli/dist/index.js', tarball.file, '--profile', 'esm-only'], {
    cwd: root,
    env
  })
  t.equal(attw.code, 0, attw.output)
})
