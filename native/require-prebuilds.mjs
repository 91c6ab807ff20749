// Fails unless every binary that a release needs is there: node native/require-prebuilds.mjs
import { existsSync } from 'node:fs'
import path from 'node:path'
import { root } from './variant.mjs'

const files = [
  'linux-x64/polyadic.glibc.node',
  'linux-x64/libgomp.so.1',
  'linux-x64/polyadic.musl.node',
  'linux-arm64/polyadic.glibc.node',
  'linux-arm64/libgomp.so.1',
  'darwin-arm64/polyadic.node',
  'win32-x64/polyadic.node'
]
const missing = files.filter((file) => !existsSync(path.join(root, 'prebuilds', file)))
for (const file of missing) console.error(`prebuilds/${file} is missing`)
process.exitCode = missing.length === 0 ? 0 : 1
