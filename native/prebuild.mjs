// Makes prebuilds/<platform>-<arch>/ with prebuildify: npm run prebuild -- [--arch arm64]
// --arch arm64 on an x64 Linux takes the cross compiler aarch64-linux-gnu-g++.
import { createRequire } from 'node:module'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { folderOf, root, run } from './variant.mjs'

const { values } = parseArgs({ options: { arch: { type: 'string', default: process.arch } } })
const { arch } = values
const crosses = process.platform === 'linux' && arch === 'arm64' && process.arch !== 'arm64'
const prefix = crosses ? 'aarch64-linux-gnu-' : ''
const target = path.join(root, 'prebuilds', `${process.platform}-${arch}`)
const musl = process.platform === 'linux' && process.report.getReport().header.glibcVersionRuntime === undefined

const folder = folderOf(`prebuild-${process.platform}-${arch}`)
run(
  process.execPath,
  [
    createRequire(import.meta.url).resolve('prebuildify/bin.js'),
    ...['--napi', '--strip', '--name', 'polyadic', '--arch', arch, '--target', `${process.versions.node}`, '--cwd', folder, '--out', root],
    ...(process.platform === 'linux' ? ['--tag-libc', musl ? 'musl' : 'glibc'] : [])
  ],
  {
    cwd: folder,
    env: {
      JOBS: process.env.JOBS ?? 'max',
      ...(crosses && { CC: `${prefix}gcc`, CXX: `${prefix}g++`, AR: `${prefix}ar`, PREBUILD_STRIP_BIN: `${prefix}strip` })
    }
  }
)
console.log(`made ${path.relative(root, target)}`)
