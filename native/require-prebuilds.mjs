// Fails unless every binary that a release needs is there and is of its platform: node native/require-prebuilds.mjs [FOLDER]
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './variant.mjs'

// Format and processor, from the file's own header.
const kinds = {
  'linux-x64': (bytes) => bytes.readUInt32BE(0) === 0x7f454c46 && bytes.readUInt16LE(18) === 0x3e,
  'linux-arm64': (bytes) => bytes.readUInt32BE(0) === 0x7f454c46 && bytes.readUInt16LE(18) === 0xb7,
  'darwin-arm64': (bytes) => bytes.readUInt32LE(0) === 0xfeedfacf && bytes.readUInt32LE(4) === 0x0100000c,
  'win32-x64': (bytes) => bytes.toString('latin1', 0, 2) === 'MZ' && bytes.readUInt16LE(bytes.readUInt32LE(60) + 4) === 0x8664
}
const files = {
  'linux-x64': ['polyadic.glibc.node', 'polyadic.musl.node'],
  'linux-arm64': ['polyadic.glibc.node'],
  'darwin-arm64': ['polyadic.node'],
  'win32-x64': ['polyadic.node']
}

const folder = path.resolve(process.argv[2] ?? path.join(root, 'prebuilds'))
const problem = (file, isOfItsKind) => {
  try {
    const bytes = readFileSync(file)
    if (bytes.length < 64) return 'is no binary'
    return isOfItsKind(bytes) ? undefined : 'is of another platform'
  } catch (error) {
    return error.code === 'ENOENT' ? 'is missing' : 'is no binary'
  }
}
for (const [platform, names] of Object.entries(files))
  for (const name of names) {
    const what = problem(path.join(folder, platform, name), kinds[platform])
    if (what === undefined) continue
    console.error(`prebuilds/${platform}/${name} ${what}`)
    process.exitCode = 1
  }
