// Makes prebuilds/<platform>-<arch>/ with prebuildify: npm run prebuild -- [--arch arm64]
// On Linux with OpenMP libgomp.so.1 is put beside the addon, which looks for it there. POLYADIC_OPENMP=0 builds the std::thread
// backend instead (musl, where the two C libraries' libgomp would share one file name). --arch arm64 on an x64 Linux takes the
// cross compiler aarch64-linux-gnu-g++.
import { execFileSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
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
const openmp = process.platform === 'linux' && !musl && process.env.POLYADIC_OPENMP !== '0'

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
      POLYADIC_OPENMP: openmp ? '1' : '0',
      JOBS: process.env.JOBS ?? 'max',
      ...(crosses && { CC: `${prefix}gcc`, CXX: `${prefix}g++`, AR: `${prefix}ar`, PREBUILD_STRIP_BIN: `${prefix}strip` })
    }
  }
)
if (openmp) {
  const library = path.join(target, 'libgomp.so.1')
  rmSync(library, { force: true })
  copyFileSync(execFileSync(`${prefix}gcc`, ['-print-file-name=libgomp.so.1'], { encoding: 'utf8' }).trim(), library)
}
console.log(`made ${path.relative(root, target)}`)
