// The install script: uses a prebuilt addon when the package has one for this platform, otherwise compiles.
// Downloads nothing: the headers are those beside the running Node, or a configured `nodedir`.
//   node native/install.cjs [--build]     --build compiles even when a binary is there
'use strict'
const { existsSync } = require('node:fs')
const path = require('node:path')
const { spawnSync } = require('node:child_process')

const root = path.dirname(__dirname)

function hasBinary() {
  try {
    require('node-gyp-build').resolve(root)
    return true
  } catch {
    return false
  }
}

// The folder whose include/node holds the headers of this very Node, or undefined.
function findHeaders() {
  const configured = process.env.npm_config_nodedir
  const beside = path.dirname(path.dirname(process.execPath))
  return [configured, beside].filter(Boolean).find((dir) => existsSync(path.join(dir, 'include', 'node', 'node_api.h')))
}

function runs(command, ...args) {
  const result = spawnSync(command, args, { stdio: 'ignore', shell: process.platform === 'win32' })
  return !result.error && result.status === 0
}

function findNodeGyp() {
  const fromNpm = process.env.npm_config_node_gyp
  if (fromNpm && existsSync(fromNpm)) return fromNpm
  try {
    return require.resolve('node-gyp/bin/node-gyp.js', { paths: [root] })
  } catch {
    return undefined
  }
}

function missing(headers, nodeGyp) {
  const lines = []
  if (!headers)
    lines.push(
      '- Node.js headers: no include/node/node_api.h beside this Node and no `nodedir` configured. Install Node from an archive or package that has them, or run `npm config set nodedir <folder>`.'
    )
  if (process.platform !== 'win32') {
    const compiler = process.env.CXX || 'c++'
    if (!runs(compiler, '--version')) lines.push(`- a C++17 compiler: "${compiler}" does not run. Install g++ or clang++, or set CXX.`)
    if (!runs('make', '--version')) lines.push('- make: install GNU make.')
    if (!runs(process.env.PYTHON || process.env.npm_config_python || 'python3', '--version'))
      lines.push('- Python 3 (node-gyp needs it): install python3, or set PYTHON.')
  }
  if (!nodeGyp) lines.push('- node-gyp: run this through npm (npm rebuild polyadic), which brings it.')
  return lines
}

function main() {
  if (!process.argv.includes('--build') && hasBinary()) return 0
  const headers = findHeaders()
  const nodeGyp = findNodeGyp()
  const lines = missing(headers, nodeGyp)
  if (lines.length > 0) {
    console.error(
      `polyadic: there is no prebuilt addon for ${process.platform}-${process.arch}, and it cannot be compiled here because this is missing:\n${lines.join('\n')}`
    )
    return 1
  }
  const jobs = `-j${require('node:os').availableParallelism()}`
  const result = spawnSync(process.execPath, [nodeGyp, 'rebuild', jobs, `--nodedir=${headers}`], { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) console.error('polyadic: compiling the addon failed; the messages above say why.')
  return result.status ?? 1
}

if (require.main === module) process.exitCode = main()
module.exports = { findHeaders }
